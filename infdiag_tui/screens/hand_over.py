"""Gives the operator's terminal to a program with a screen of its own, until it ends."""

from __future__ import annotations

import contextlib
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from types import FrameType


def hand_over(commands: Sequence[Sequence[str]]) -> int:
    """Runs one command, or several as a pipeline, on this terminal; its exit code. Blocking.

    Raises:
        OSError: it cannot be started.
    """
    words: Sequence[str] = commands[0]
    if len(commands) > 1:
        words = ("/bin/sh", "-c", " | ".join(shlex.join(one) for one in commands))
    with _keys_are_the_programs():
        return subprocess.run(words, check=False).returncode  # noqa: S603  # the operator agreed to it


@contextlib.contextmanager
def _keys_are_the_programs() -> Iterator[None]:
    """What Ctrl+C sends reaches all that is in the terminal's foreground, though it is meant for the program alone.

    Handlers, for what is ignored would be ignored by the program, too.
    """

    def leave_it(_number: int, _frame: FrameType | None) -> None:
        return

    before = {number: signal.signal(number, leave_it) for number in (signal.SIGINT, signal.SIGQUIT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
