"""One run of a container: a real process with its output kept, its memory limited and its end explained."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infdiag_tui.lab.containerlog import ContainerLog
from infdiag_tui.lab.processes import import_path, resident_bytes, tied_to_this_process

_MEMORY_CHECK_S = 0.1
_LINE_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Exit:
    """How a run ended."""

    reason: str
    code: int
    started_at: float
    finished_at: float


class ContainerRun:
    """A model server's process from start to end."""

    def __init__(self, process: asyncio.subprocess.Process, log: ContainerLog, limit_bytes: int) -> None:
        self._process = process
        self._limit_bytes = limit_bytes
        self._out_of_memory = False
        self.log = log
        self.pid = process.pid
        self.started_at = time.time()

    @classmethod
    async def start(cls, environment: Mapping[str, str], folder: Path, log: Path, limit_bytes: int) -> ContainerRun:
        """Starts the model server with these settings in its environment."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "infdiag_tui.lab.server",
            env=_server_environment(environment),
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LINE_LIMIT_BYTES,
            # Ctrl+C in a terminal is for the lab, which then ends its replicas.
            start_new_session=True,
            preexec_fn=tied_to_this_process(),  # safe: one thread starts children here
        )
        return cls(process, ContainerLog(log), limit_bytes)

    async def wait(self) -> Exit:
        """Keeps the output and the memory limit until the process ends; its log is closed then."""
        watching = asyncio.create_task(self._enforce_limit())
        try:
            await self._keep_output()
            code = await self._process.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            self.log.close()
        shown = 128 - code if code < 0 else code
        reason = "OOMKilled" if self._out_of_memory else "Completed" if shown == 0 else "Error"
        return Exit(reason, shown, self.started_at, time.time())

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal if the process still runs."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, grace_s: float) -> None:
        """SIGTERM, then SIGKILL after `grace_s`; returns when the process is gone. `wait` must be running."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # one that its CPU quota has stopped must hear it, too
        try:
            await asyncio.wait_for(self._process.wait(), grace_s)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    async def _keep_output(self) -> None:
        output = self._process.stdout
        while output is not None:
            try:
                line = await output.readuntil(b"\n")
            except asyncio.IncompleteReadError as error:
                line = error.partial
            except asyncio.LimitOverrunError:
                line = await output.read(_LINE_LIMIT_BYTES)
            if not line:
                return
            self.log.write(line.rstrip(b"\n"))

    async def _enforce_limit(self) -> None:
        """What the kernel's memory cgroup does: a process over its limit gets SIGKILL."""
        while True:
            resident = resident_bytes(self.pid)
            if resident is not None and resident > self._limit_bytes:
                self._out_of_memory = True
                self.signal(signal.SIGKILL)
                return
            await asyncio.sleep(_MEMORY_CHECK_S)


def _server_environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        **settings,
        "PYTHONPATH": import_path(),
        "PYTHONUNBUFFERED": "1",
        # One thread each: three replicas share two cores.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
