"""A listening socket that can be pulled out and put back; for the API it tells SPDY upgrades from plain HTTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from typing import cast

SpdyHandler = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]
"""Takes the request's head, and the connection after it."""

_MAX_HEAD_BYTES = 64 * 1024


class _Sniffer(asyncio.Protocol):
    """Reads a connection's first request head, then hands the connection to who can speak on."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._listener.transports.add(self._transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._listener.forget(self._transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, ended, rest = self._head.partition(b"\r\n\r\n")
        if not ended and len(head) < _MAX_HEAD_BYTES:
            return
        if self._transport is not None:
            self._listener.hand_over(self._transport, head, rest, self._head)


class Listener:
    """Listens on one port, can stop with all its connections cut, and start again on the same port."""

    def __init__(
        self,
        host: str,
        port: int,
        http: Callable[[], asyncio.Protocol],
        on_spdy: SpdyHandler | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._http = http
        self._on_spdy = on_spdy
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self.transports: set[asyncio.Transport] = set()

    async def start(self) -> None:
        """Listens; does nothing when it already does."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Sniffer(self), self._host, self._port, ssl=self._tls)

    async def stop(self) -> None:
        """Stops listening and resets every connection, as when the process is killed."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for transport in list(self.transports):
            transport.abort()
        self.transports.clear()
        sessions = list(self._sessions)
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    def hand_over(self, transport: asyncio.Transport, head: bytes, rest: bytes, everything: bytes) -> None:
        """Gives a connection with a read head to the HTTP server or to an SPDY session."""
        if self._on_spdy is None or b"\r\nupgrade: spdy/3.1" not in head.lower():
            protocol = self._http()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            protocol.data_received(everything)
            # aiohttp owns the connection now and never reports its end here.
            self._prune()
            return
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        streams = asyncio.StreamReaderProtocol(reader, loop=loop)
        transport.set_protocol(streams)
        streams.connection_made(transport)
        reader.feed_data(rest)
        session = loop.create_task(self._on_spdy(head, reader, asyncio.StreamWriter(transport, streams, reader, loop)))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)

    def forget(self, transport: asyncio.Transport | None) -> None:
        """Drops a connection that ended before its first request."""
        if transport is not None:
            self.transports.discard(transport)

    def _prune(self) -> None:
        self.transports = {transport for transport in self.transports if not transport.is_closing()}
