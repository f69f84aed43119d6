"""A relay that makes whatever is behind it far away: every byte takes its time, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


async def _late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            loop.call_later(delay_s, writer.write, data)
    loop.call_later(delay_s, writer.close)


@asynccontextmanager
async def far_away(port: int, round_trip_s: float) -> AsyncIterator[int]:
    """A port through which that port of loopback is so far away."""
    open_now: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        ways = [
            asyncio.create_task(_late(reader, inner_writer, round_trip_s / 2)),
            asyncio.create_task(_late(inner_reader, writer, round_trip_s / 2)),
        ]
        open_now.update(ways)
        await asyncio.gather(*ways, return_exceptions=True)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_now.add(asyncio.create_task(carry(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for one in list(open_now):
            one.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)
        await asyncio.sleep(round_trip_s / 2)  # what is still on its way
