"""A console over a scripted engine in a process of its own: started by tests on a real pseudo-terminal.

Arguments: a file to which the engine's calls are written as JSON lines, and how the engine behaves.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import sys
import termios
import time
from pathlib import Path

from infdiag_tui.app import run_console
from infdiag_tui.model import CompanionOffer, GuidanceView, Snapshot, StartFailure
from tests.screens.scripted import ScriptedEngine, incident_snapshot

INTERRUPTIBLE = (
    "import signal, sys, time\n"
    "def end(*_):\n"
    "    print('the program was ' + 'interrupted', flush=True)\n"
    "    sys.exit(7)\n"
    "signal.signal(signal.SIGINT, end)\n"
    "print('the program is at ' + 'work', flush=True)\n"
    "time.sleep(60)\n"
)


def guidance() -> GuidanceView:
    """With a program for the operator's terminal that Ctrl+C ends."""
    argv = (sys.executable, "-c", INTERRUPTIBLE)
    offer = CompanionOffer("stern", "x", "stern", "on this machine", interactive=True, argv=(argv,))
    return GuidanceView("memory-leak", "Memory leak", "# Memory leak", (offer,))


class RecordingEngine(ScriptedEngine):
    """Writes down each call at once; its snapshots differ every time, so that the screen has much to draw."""

    def __init__(self, record: Path, mode: str) -> None:
        shown = guidance() if mode == "interactive" else None
        super().__init__(dataclasses.replace(incident_snapshot(), at=time.time(), guidance=shown))
        self._record = record
        self._mode = mode
        self._number = 0

    def note(self, **entry: object) -> None:
        with self._record.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def start(self) -> None:
        super().start()
        self.note(call="start")

    def snapshot(self) -> Snapshot | None:
        assert self.latest is not None
        self._number += 1
        if self._mode == "crash" and self._number == 3:
            raise RuntimeError("the screen's [own] fault")
        shift = self._number % 7
        lines = self.latest.logs.lines
        logs = dataclasses.replace(self.latest.logs, lines=lines[shift:] + lines[:shift], first_seq=self._number * 500)
        return dataclasses.replace(self.latest, number=self._number, logs=logs)

    def failure(self) -> StartFailure | None:
        return StartFailure("infdiag.toml: no model named x", 2) if self._mode == "no-config" else None

    def edit_draft(self, text: str, base_version: int) -> int:
        number = super().edit_draft(text, base_version)
        self.note(call="edit", tail=text[-40:])
        return number

    def stop(self, timeout_s: float) -> bool:
        self.note(call="stop", timeout_s=timeout_s)
        if self._mode == "hang":
            time.sleep(timeout_s)
            return False
        return True


def main() -> int:
    if sys.argv[2] != "not-controlled":
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # the pseudo-terminal becomes this session's own, as a shell's would be
    engine = RecordingEngine(Path(sys.argv[1]), sys.argv[2])
    return run_console(engine, title="fraud-scorer", refresh_s=0.2)


if __name__ == "__main__":
    sys.exit(main())
