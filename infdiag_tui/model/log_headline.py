"""The line of a log entry that says most: of a traceback the exception, not the words every traceback begins with."""

from __future__ import annotations

import re

TRACEBACK = "Traceback (most recent call last)"
"""What every Python traceback begins with."""

_NAMED = re.compile(
    r"(?:\[?[\w.-]{1,80}\]?[:|] ?)?[A-Za-z_][\w.]{0,200}(?:Error|Exception|Exit|Interrupt|Warning|Died)\b"
)
_GROUP_BAR = re.compile(r"^\s*\| ?")


def exception_line(text: str) -> str | None:
    """The exception that the last traceback in `text` ends with; None where there is no traceback or it has no end.

    Of several chained exceptions the last one counts: it is the one that was not caught. An exception is the first line
    behind the frames that is not indented, whatever its class is called; further lines are its message.
    """
    if TRACEBACK not in text or "\n" not in text:
        return None
    lines = [_GROUP_BAR.sub("", line, count=1) for line in text.split("\n")]
    start = max(number for number, line in enumerate(lines) if TRACEBACK in line)
    for line in lines[start + 1 :]:
        if line and not line[0].isspace() and not line.startswith("+-"):
            return line.rstrip()
    return next((line.rstrip() for line in reversed(lines[:start]) if _NAMED.match(line)), None)


def first_line(text: str) -> str:
    """The first line of `text` that is not blank, without the blanks around it; empty when all are."""
    head, newline, rest = text.partition("\n")
    while newline and not head.strip():
        head, newline, rest = rest.partition("\n")
    return head.strip()
