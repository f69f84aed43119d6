"""The generator process: a `Setup`, then a `Phase` a line on standard input; progress and summaries on standard output.

It ends at once when standard input closes, which the kernel does for a parent that dies in any way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import os
import sys
import time
from typing import Any

import orjson

from checks.load_gen.fine_loop import FineLoop
from checks.load_gen.job import LINE_LIMIT_BYTES, Phase, Setup
from checks.load_gen.loops import run_phase
from checks.load_gen.tally import Tally
from checks.load_gen.wire import Wire
from infdiag_tui.config.request import RequestError

_PROGRESS_S = 0.25


def say(kind: str, message: dict[str, Any]) -> None:
    """Writes one message for the parent."""
    sys.stdout.buffer.write(orjson.dumps({"kind": kind, **message}) + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    """Serves phases until standard input closes."""
    reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        wire = Wire(Setup(**orjson.loads(await _line(reader))))
    except RequestError as error:
        say("refused", {"text": f"{error.reason}: {error.remedy}."})
        return
    except ValueError as error:
        say("refused", {"text": f"no request can be made for this endpoint: {error}"})
        return
    # Collections in the middle of a phase would be charged to the server; what exists now is never garbage.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    async with wire:
        waiting = asyncio.ensure_future(_line(reader))
        while True:
            phase = Phase(**orjson.loads(await waiting))
            waiting = asyncio.ensure_future(_line(reader))  # reading on notices the parent's end during the phase
            summary = await run_phase(phase, wire, _progress())
            say("summary", {"summary": dataclasses.asdict(summary)})


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        os._exit(0)  # the parent is gone: nobody is left to answer for this load
    return line


def _progress() -> Any:
    last = time.monotonic()

    def watch(tally: Tally) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PROGRESS_S:
            last = now
            say("progress", {"finished": tally.finished, "failed": tally.failed})

    return watch


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=FineLoop) as runner:
        runner.run(main())
