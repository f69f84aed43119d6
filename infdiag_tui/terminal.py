"""The terminal itself: whether there is one, how to be gentle to a slow link, and how to leave it as it was."""

from __future__ import annotations

import os
import signal
import sys
import termios
import threading
import time
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Protocol

from infdiag_tui.exit_codes import USAGE

OVER_SSH: Mapping[str, str] = {
    "TEXTUAL_ANIMATIONS": "none",
    "TEXTUAL_FPS": "10",
    "TEXTUAL_SMOOTH_SCROLL": "0",
}
"""Settings that Textual reads when it is imported; over SSH every frame is paid for in bytes and delay."""

_LEAVE = (
    "\x1b\\"  # ends a control string that was cut short
    "\x1b[?2026l"  # synchronised output off
    "\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"  # mouse off
    "\x1b[?2004l\x1b[?1004l\x1b[?2048l"  # bracketed paste, focus reports and in-band resize off
    "\x1b[<u"  # the keyboard protocol that was pushed at the start
    "\x1b[?7h\x1b[0m\x1b[?1049l\x1b[?25h"  # line wrap, plain colours, main screen, cursor
)


_WRITE_ATTEMPTS = 100
_WRITE_PAUSE_S = 0.002
"""A thread that hangs in a write holds the terminal until a signal has woken it."""


class NoTerminalError(Exception):
    """The console cannot be drawn here: why, and what to do instead."""

    exit_code = USAGE


class _Stream(Protocol):
    def isatty(self) -> bool: ...


def prepare_environment(environ: MutableMapping[str, str]) -> None:
    """Settings for Textual by where infdiag runs; to be called before Textual is imported. Keeps what is set."""
    if environ.get("SSH_CONNECTION"):
        for name, value in OVER_SSH.items():
            environ.setdefault(name, value)


def few_colours(environ: Mapping[str, str]) -> bool:
    """True where only the terminal's own 16 colours can be relied on."""
    term = environ.get("TERM", "")
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return False
    return not any(word in term for word in ("256color", "kitty", "direct", "ghostty", "alacritty"))


def require_terminal(
    environ: Mapping[str, str] | None = None,
    *,
    stdin: _Stream | None = None,
    stdout: _Stream | None = None,
    stderr: _Stream | None = None,
) -> None:
    """Makes sure that the console can be drawn and typed into; it draws on standard error.

    Raises:
        NoTerminalError: a stream is redirected, or the terminal cannot place a cursor.
    """
    streams = {
        "standard input": stdin or sys.stdin,
        "standard output": stdout or sys.stdout,
        "standard error": stderr or sys.stderr,
    }
    lacking = [name for name, stream in streams.items() if stream is None or not stream.isatty()]
    instead = "Run `infdiag triage --json` for a result without a screen."
    if lacking:
        verb = "is no terminal" if len(lacking) == 1 else "are no terminals"
        raise NoTerminalError(f"infdiag's console needs a terminal, but {' and '.join(lacking)} {verb}. {instead}")
    term = (os.environ if environ is None else environ).get("TERM", "")
    if term in ("", "dumb"):
        named = f"TERM={term}" if term else "an empty TERM"
        raise NoTerminalError(
            f"infdiag's console cannot draw on a terminal with {named}. {instead} "
            "If yours can do more, set TERM (for instance TERM=xterm-256color).",
        )


class TerminalState:
    """How the terminal was set before the console, so that it can be put back by anyone at any time.

    Args:
        input_fd: the terminal that is typed into.
        output_fd: the terminal that is drawn on.
    """

    def __init__(self, input_fd: int, output_fd: int) -> None:
        self._input_fd = input_fd
        self._output_fd = output_fd
        self._attributes: list[Any] | None = None
        self._output_path = ""
        with suppress(termios.error):
            self._attributes = termios.tcgetattr(input_fd)
        with suppress(OSError):
            self._output_path = os.ttyname(output_fd)

    def restore(self, message: str = "", *, leave_screen: bool = True) -> None:
        """Puts settings and screen back and prints `message`, without ever waiting for the terminal.

        What the terminal has not taken yet of an unfinished frame is thrown away. `leave_screen` False: the console
        left the screen in order already.
        """
        if self._attributes is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._input_fd, termios.TCSANOW, self._attributes)
        if not self._output_path:
            return
        text = (_LEAVE if leave_screen else "") + (f"{message}\n" if message else "")
        if text:
            with suppress(OSError):
                self._write(text.encode(errors="replace"), discard=leave_screen)

    def _write(self, data: bytes, *, discard: bool) -> None:
        # Opened anew because O_NONBLOCK on the inherited descriptor would be the shell's as well.
        handle = os.open(self._output_path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            for _ in range(_WRITE_ATTEMPTS):
                if discard:
                    with suppress(termios.error):
                        termios.tcflush(handle, termios.TCOFLUSH)
                try:
                    data = data[os.write(handle, data) :]
                except BlockingIOError:
                    if not discard:
                        return
                    time.sleep(_WRITE_PAUSE_S)
                if not data:
                    return
        finally:
            os.close(handle)


def silence_output() -> None:
    """Sends what this process still writes to standard output and error nowhere; for just before its end.

    A thread that hangs in a write to a stalled terminal is woken by a signal and goes on writing to nowhere, so that
    the rest of its frame does not land on the shell's screen. SIGTERM must have a handler.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    for thread in threading.enumerate():
        if thread.ident is not None and thread is not threading.current_thread():
            signal.pthread_kill(thread.ident, signal.SIGTERM)
