"""The draft document: fills its slots, and leaves every line alone that the operator has touched."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from importlib.resources import files

_SLOT = re.compile(r"\{([a-z0-9_]+)\}")
_REMEMBERED = 4_000
"""Fillings of each slot that are remembered, two hours at one every 2 s: an operator who paused the screen and writes
on makes edits of that old a version, in which the lines that were refilled since must still be known as the program's.
"""


def built_in_template() -> str:
    """The specification's report with a `{slot}` per line that fills itself."""
    return (files(__package__) / "template.md").read_text(encoding="utf-8")


class Draft:
    """A Markdown text with one owner, changed from two sides.

    A slot's line belongs to the program as long as it reads exactly as the program last wrote it; once the operator
    changes or deletes it, it is theirs. The operator's edits arrive as whole texts on top of a known version; lines
    that the program refilled since that version are brought up to date in them, all else stays as the operator has it.
    """

    def __init__(self, template: str) -> None:
        self._patterns = {match.group(1): line for line in template.splitlines() for match in _SLOT.finditer(line)}
        self._filled: dict[str, str] = dict(self._patterns)
        self._history: dict[str, list[tuple[int, str]]] = {slot: [(0, line)] for slot, line in self._patterns.items()}
        """Each slot's lines with the version from which on they stood, oldest first."""
        self.text = template
        self.version = 0
        self.applied_edit = 0

    def fill(self, values: Mapping[str, str]) -> bool:
        """Brings the slots up to date; True when the text changed.

        Raises:
            ValueError: a value spans lines, which would let data invent headings.
        """
        lines = {}
        for slot, pattern in self._patterns.items():
            value = values.get(slot)
            if value is None:
                continue
            if "\n" in value or "\r" in value:
                raise ValueError(f"the value of slot {slot!r} spans several lines")
            lines[slot] = pattern.replace(f"{{{slot}}}", value)
        text = _replace_lines(self.text, self._filled, lines)
        changed = text != self.text
        if changed:
            self.text = text
            self.version += 1
        self._remember(lines)
        self._filled.update(lines)
        return changed

    def edit(self, text: str, base_version: int, number: int) -> None:
        """Takes the operator's whole text, made on top of `base_version`; `number` is the edit's own."""
        self.text = _replace_lines(text.replace("\r\n", "\n"), self._filled_at(base_version), self._filled)
        self.version += 1
        self.applied_edit = number

    def _remember(self, lines: Mapping[str, str]) -> None:
        for slot, line in lines.items():
            if line == self._filled[slot]:
                continue
            history = self._history[slot]
            history.append((self.version, line))
            if len(history) > _REMEMBERED + _REMEMBERED // 8:
                del history[:-_REMEMBERED]

    def _filled_at(self, version: int) -> dict[str, str]:
        """What the program had written into the slots by `version`; without those that it no longer remembers."""
        found = {}
        for slot, history in self._history.items():
            after = bisect_right(history, version, key=lambda entry: entry[0])
            if after:
                found[slot] = history[after - 1][1]
        return found


def _replace_lines(text: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """`text` with each slot's old line, where it still stands, replaced by its new one.

    Slots claim their lines in the template's order, so that two slots which read alike are not taken for each other.
    """
    lines = text.split("\n")
    places: dict[str, list[int]] = {}
    for index, line in enumerate(lines):
        places.setdefault(line, []).append(index)
    claimed: set[int] = set()
    last = -1
    for slot, line in old.items():
        free = [index for index in places.get(line, ()) if index not in claimed]
        if not free:
            continue
        last = next((index for index in free if index > last), free[0])
        claimed.add(last)
        lines[last] = new.get(slot, line)
    return "\n".join(lines)
