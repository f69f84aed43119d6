"""A program in a pseudo-terminal of a given size, read by nobody but the stopwatch."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

ROOT = Path(__file__).parents[1]


class TerminalRun:
    """Runs a command on a pty; the `with` block ends it.

    Attributes:
        bytes_read: what it has written to the terminal so far.
    """

    def __init__(self, command: Sequence[str], columns: int, rows: int, env: Mapping[str, str] | None = None) -> None:
        self._primary, secondary = pty.openpty()
        fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})},
        )
        os.close(secondary)
        self.bytes_read = 0
        self._cells = columns * rows
        self._since_press = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 10
        while self._process.poll() is None and time.monotonic() < deadline:
            self.read_for(0.1)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._primary)

    def read_for(self, seconds: float) -> None:
        """Reads what the program writes for this long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._read(left)

    def press(self, keys: str) -> None:
        """Types characters or an escape sequence."""
        self._since_press = b""
        os.write(self._primary, keys.encode())

    def painted_s(self, words: str, timeout_s: float) -> float | None:
        """Seconds from now until the program has painted `words`, counted from the last key press; None: it has not.

        Only words that stand in one style on one line are found, and only if they were not on the screen before.
        """
        began = time.perf_counter()
        wanted = words.encode()
        while wanted not in self._since_press:
            left = began + timeout_s - time.perf_counter()
            if left <= 0 or self._process.poll() is not None:
                return None
            self._read(left)
        return time.perf_counter() - began

    def first_frame_s(self, timeout_s: float = 30.0) -> float:
        """Seconds from the command's start until it has painted a screenful (as many bytes as the screen has cells).

        Raises:
            TimeoutError: it did not.
        """
        end = time.monotonic() + timeout_s
        while self.bytes_read < self._cells:
            if time.monotonic() > end or self._process.poll() is not None:
                raise TimeoutError(f"no frame after {timeout_s} s")
            self._read(0.05)
        return time.perf_counter() - self.started

    def cpu_s(self) -> float:
        """CPU seconds that the program itself has used, without its children."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Resident memory, MB."""
        return float(psutil.Process(self._process.pid).memory_info().rss) / 1e6

    def _read(self, timeout_s: float) -> None:
        if select.select([self._primary], [], [], timeout_s)[0]:
            try:
                data = os.read(self._primary, 65_536)
            except OSError:  # the program has closed its side
                time.sleep(min(timeout_s, 0.05))
                return
            self.bytes_read += len(data)
            self._since_press += data
