"""The stand-in NVIDIA driver: compiled once per session, its state written by the tests, a watcher running on it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support import need_tool

SOURCE = Path(__file__).with_name("standin.c")
WATCHER = "tests.nvml.watch"
ROOT = Path(__file__).parents[2]


def compile_standin(folder: Path, *options: str) -> Path:
    """The folder, with `libnvidia-ml.so.1` in it."""
    compiler = need_tool("cc", "gcc")
    subprocess.run(
        [
            *(compiler, "-std=gnu11", "-O0", "-fPIC", "-shared", "-fvisibility=hidden"),
            *("-Wl,-soname,libnvidia-ml.so.1", *options, "-o", str(folder / "libnvidia-ml.so.1"), str(SOURCE)),
            "-lpthread",
        ],
        check=True,
    )
    return folder


class Driver:
    """The state that the stand-in shows."""

    def __init__(self, folder: Path, library: Path | None) -> None:
        self.library = library
        self.path = folder / "state"
        self.trace = folder / "trace"
        self._state: dict[str, str] = {}
        self.set()

    def set(self, **values: object) -> None:
        """Adds to the state; `__` in a name stands for a dot, None takes the key away."""
        for name, value in values.items():
            key = name.replace("__", ".")
            if value is None:
                self._state.pop(key, None)
            else:
                self._state[key] = str(value)
        fresh = self.path.with_suffix(".new")
        fresh.write_text("".join(f"{key} {value}\n" for key, value in self._state.items()))
        fresh.replace(self.path)

    def calls(self) -> list[str]:
        """The inits, shutdowns and event sets made and freed so far."""
        return self.trace.read_text().split() if self.trace.exists() else []


class Watch:
    """What a running watcher says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.seen: list[dict[str, Any]] = []

    async def until(self, kind: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next observation of that kind that is wanted."""
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            while line := await self._process.stdout.readline():
                observation: dict[str, Any] = json.loads(line)
                self.seen.append(observation)
                if observation["kind"] == kind and wanted(observation):
                    return observation
        raise AssertionError(f"the watcher ended without {kind}; last: {self.seen[-3:]}")

    async def gpu(self, index: int = 0, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next state of the GPU with that index."""
        return await self.until("GpuDevice", lambda o: o["index"] == index and wanted(o))

    async def reading(self) -> list[dict[str, Any]]:
        """All observations of one whole reading."""
        await self.until("Heartbeat")
        start = len(self.seen)
        await self.until("Heartbeat")
        return self.seen[start:-1]

    async def end(self) -> list[str]:
        """Cancels the stream; the threads that are left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        left: list[str] = (await self.until("End"))["threads"]
        return left


@asynccontextmanager
async def watching(driver: Driver, **options: object) -> AsyncIterator[Watch]:
    """A watcher on `driver`; `options` go to the stream."""
    environment = {
        **{key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"},
        "FAKE_NVML_STATE": str(driver.path),
        "FAKE_NVML_TRACE": str(driver.trace),
        **({"LD_LIBRARY_PATH": str(driver.library)} if driver.library else {}),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", WATCHER, json.dumps(options)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=environment,
    )
    try:
        yield Watch(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
