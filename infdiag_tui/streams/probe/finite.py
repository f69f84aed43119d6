"""Whether a reply to the known-good input holds numbers where it should: no NaN, no null in place of one."""

from __future__ import annotations

from typing import Any

MAX_NODES = 2_000
"""Values of a reply that are looked at; more would cost the probe more than the answer is worth."""

_NO_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})
"""How Protocol Buffers' JSON mapping writes what JSON has no number for."""


class NumberWatch:
    """Knows from earlier replies where numbers stand.

    Servers turn a model's NaN into `NaN` (which is no JSON), into these words in quotes, or into null. A null is told
    from one that belongs there by the same place having held a number before, and never a null.
    """

    def __init__(self) -> None:
        self._numbers: set[str] = set()
        self._nullable: set[str] = set()

    def has_nan(self, document: Any) -> bool | None:
        """True when a number is missing; None when the document holds none and so tells nothing."""
        numbers, nulls, words = _places(document)
        fresh = nulls - self._numbers
        # Where the first reply that has them holds numbers and nulls side by side, both belong there.
        self._nullable |= fresh
        bad = words or bool((nulls & self._numbers) - self._nullable)
        if not bad:
            self._numbers |= numbers
        return bad if bad or numbers else None


def _places(document: Any) -> tuple[set[str], set[str], bool]:
    """Where numbers stand, where nulls do, and whether a word stands for a number. A list is one place."""
    numbers: set[str] = set()
    nulls: set[str] = set()
    words = False
    pending: list[tuple[str, Any]] = [("", document)]
    seen = 0
    while pending and seen < MAX_NODES:
        place, value = pending.pop()
        seen += 1
        if value is None:
            nulls.add(place)
        elif isinstance(value, bool):
            continue
        elif isinstance(value, int | float):
            numbers.add(place)
        elif isinstance(value, str):
            words = words or value in _NO_NUMBERS
        elif isinstance(value, dict):
            pending.extend((f"{place}.{key}", inner) for key, inner in value.items())
        elif isinstance(value, list):
            pending.extend((f"{place}[]", inner) for inner in value[: MAX_NODES - seen])
    return numbers, nulls, words
