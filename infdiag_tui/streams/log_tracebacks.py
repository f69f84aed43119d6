"""Which raw lines belong together: tracebacks with their chains, panics, and indented continuation lines."""

from __future__ import annotations

import re
from enum import Enum, auto

from infdiag_tui.streams.log_levels import LEVELS

TRACEBACK = "Traceback (most recent call last)"
_CHAINS = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_EXCEPTION = re.compile(r"([A-Za-z_][\w.]{0,200})(?::|$| \()")
_PANIC_START = re.compile(r"panic: |fatal error: |Fatal Python error|thread '[^']{0,80}' (?:\(\d+\) )?panicked at ")
_PANIC_LINE = re.compile(
    r"goroutine \d+ |\[signal |created by |exit status |note: |Current thread |Thread 0x|Extension modules"
    r"|<no Python frame>|[\w./*()\[\]{}-]{1,300}\(.{0,200}\)$|stack backtrace:",
)
_JAVA_LINE = ("Caused by: ", "... ", "Suppressed: ")
_PEM = re.compile(r"[A-Za-z0-9+/=]{1,80}$|-----END ")
_AFTER_EXCEPTION_LINES = 40


class _Part(Enum):
    PLAIN = auto()
    FRAMES = auto()
    """Inside a traceback, before its exception line."""
    RAISED = auto()
    """After the exception line, whose message may go on and which another may follow."""
    PANIC = auto()
    PEM = auto()
    """Inside a private key, which is redacted only as a whole."""


class Grouping:
    """Decides line by line whether a line continues the entry before it.

    It remembers that it is inside a traceback even when the entry so far has been given out, so that the rest is known
    to belong to an error.
    """

    def __init__(self) -> None:
        self._part = _Part.PLAIN
        self._blank = False
        self._chained = False
        self._after = 0

    @property
    def in_failure(self) -> bool:
        """True inside a traceback or panic."""
        return self._part in (_Part.FRAMES, _Part.RAISED, _Part.PANIC)

    @property
    def plain(self) -> bool:
        """True when only indentation can continue the entry."""
        return self._part is _Part.PLAIN

    def start(self, body: str) -> None:
        """A new entry begins with the message `body`."""
        self._blank, self._chained, self._after = False, False, 0
        if "Traceback" in body and TRACEBACK in body:
            self._part = _Part.FRAMES
        elif "-----BEGIN " in body and "PRIVATE KEY-----" in body and "-----END " not in body:
            self._part = _Part.PEM
        elif body[:1] in "pfFt" and _PANIC_START.match(body):
            self._part = _Part.PANIC
        else:
            self._part = _Part.PLAIN

    def blank(self) -> None:
        """A blank line came."""
        self._blank = True

    def continues(self, body: str, *, headed: bool) -> bool:
        """True when the non-blank `body` belongs to the entry before; `headed` when it has a time or level of its own.

        A traceback's start belongs to what came before only where a chain says so; whether a logged message goes with
        the traceback below it is the assembler's choice.
        """
        blank, self._blank = self._blank, False
        if body.startswith(_CHAINS) and self._part in (_Part.FRAMES, _Part.RAISED):
            self._part, self._chained = _Part.FRAMES, True
            return True
        if self._part is _Part.PLAIN:
            return not blank and (body[0].isspace() or body.startswith(_JAVA_LINE) or body[0] in "}])")
        if self._part is _Part.PEM:
            return self._in_key(body)
        if self._part is _Part.PANIC:
            return body[0].isspace() or (not headed and _PANIC_LINE.match(body) is not None) or not (blank or headed)
        return self._in_traceback(body, blank=blank, headed=headed)

    def _in_key(self, body: str) -> bool:
        inside = _PEM.match(body) is not None
        if not inside or body.startswith("-----END "):
            self._part = _Part.PLAIN
        return inside

    def _in_traceback(self, body: str, *, blank: bool, headed: bool) -> bool:
        if body.startswith(TRACEBACK):
            opens = self._part is _Part.FRAMES and self._chained
            self._chained = False
            return opens
        if body[0].isspace():
            return True
        if self._part is _Part.FRAMES:
            match = _EXCEPTION.match(body)
            if match and match[1].lower() not in LEVELS:
                self._part, self._after = _Part.RAISED, 0
                return True
            return not headed
        self._after += 1
        return not blank and not headed and self._after <= _AFTER_EXCEPTION_LINES
