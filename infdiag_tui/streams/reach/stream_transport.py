"""HTTP over connections that a way opens; imports httpx, so it is itself imported late."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpcore
import httpx

from infdiag_tui.streams.probe.sockets import SocketStream
from infdiag_tui.streams.probe.wire import TimedTransport
from infdiag_tui.streams.reach.splice import LocalEnd

Opener = Callable[[str, int], Awaitable[LocalEnd]]
"""Opens a connection to a host and port at the far end; raises `ReachError`."""


class _TunnelStream(SocketStream):
    """Tells why the way broke instead of a mere end of the connection."""

    end: LocalEnd

    @classmethod
    async def of(cls, end: LocalEnd) -> _TunnelStream:
        try:
            stream = await cls.on(end.socket)
        except BaseException:
            end.socket.close()
            raise
        stream.end = end
        return stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        """As of any socket; raises `ReachError` where the way failed."""
        try:
            data = await super().read(max_bytes, timeout)
        except httpcore.ReadError:
            if self.end.failure is not None:
                raise self.end.failure from None
            raise
        if not data and self.end.failure is not None:
            raise self.end.failure
        return data


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, opened: Opener) -> None:
        self._open = opened

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
        local_address: str | None = None,  # noqa: ARG002 - never given here
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - never given here
    ) -> httpcore.AsyncNetworkStream:
        """A stream through the way; raises `ReachError`."""
        return await _TunnelStream.of(await self._open(host, port))

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)


def stream_transport(
    opened: Opener, tls: ssl.SSLContext | None, *, connections: int, keepalive_s: float
) -> httpx.AsyncBaseTransport:
    """An httpx transport over such connections."""
    return TimedTransport(tls, connections=connections, keepalive_s=keepalive_s, backend=_Backend(opened))
