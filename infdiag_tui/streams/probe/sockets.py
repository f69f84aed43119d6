"""TCP and TLS connections for httpcore, straight on asyncio's transports, that note when bytes left and arrived."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any, Self, cast

import httpcore

from infdiag_tui.streams.probe.phases import CURRENT_WIRE

_HIGH_WATER_BYTES = 1024 * 1024
"""Received and not yet read: beyond this the socket is left to fill up, so that a flood ends in the kernel."""
_CLOSE_TIMEOUT_S = 1.0


class _Connection(asyncio.Protocol):
    """The receiving side: what has arrived and when, and how the connection ended."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.received = bytearray()
        self.first_at = self.last_at = 0.0
        self.ended = False
        self.error: Exception | None = None
        self.closed = asyncio.Event()
        self.news = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.last_at = self._loop.time()
        if not self.received:
            self.first_at = self.last_at
        self.received += data
        if len(self.received) > _HIGH_WATER_BYTES and self.transport is not None:
            self.transport.pause_reading()
        self.news.set()

    def eof_received(self) -> None:
        self.ended = True
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.error = exc
        self.news.set()
        self.writable.set()
        self.closed.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


class SocketStream(httpcore.AsyncNetworkStream):
    """One connection.

    It reads while idle, so that a server's goodbye is known at once, and it writes without a turn of the loop: through
    anyio's streams the same request takes half a millisecond longer, which would be charged to the server. Times are
    the loop's (`time.monotonic`). Time limits are the caller's: httpcore's own are not used here.
    """

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, address: str, port: int) -> SocketStream:
        """Connects to an IP address; raises `OSError`."""
        loop = asyncio.get_running_loop()
        _transport, connection = await loop.create_connection(_Connection, address, port)
        return cls(connection)

    @classmethod
    async def on(cls, connected: socket.socket) -> Self:
        """Speaks over a socket that is connected already, and owns it from then on."""
        _transport, connection = await asyncio.get_running_loop().create_connection(_Connection, sock=connected)
        return cls(connection)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109 - httpcore's
        """The next bytes, empty at the end; raises `httpcore.ReadError` when the connection broke."""
        connection = self._connection
        while not connection.received:
            if connection.error is not None:
                raise httpcore.ReadError(connection.error) from connection.error
            if connection.ended:
                return b""
            connection.news.clear()
            await connection.news.wait()
        wire = CURRENT_WIRE.get()
        if wire is not None:
            wire.read(connection.first_at, connection.last_at)
        data = bytes(connection.received[:max_bytes])
        del connection.received[:max_bytes]
        if connection.transport is not None and not connection.transport.is_reading():
            connection.transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109 - httpcore's
        """Sends all of `buffer`; raises `httpcore.WriteError` when the connection is gone."""
        connection = self._connection
        if not buffer:
            return
        if connection.transport is None or connection.transport.is_closing():
            raise httpcore.WriteError("the connection is closed") from connection.error
        wire = CURRENT_WIRE.get()
        began = wire.now() if wire is not None else 0.0
        connection.transport.write(buffer)
        await connection.writable.wait()
        if wire is not None:
            wire.wrote(began)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
    ) -> httpcore.AsyncNetworkStream:
        """This connection inside TLS; raises `OSError` (`ssl.SSLError` for the handshake's own reasons)."""
        connection = self._connection
        loop = asyncio.get_running_loop()
        if connection.transport is None or connection.ended:
            raise ConnectionResetError("the connection was closed before the TLS handshake")
        try:
            transport = await loop.start_tls(
                connection.transport,
                connection,
                ssl_context,
                server_hostname=server_hostname,
            )
        except BaseException:
            await self.aclose()
            raise
        connection.transport = transport
        return self

    async def aclose(self) -> None:
        """Closes at once: whatever is still unsent or unsaid concerns nobody."""
        connection = self._connection
        if connection.transport is None:
            return
        connection.transport.abort()
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await connection.closed.wait()

    def get_extra_info(self, info: str) -> Any:
        """`is_readable` tells httpcore that an idle connection is of no use any more."""
        connection = self._connection
        if info == "is_readable":
            return bool(connection.received) or connection.ended
        return None if connection.transport is None else connection.transport.get_extra_info(info)
