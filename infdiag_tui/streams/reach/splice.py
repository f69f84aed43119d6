"""A local end of a far connection: an ordinary socket for whoever speaks over it, so that TLS and timing work as ever.

The pair of sockets is private to this process: nobody else on a shared jump host can reach the model server by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import Protocol

from infdiag_tui.streams.reach.base import ReachError

_CHUNK_BYTES = 64 * 1024


class Far(Protocol):
    """The far end of a connection."""

    async def receive(self) -> bytes:
        """The next bytes, empty at the end; raises `ReachError` when the way broke."""
        ...

    async def send(self, data: bytes) -> None:
        """Sends; raises `ReachError` when the way broke."""
        ...

    async def aclose(self) -> None:
        """Ends the connection."""
        ...


@dataclass(slots=True)
class LocalEnd:
    """A connected socket, and why the far connection broke, once it did."""

    socket: socket.socket
    failure: ReachError | None = None


class Splices:
    """The connections that are open through a way."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[None], Far] = {}

    async def local_end_of(self, far: Far) -> LocalEnd:
        """A socket whose bytes go to `far` and come from there until either side ends."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        end = LocalEnd(theirs)
        task = asyncio.create_task(splice(far, reader, writer, end))
        self._running[task] = far

        def ended(task: asyncio.Task[None]) -> None:
            # Here, for a task that is cancelled before its first step never comes to its own end.
            writer.close()
            self._running.pop(task, None)

        task.add_done_callback(ended)
        return end

    async def aclose(self) -> None:
        """Ends every connection."""
        running = dict(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for far in running.values():
            await far.aclose()


async def splice(
    far: Far, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: LocalEnd | None = None
) -> None:
    """Carries bytes both ways until either side ends; neither is half closed, which no HTTP client does."""
    ways = [asyncio.create_task(_outward(far, reader)), asyncio.create_task(_inward(far, writer))]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        failures = [error for task in done if isinstance(error := task.exception(), ReachError)]
        if end is not None and failures:
            end.failure = failures[0]
    finally:
        for task in ways:
            task.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        writer.close()
        await far.aclose()


async def _outward(far: Far, reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            await far.send(data)


async def _inward(far: Far, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await far.receive():
            writer.write(data)
            await writer.drain()
