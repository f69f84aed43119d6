"""Runs a companion's command line on this machine, bounded in time and output; nothing of it is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from infdiag_tui.text import clean

TIME_LIMIT_S = 60.0
MOST_BYTES = 2**18
TELL_EVERY_S = 0.25
_END_S = 1.0
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. `code` is its exit code (negative: the signal that ended it), None when it was stopped.

    `text` is what it wrote to both outputs, printable and without secrets; `cut` says that there was more than is kept,
    `late` that it was stopped at its time limit.
    """

    text: str
    code: int | None
    took_s: float
    cut: bool = False
    late: bool = False

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.late:
            return f"stopped after {TIME_LIMIT_S:.0f} s, its time limit"
        if self.cut:
            return f"stopped after {self.took_s:.1f} s: it wrote more than {MOST_BYTES:,} bytes"
        if self.code is None:
            return f"ended without an exit code after {self.took_s:.1f} s"
        return f"exit code {self.code} after {self.took_s:.1f} s"


async def run_line(
    line: str,
    said: Callable[[str], None] = lambda _: None,
    time_limit_s: float = TIME_LIMIT_S,
    most_bytes: int = MOST_BYTES,
) -> Ran:
    """Runs one shell line with no input. Cancelling it ends the command and its children.

    Args:
        line: as the operator was shown it and agreed to.
        said: told the whole text so far, four times a second at most.
        time_limit_s: it is stopped after so long.
        most_bytes: it is stopped once it wrote so much.

    Raises:
        OSError: it cannot be started.
    """
    began = time.monotonic()
    process = await _started(line)
    held = bytearray()
    late = False
    telling = asyncio.create_task(_tell(held, said))
    try:
        async with asyncio.timeout(time_limit_s):
            assert process.stdout is not None  # asked for just above
            while len(held) < most_bytes and (part := await process.stdout.read(65_536)):
                held += part
            cut = len(held) >= most_bytes
            if not cut:
                await process.wait()
    except TimeoutError:
        cut, late = False, True
    finally:
        telling.cancel()
        stopped = process.returncode is None
        await _end(process)
    code = None if stopped else process.returncode
    return Ran(_text(held[:most_bytes]), code, time.monotonic() - began, cut, late)


async def _started(line: str) -> asyncio.subprocess.Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            _SHELL,
            *("-c", line),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # it cannot ask anything on the console's terminal, and ends as a group
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # Cancelled by itself it would end the shell and leave the shell's children.
        await _end(await starting)
        raise


async def _tell(held: bytearray, said: Callable[[str], None]) -> None:
    told = 0
    while True:
        await asyncio.sleep(TELL_EVERY_S)
        if len(held) != told:
            told = len(held)
            said(_text(held))


def _text(held: bytes | bytearray) -> str:
    return clean(held.decode("utf-8", "replace"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """The whole group, first asked and then made to; also what the shell left in the background."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S):
                await process.wait()
