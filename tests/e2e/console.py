"""The real program on a real pseudo-terminal, and what a person would see there (through a terminal emulator)."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

from tests.support import eventually_blocking

ROOT = Path(__file__).parents[2]
_LEAVE_ALTERNATE_SCREEN = b"\x1b[?1049l"


class Console:
    """`infdiag` in a terminal of its own; the `with` block kills what is left of it.

    A thread reads and draws what the program writes, until `stop_reading`: from then on the terminal is as stalled as
    one behind a dead link.
    """

    def __init__(
        self,
        *words: str,
        home: Path,
        columns: int = 120,
        rows: int = 40,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._primary, secondary = pty.openpty()
        self._resize(columns, rows)
        kept = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "infdiag_tui", *words],
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
            cwd=home,
            start_new_session=True,
            env={
                **kept,
                "HOME": str(home),
                "XDG_STATE_HOME": str(home / "state"),
                "XDG_CONFIG_HOME": str(home / "config"),
                "PYTHONPATH": str(ROOT),
                "TERM": "xterm-256color",
                "COLORTERM": "truecolor",
                **(env or {}),
            },
        )
        os.close(secondary)
        self._reading = True
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        self.stop_reading()
        os.close(self._primary)

    @property
    def text(self) -> str:
        """The screen as lines of text."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def shows(self, *parts: str) -> bool:
        """Whether all of these stand on the screen."""
        text = self.text
        return all(part in text for part in parts)

    def wait_for(self, *parts: str, timeout_s: float = 20.0) -> float:
        """Waits until all of these stand on the screen; returns the seconds it took."""
        began = time.monotonic()
        try:
            eventually_blocking(lambda: self.shows(*parts), timeout_s)
        except AssertionError:
            raise AssertionError(f"{parts} did not appear within {timeout_s} s on:\n{self.text}") from None
        return time.monotonic() - began

    def press(self, keys: str) -> None:
        """Types characters or an escape sequence."""
        os.write(self._primary, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Changes the terminal's size, as dragging a window does."""
        with self._lock:
            self._screen.resize(rows, columns)
        self._resize(columns, rows)
        self.process.send_signal(signal.SIGWINCH)

    def stop_reading(self) -> None:
        """From now on nobody reads this terminal."""
        self._reading = False
        self._reader.join(5)

    def hang_up(self) -> None:
        """The terminal goes away, as when the link is cut."""
        self.stop_reading()
        os.close(self._primary)
        self._primary = os.open(os.devnull, os.O_RDWR)

    def _resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._primary, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self) -> None:
        while self._reading:
            if not select.select([self._primary], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self._primary, 65_536)
            except OSError:  # the program has closed its side
                return
            with self._lock:
                # pyte has one screen only: leaving the alternate one shows what was there before, nothing.
                before, left, after = data.rpartition(_LEAVE_ALTERNATE_SCREEN)
                self._stream.feed(before)
                if left:
                    self._screen.reset()
                self._stream.feed(after)
