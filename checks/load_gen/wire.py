"""One request over aiohttp: sent, read to its end, judged."""

from __future__ import annotations

import base64
import errno
import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp

from checks.load_gen.job import LOCAL, Setup
from checks.load_gen.judge import MAX_REPLY_BYTES, complaint, quote
from infdiag_tui.config.request import tls_context
from infdiag_tui.model import ErrorKind
from infdiag_tui.text import clean, one_line

_LOCAL_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
_IDLE_S = 4.0
"""Idle connections are given up before common servers do so (uvicorn after 5 s): a race would look like an error."""


@dataclass(frozen=True, slots=True)
class Shot:
    """How a request ended: at `ended` (perf_counter seconds), with an empty `kind` when it was answered."""

    ended: float
    kind: str = ""
    text: str = ""


class Wire:
    """Makes the same request again and again over one pool of connections. Use as an async context manager."""

    def __init__(self, setup: Setup) -> None:
        self.connections = 0
        self._setup = setup
        self._body = None if setup.body is None else base64.b64decode(setup.body)
        ca_file = None if setup.ca_file is None else Path(setup.ca_file)
        # True is aiohttp's word for its own context, which a server without TLS never meets.
        self._tls: ssl.SSLContext | bool = True
        if setup.url.startswith("https:"):
            self._tls = tls_context(ca_file, verify=setup.verify_tls)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._count_connection)
        # The callers bound how many are in flight; a second bound here would queue without telling.
        if self._setup.keep_alive:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S)
        else:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._setup.timeout_s),
            headers=self._setup.headers,
            trace_configs=[trace],
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def shoot(self) -> Shot:
        """Sends the request and reads the reply. Raises nothing but cancellation and defects."""
        if self._session is None:
            raise RuntimeError("shoot() outside of the context manager")
        setup = self._setup
        try:
            async with self._session.request(
                setup.method,
                setup.url,
                data=self._body,
                allow_redirects=False,
                ssl=self._tls,
                proxy=setup.proxy,
            ) as response:
                body = await _whole(response)
                ended = time.perf_counter()
                return _judged(setup.protocol, response, body, ended)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            kind, text = failure(error, setup.timeout_s)
            return Shot(time.perf_counter(), kind, text)

    async def _count_connection(self, *_: object) -> None:
        self.connections += 1


async def _whole(response: aiohttp.ClientResponse) -> bytes | None:
    """The decoded body, None when it is larger than any answer should be."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_REPLY_BYTES:
            response.close()
            return None
        parts.append(part)
    return b"".join(parts)


def _judged(protocol: str, response: aiohttp.ClientResponse, body: bytes | None, ended: float) -> Shot:
    if not 200 <= response.status < 300:
        return Shot(ended, f"http-{response.status}", f"HTTP {response.status}: {quote(body or b'')}")
    if body is None:
        return Shot(ended, ErrorKind.BAD_REPLY.value, f"the reply is larger than {MAX_REPLY_BYTES // 1024 // 1024} MiB")
    wrong = complaint(protocol, response.headers.get("Content-Type", ""), body)
    return Shot(ended, ErrorKind.BAD_REPLY.value, wrong) if wrong else Shot(ended)


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
    if isinstance(error, aiohttp.ClientConnectionError | aiohttp.ClientPayloadError | OSError):
        return ErrorKind.DISCONNECT.value, "the server closed the connection instead of completing the reply"
    return ErrorKind.BAD_REPLY.value, text
