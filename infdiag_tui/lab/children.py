"""The lab's other processes: the feature store, and neighbours of the model on its node."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from infdiag_tui.lab.processes import free_port, import_path, tied_to_this_process

_CONNECT_EVERY_S = 0.02
_START_S = 20.0
_SPIN = "while True: pass"


class Child:
    """A process that ends with the lab."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self._words = words
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        if self._process is None:
            raise RuntimeError("the process was not started")
        return self._process.pid

    async def start(self) -> None:
        """Starts it."""
        self._process = await asyncio.create_subprocess_exec(
            *self._words,
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": import_path()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=tied_to_this_process(),  # safe: one thread starts children here
        )

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal if the process still runs."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self) -> None:
        """Kills it."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            await self._process.wait()


class FeatureStore(Child):
    """The feature store's process, at `url` once it is ready."""

    def __init__(self, host: str, folder: Path) -> None:
        self._address = (host, free_port())
        words = (sys.executable, "-m", "infdiag_tui.lab.featurestore", host, str(self._address[1]))
        super().__init__(words, folder)
        self.url = f"http://{host}:{self._address[1]}/lookup"

    async def ready(self) -> None:
        """Returns once it listens.

        Raises:
            TimeoutError: It does not within 20 s.
        """
        async with asyncio.timeout(_START_S):
            while True:
                with contextlib.suppress(ConnectionError):
                    _reader, writer = await asyncio.open_connection(*self._address)
                    writer.close()
                    return
                await asyncio.sleep(_CONNECT_EVERY_S)


def spinner(folder: Path) -> Child:
    """A process that uses all the processor time it gets."""
    return Child((sys.executable, "-S", "-c", _SPIN), folder)
