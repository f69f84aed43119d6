"""Runs a companion's commands on this machine without a shell, bounded in time; nothing of them is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

TIME_LIMIT_S = 60.0
_END_S = 1.0
_PIECE_BYTES = 16 * 1024


async def run_here(
    commands: Sequence[Sequence[str]], hear: Callable[[bytes], None], time_limit_s: float = TIME_LIMIT_S
) -> int:
    """Runs one command, or several as a pipeline, with no input; cancelling it ends them and their children.

    Args:
        commands: their words, as the operator was shown them and agreed to.
        hear: given what they write to both outputs; what it raises ends them, too.
        time_limit_s: they are ended after so long.

    Returns:
        The last one's exit code; a negative one is the signal that ended it.

    Raises:
        OSError: one cannot be started.
        TimeoutError: they did not end in time.
    """
    pipeline = _Pipeline()
    try:
        async with asyncio.timeout(time_limit_s):
            output = await pipeline.start(commands)
            while part := await output.read(_PIECE_BYTES):
                hear(part)
            return await pipeline.wait()
    finally:
        await pipeline.end()


@dataclass(slots=True)
class _Pipeline:
    """Processes of which each reads what the one before writes; all complain to the same output."""

    processes: list[asyncio.subprocess.Process] = field(default_factory=list)
    reading: asyncio.ReadTransport | None = None

    async def start(self, commands: Sequence[Sequence[str]]) -> asyncio.StreamReader:
        """Starts them; the reader gets the last one's output and all complaints."""
        read_end, write_end = os.pipe()
        opened = [write_end]
        try:
            reader = asyncio.StreamReader()
            # Read from then on by the loop, which closes it.
            self.reading, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
            )
            source = asyncio.subprocess.DEVNULL
            for number, command in enumerate(commands, 1):
                next_source, sink = (0, write_end) if number == len(commands) else os.pipe()
                opened += [] if sink == write_end else [next_source, sink]
                await self._add(command, source, sink, write_end)
                source = next_source
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return reader

    async def _add(self, command: Sequence[str], stdin: int, stdout: int, stderr: int) -> None:
        starting = asyncio.ensure_future(
            asyncio.create_subprocess_exec(
                *command,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,  # it cannot ask anything on the console's terminal, and ends as a group
            )
        )
        try:
            self.processes.append(await asyncio.shield(starting))
        except asyncio.CancelledError:
            # Cancelled by itself it would end the program and leave its children.
            self.processes.append(await starting)
            raise

    async def wait(self) -> int:
        """Until all have ended; the last one's exit code."""
        return [await process.wait() for process in self.processes][-1]

    async def end(self) -> None:
        """Their groups, first asked and then made to; also what they left in the background."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in self.processes:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    for process in self.processes:
                        await process.wait()
        if self.reading is not None:
            self.reading.close()
