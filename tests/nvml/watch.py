"""Runs the NVML stream in a process of its own and prints what it yields as JSON lines, until its input ends.

The tests start it with LD_LIBRARY_PATH pointing at a stand-in driver library, which the real pynvml then loads; the
test process itself never does. It retries after a failure at once, as an impatient supervisor would.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from contextlib import aclosing, suppress
from dataclasses import asdict
from typing import Any

from infdiag_tui.streams.base import SourceError, StreamContext
from infdiag_tui.streams.gpu_nvml import GpuNvmlStream


def tell(kind: str, **values: Any) -> None:
    print(json.dumps({"kind": kind, **values}), flush=True)


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())


async def watch(stream: GpuNvmlStream) -> None:
    while True:
        try:
            async with aclosing(stream.observe()) as observations:
                async for observation in observations:
                    tell(type(observation).__name__, **asdict(observation))
        except SourceError as error:
            tell(
                "SourceError",
                reason=error.reason,
                remedy=error.remedy,
                state=error.state,
                retry_after_s=error.retry_after_s,
                threads=threads(),
            )
            await asyncio.sleep(0.02)


async def main() -> None:
    stream = GpuNvmlStream(0.05, StreamContext(), **json.loads(sys.argv[1]))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    watching = asyncio.create_task(watch(stream))
    await asyncio.wait({watching, asyncio.create_task(ended.wait())}, return_when=asyncio.FIRST_COMPLETED)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            while threads():
                await asyncio.sleep(0.005)
    tell("End", threads=threads())


asyncio.run(main())
