"""One request over aiohttp: sent, read to its end, judged."""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
from aiohttp.http import HttpProcessingError, RawResponseMessage
from aiohttp.http_exceptions import ContentEncodingError
from multidict import CIMultiDict
from yarl import URL

from checks.load_gen.fine_loop import FineLoop
from checks.load_gen.job import LOCAL, Setup
from checks.load_gen.judge import MAX_REPLY_BYTES, complaint, quote
from checks.load_gen.timed import TimedConnector, TimedHandler
from infdiag_tui.config.request import tls_context
from infdiag_tui.model import ErrorKind
from infdiag_tui.text import clean, one_line

_LOCAL_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
_IDLE_S = 4.0
"""Idle connections are given up before common servers do so (uvicorn after 5 s): a race would look like an error."""
_NO_LIMIT = aiohttp.ClientTimeout(total=None)
"""The limit is one around the whole exchange."""


@dataclass(frozen=True, slots=True)
class Shot:
    """How a request ended: at `ended` (perf_counter seconds), with an empty `kind` when it was answered.

    `own_s` is the part of its time that may have passed in this process, at most: from the call to the write, and from
    the earliest moment at which the reply can have been there until it was read. Not known is what it added to
    making a new connection.
    """

    ended: float
    kind: str = ""
    text: str = ""
    own_s: float = 0.0


class Wire:
    """Makes the same request again and again over one pool of connections. Use as an async context manager."""

    def __init__(self, setup: Setup) -> None:
        """Prepares the request; to be called on the generator's own event loop.

        Raises:
            OSError: `ca_file` cannot be read or holds no certificate.
            ValueError: no request can be made of the method, the URL or the headers.
        """
        loop = asyncio.get_running_loop()
        if not isinstance(loop, FineLoop):
            raise TypeError("the load generator needs its own event loop")
        self.loop = loop
        self.connections = 0
        self._setup = setup
        self._body = b"" if setup.body is None else base64.b64decode(setup.body)
        headers = CIMultiDict(setup.headers)
        if setup.body is not None:
            headers.setdefault("Content-Length", str(len(self._body)))
        if not setup.keep_alive:
            headers["Connection"] = "close"
        ca_file = None if setup.ca_file is None else Path(setup.ca_file)
        tls = tls_context(ca_file, verify=setup.verify_tls) if setup.url.startswith("https:") else None
        url, name = URL(setup.url), None
        if setup.connect_to:
            headers.setdefault("Host", url.authority)
            name = url.host if tls is not None else None
            host, _, port = setup.connect_to.rpartition(":")
            url = url.with_host(host).with_port(int(port))
        self._request = aiohttp.ClientRequest(
            setup.method,
            url,
            server_hostname=name,
            headers=headers,
            loop=loop,
            ssl=tls if tls is not None else True,
            proxy=None if setup.proxy is None else URL(setup.proxy),
        )
        self._connector = TimedConnector(loop, _IDLE_S if setup.keep_alive else None)
        self._packet = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connector.close()

    async def shoot(self) -> Shot:
        """Sends the request and reads the reply. Raises nothing but cancellation and defects."""
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._setup.timeout_s):
                return await self._exchange(began)
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError) as error:
            kind, text = failure(error, self._setup.timeout_s)
            return Shot(time.perf_counter(), kind, text)

    async def _exchange(self, began: float) -> Shot:
        connection = await self._connector.connect(self._request, [], _NO_LIMIT)
        handler, transport = connection.protocol, connection.transport
        whole = False
        try:
            if not isinstance(handler, TimedHandler) or transport is None:
                raise RuntimeError("a connection that the pool did not make")
            own_s = time.perf_counter() - began if handler.used else 0.0
            if not handler.used:
                handler.used = True
                self.connections += 1
                self._packet = self._head() + self._body
            handler.set_response_params(skip_payload=self._setup.method == "HEAD", read_until_eof=True)
            transport.write(self._packet)
            message, payload = await handler.read()
            while message.code < 200 and message.code != 101:
                message, payload = await handler.read()
            body = await _whole(payload)
            # A server that answers before it has read everything leaves the rest in the way of the next request.
            whole = body is not None and not transport.get_write_buffer_size()
        finally:
            if whole:
                connection.release()
            else:
                connection.close()
        own_s += handler.arrived - handler.ready_since
        kind, text = _judged(self._setup.protocol, message, body)
        return Shot(handler.arrived, kind, text, own_s)

    def _head(self) -> bytes:
        """The request line and the headers. To be made after a connect, which adds what a proxy wants."""
        request = self._request
        target = str(request.url) if request.proxy and not request.is_ssl() else request.url.raw_path_qs
        lines = [f"{request.method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


async def _whole(payload: aiohttp.StreamReader) -> bytes | None:
    """The decoded body, None when it is larger than any answer should be."""
    parts: list[bytes] = []
    size = 0
    while not payload.at_eof():
        part = await payload.readany()
        size += len(part)
        if size > MAX_REPLY_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def _judged(protocol: str, message: RawResponseMessage, body: bytes | None) -> tuple[str, str]:
    """The kind and a sentence of what is wrong with a reply; empty when it is an answer."""
    if not 200 <= message.code < 300:
        return f"http-{message.code}", f"HTTP {message.code}: {quote(body or b'')}"
    if body is None:
        return ErrorKind.BAD_REPLY.value, f"the reply is larger than {MAX_REPLY_BYTES // 1024 // 1024} MiB"
    wrong = complaint(protocol, message.headers.get("Content-Type", ""), body)
    return (ErrorKind.BAD_REPLY.value, wrong) if wrong else ("", "")


def failure(error: Exception, timeout_s: float) -> tuple[str, str]:
    """The kind and a sentence of what aiohttp raised."""
    text = one_line(clean(str(error) or type(error).__name__), 200)
    if isinstance(error, TimeoutError):
        return ErrorKind.TIMEOUT.value, f"no complete reply within {timeout_s:g} s"
    if isinstance(error, OSError) and error.errno in _LOCAL_ERRNOS:
        return LOCAL, f"this machine cannot open more connections: {os.strerror(error.errno or 0)}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return ErrorKind.DNS.value, text
    if isinstance(error, aiohttp.ClientSSLError):
        return ErrorKind.TLS.value, text
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ClientProxyConnectionError):
        return ErrorKind.CONNECT.value, text
    if isinstance(error.__cause__, ContentEncodingError):
        return ErrorKind.BAD_REPLY.value, "the reply's body is not in the encoding that its headers name"
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        return ErrorKind.DISCONNECT.value, "the server closed the connection instead of completing the reply"
    return ErrorKind.BAD_REPLY.value, text
