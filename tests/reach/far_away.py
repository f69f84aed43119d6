"""A relay that makes whatever is behind it far away: every byte takes its time, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast


class _Side(asyncio.Protocol):
    """One connection; what comes in leaves at the other side after a while."""

    def __init__(self, delay_s: float, held: set[asyncio.Transport]) -> None:
        self._delay_s = delay_s
        self._held = held
        self._early = b""
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._held.add(self.transport)

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._delay_s, self._pass_on, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self._held.discard(self.transport)
        asyncio.get_running_loop().call_later(self._delay_s, self._end_other)

    def meet(self, other: _Side) -> None:
        self.other = other
        self._pass_on(b"")

    def _pass_on(self, data: bytes) -> None:
        self._early += data
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(self._early)
            self._early = b""

    def _end_other(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


@asynccontextmanager
async def far_away(port: int, round_trip_s: float) -> AsyncIterator[int]:
    """A port through which that port of loopback is so far away."""
    loop = asyncio.get_running_loop()
    held: set[asyncio.Transport] = set()
    joining: set[asyncio.Task[None]] = set()

    async def join(near: _Side) -> None:
        _, far = await loop.create_connection(lambda: _Side(round_trip_s / 2, held), "127.0.0.1", port)
        near.meet(far)
        far.meet(near)

    def accepted() -> _Side:
        near = _Side(round_trip_s / 2, held)
        joining.add(asyncio.create_task(join(near)))
        return near

    server = await loop.create_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.gather(*joining, return_exceptions=True)
        for transport in list(held):
            transport.abort()
        await asyncio.sleep(round_trip_s / 2)  # what is still on its way
