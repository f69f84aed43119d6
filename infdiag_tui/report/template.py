"""The template of a report: which of its lines are the program's, and where these stand in a text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

SLOT = re.compile(r"\{([a-z0-9_]+)\}")
"""What the program fills in."""


class Template:
    """A text in which `{slot}` marks what the program fills in; a line with slots is one unit.

    Lines are named by their number in the template. A line all of whose slots are None is left out of the text, to come
    back behind what precedes it in the template once a slot has something to say.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.patterns: dict[int, str] = {number: line for number, line in enumerate(self._lines) if SLOT.search(line)}
        self._fixed = {line for line in self._lines if line.strip()} - set(self.patterns.values())
        self._under = {number: self._above(self._lines, number) for number in self.patterns}

    def filled(self, values: Mapping[str, str | None]) -> dict[int, str | None]:
        """Each of the program's lines with the slots' values; a slot without a value stands as it is."""
        return {number: _filled(pattern, values) for number, pattern in self.patterns.items()}

    def refilled(self, text: str, old: Mapping[int, str | None], new: Mapping[int, str | None]) -> str:
        """`text` with each of the program's lines, where it still reads as in `old`, brought to `new`.

        A line that is in neither, because the operator changed or deleted it, stays theirs.
        """
        lines = text.split("\n")
        places = self.places(lines, old)
        inserted: dict[int, list[str]] = {}
        removed: set[int] = set()
        for number, before in old.items():
            after = new.get(number, before)
            if before == after:
                continue
            if before is not None:
                place = places.get(number)
                if place is None:
                    continue
                if after is None:
                    removed.add(place)
                else:
                    lines[place] = after
            elif after is not None:
                anchor = self._anchor(number, lines, places)
                if anchor is not None:
                    inserted.setdefault(anchor, []).append(after)
        if not inserted and not removed:
            return "\n".join(lines)
        result: list[str] = []
        for index, line in enumerate(lines):
            result += [] if index in removed else [line]
            result += inserted.get(index, [])
        return "\n".join(result)

    def places(self, lines: Sequence[str], filled: Mapping[int, str | None]) -> dict[int, int]:
        """Where each of the program's lines stands in a text, as far as it reads as in `filled`.

        Lines are claimed in the template's order, so that two which read alike are not taken for each other; a copy
        that the operator put under another heading is theirs.
        """
        found: dict[str, list[int]] = {}
        for index, line in enumerate(lines):
            found.setdefault(line, []).append(index)
        claimed: set[int] = set()
        places: dict[int, int] = {}
        last = -1
        for number, own in filled.items():
            free = [index for index in found.get(own, ()) if index not in claimed] if own is not None else []
            if len(free) > 1:
                free = [index for index in free if self._above(lines, index) == self._under[number]] or free
            if free:
                last = next((index for index in free if index > last), free[0])
                claimed.add(last)
                places[number] = last
        return places

    def _above(self, lines: Sequence[str], index: int) -> str:
        """The nearest of the template's fixed words above a line."""
        return next((line for line in reversed(lines[:index]) if line in self._fixed), "")

    def line_at(self, text: str, filled: Mapping[int, str | None], index: int) -> int | None:
        """Which of the program's lines the operator's line at `index` was; None when it is none.

        It lies between the nearest lines of the program above and below it; of those that are missing between, the one
        whose fixed words it shares most of, else the first.
        """
        lines = text.split("\n")
        if not 0 <= index < len(lines):
            return None
        places = self.places(lines, filled)
        if index in places.values():
            return None
        above = max((number for number, place in places.items() if place < index), default=-1)
        below = min((number for number, place in places.items() if place > index), default=len(self._lines))
        missing = [
            number
            for number in self.patterns
            if above < number < below and number not in places and filled.get(number) is not None
        ]
        if not missing or lines[index] in self._lines:
            return None
        shared = {number: _shared_start(lines[index], filled[number] or "") for number in missing}
        fixed = {number: len(self.patterns[number].partition("{")[0]) for number in missing}
        alike = [number for number in missing if fixed[number] and shared[number] >= fixed[number]]
        bare = [number for number in missing if not fixed[number]]
        return max(alike, key=lambda number: shared[number]) if alike else next(iter(bare), None)

    def _anchor(self, number: int, lines: Sequence[str], places: Mapping[int, int]) -> int | None:
        """Behind which line of a text an absent line belongs; None when the operator removed its surroundings."""
        for before in range(number - 1, -1, -1):
            if before in places:
                return places[before]
            fixed = self._lines[before]
            if before in self.patterns:
                continue
            if not fixed.strip():
                return self._blank_before(number, lines, places)
            found = [index for index, line in enumerate(lines) if line == fixed]
            return found[0] if found else None
        return None

    def _blank_before(self, number: int, lines: Sequence[str], places: Mapping[int, int]) -> int | None:
        """The blank line that opens the block of a line, found from the words before or after it."""
        for before in range(number - 1, -1, -1):
            fixed = self._lines[before]
            place = places.get(before)
            if place is None and before not in self.patterns and fixed.strip():
                place = next((index for index, line in enumerate(lines) if line == fixed), None)
                if place is None:
                    return None
            if place is not None:
                after = range(place + 1, len(lines))
                return next((index for index in after if not lines[index].strip()), None)
        return None


def _filled(pattern: str, values: Mapping[str, str | None]) -> str | None:
    slots = SLOT.findall(pattern)
    if slots and all(slot in values and values[slot] is None for slot in slots):
        return None

    def value(found: re.Match[str]) -> str:
        given = values.get(found.group(1), found.group(0))
        return "" if given is None else given

    return SLOT.sub(value, pattern)


def _shared_start(one: str, other: str) -> int:
    """How many characters two lines begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
