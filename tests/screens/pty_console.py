"""Runs a program on a pseudo-terminal that the test may read, leave unread, or close."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 20.0


class PtyConsole:
    """`tests.screens.scripted_console` with a controlling terminal of the given size."""

    def __init__(self, record: Path, mode: str = "ok", size: tuple[int, int] = (120, 40)) -> None:
        self.record = record
        self.output = b""
        self.master, slave = pty.openpty()
        self.slave_path = os.ttyname(slave)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.before = termios.tcgetattr(slave)
        self._spare = slave
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.screens.scripted_console", str(record), mode],
            cwd=REPOSITORY,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )

    def close_slave(self) -> None:
        """The test's own end that keeps the terminal's settings readable after the program ended."""
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._spare)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_for(self, timeout_s: float) -> None:
        """Reads what there is, waiting at most `timeout_s` for something."""
        ready, _, _ = select.select([self.master], [], [], timeout_s)
        if ready:
            try:
                self.output += os.read(self.master, 65536)
            except OSError:
                return

    def read_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, self.output[-2000:].decode(errors="replace")
            assert self.process.poll() is None or condition(), self.output[-4000:].decode(errors="replace")
            self.read_for(0.05)

    def wait_unread(self, condition: Callable[[], bool]) -> None:
        """Waits without reading the terminal."""
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def calls(self) -> list[dict[str, Any]]:
        if not self.record.exists():
            return []
        return [json.loads(row) for row in self.record.read_text(encoding="utf-8").splitlines()]

    def called(self, name: str) -> bool:
        return any(call["call"] == name for call in self.calls())

    def drain(self) -> str:
        """Everything that the ended program left on the terminal."""
        while True:
            before = len(self.output)
            self.read_for(0.2)
            if len(self.output) == before:
                return self.output.decode(errors="replace")

    def unread_bytes(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self.master, termios.FIONREAD, struct.pack("i", 0)))[0])

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.close_slave()
        if self.master >= 0:
            os.close(self.master)
            self.master = -1
