"""A port on this machine that leads through a way, for a process that can only connect: the load generator.

It listens on loopback and takes connections of this user's processes alone: on a shared jump host nobody else gets to
the model server by it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from infdiag_tui.streams.reach.base import ReachError
from infdiag_tui.streams.reach.splice import Far, splice

_HOST = "127.0.0.1"
_TCP = Path("/proc/net/tcp")


@asynccontextmanager
async def listening(far_end: Callable[[], Awaitable[Far]]) -> AsyncIterator[str]:
    """`HOST:PORT`; each connection to it gets a far end of its own, and none where there is no way."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await asyncio.to_thread(_is_anothers, writer.get_extra_info("peername"), port):
                return
            await splice(await far_end(), reader, writer)
        except ReachError:
            return
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer), name="connection through a way")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, _HOST, 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{_HOST}:{port}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_anothers(peer: tuple[str, int], port: int) -> bool:
    """Whether the process at the other end of a loopback connection is another user's, as far as the kernel tells."""
    try:
        rows = _TCP.read_text().splitlines()[1:]
    except OSError:
        return False  # not Linux, or hidden
    wanted = (f":{peer[1]:04X}", f":{port:04X}")
    for row in rows:
        fields = row.split()
        if fields[1].endswith(wanted[0]) and fields[2].endswith(wanted[1]):
            return int(fields[7]) != os.getuid()
    return False
