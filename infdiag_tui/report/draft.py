"""The draft document: fills its slots, and leaves every line alone that the operator has touched."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Mapping
from importlib.resources import files

from infdiag_tui.report.template import Template

_REMEMBERED = 4_000
"""Fillings of each line that are remembered, two hours at one every 2 s: an operator who paused the screen and writes
on makes edits of that old a version, in which the lines that were refilled since must still be known as the program's.
"""

Filling = Mapping[int, str | None]
"""What the program has in each line of its own, by the line's number in the template; None: the line is not there."""


def built_in_template() -> str:
    """The specification's report with a `{slot}` per line that fills itself."""
    return (files(__package__) / "template.md").read_text(encoding="utf-8")


class Draft:
    """A Markdown text with one owner, changed from two sides.

    A line with slots belongs to the program as long as it reads exactly as the program last wrote it; once the operator
    changes or deletes it, it is theirs until they give it back. A line whose slots have nothing to say is not there.
    The operator's edits arrive as whole texts on top of a known version; lines that the program refilled since that
    version are brought up to date in them, all else stays as the operator has it.
    """

    def __init__(self, template: str) -> None:
        self._template = Template(template)
        self._values: dict[str, str | None] = {}
        self._filled: dict[int, str | None] = dict(self._template.patterns)
        self._history: dict[int, list[tuple[int, str | None]]] = {
            number: [(0, line)] for number, line in self._filled.items()
        }
        """Each line's fillings with the version from which on they stood, oldest first."""
        self._appended: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        """Added lines with the version in which each came."""
        self.text = template
        self.version = 0
        self.applied_edit = 0

    def fill(self, values: Mapping[str, str | None]) -> bool:
        """Brings the slots up to date; True when the text changed. None takes the slot's line away.

        Raises:
            ValueError: a value spans lines, which would let data invent headings.
        """
        for slot, value in values.items():
            if value is not None and ("\n" in value or "\r" in value):
                raise ValueError(f"the value of slot {slot!r} spans several lines")
        self._values.update(values)
        filling = self._template.filled(self._values)
        changed = self._take_text(self._template.refilled(self.text, self._filled, filling))
        for number, line in filling.items():
            if line != self._filled[number]:
                self._remember(number, line)
        self._filled.update(filling)
        return changed

    def edit(self, text: str, base_version: int, number: int) -> None:
        """Takes the operator's whole text, made on top of `base_version`; `number` is the edit's own."""
        text = text.replace("\r\n", "\n")
        text = self._template.refilled(text, self._filled_at(base_version), self._filled)
        for version, line in self._appended:
            if version > base_version:  # added since: the operator's text cannot hold it yet
                text = _with_line(text, line)
        self.text = text
        self.version += 1
        self.applied_edit = number

    def append(self, line: str) -> None:
        """Adds a line at the end, as the operator's own.

        Raises:
            ValueError: it spans lines.
        """
        if "\n" in line or "\r" in line:
            raise ValueError("a note spans several lines")
        self._take_text(_with_line(self.text, line))
        self._appended.append((self.version, line))

    def give_back(self, line_number: int) -> bool:
        """Lets the program fill the line of the text with that number (from 0) again; False when it is none of its own.

        A line that the operator changed is known by its place among the program's lines and by what it still says.
        """
        number = self._template.line_at(self.text, self._filled, line_number)
        if number is None:
            return False
        lines = self.text.split("\n")
        line = self._filled[number]
        lines[line_number : line_number + 1] = [] if line is None else [line]
        return self._take_text("\n".join(lines))

    def is_operators(self, line_number: int) -> bool:
        """True when that line of the text is not as the program has it."""
        return line_number not in self._template.places(self.text.split("\n"), self._filled).values()

    def _take_text(self, text: str) -> bool:
        changed = text != self.text
        if changed:
            self.text = text
            self.version += 1
        return changed

    def _remember(self, number: int, line: str | None) -> None:
        history = self._history[number]
        history.append((self.version, line))
        if len(history) > _REMEMBERED + _REMEMBERED // 8:
            del history[:-_REMEMBERED]

    def _filled_at(self, version: int) -> dict[int, str | None]:
        """What the program had in its lines by `version`; without those that it no longer remembers."""
        found = {}
        for number, history in self._history.items():
            after = bisect_right(history, version, key=lambda entry: entry[0])
            if after:
                found[number] = history[after - 1][1]
        return found


def _with_line(text: str, line: str) -> str:
    """`text` with a line behind it; set off by a blank line from a paragraph, which it would otherwise continue."""
    start = text if not text or text.endswith("\n") else f"{text}\n"
    last = start[:-1].rpartition("\n")[2]
    gap = "" if not last.strip() or last.startswith("- ") else "\n"
    return f"{start}{gap}{line}\n"
