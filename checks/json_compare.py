"""How two JSON documents differ: paths, values, and by how much their numbers are apart."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from infdiag_tui.text import clean, one_line

LISTED = 20
"""Differences kept with their values; all are counted."""
_VALUE_LENGTH = 120
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")

VOLATILE_NAMES = frozenset(
    {
        *("request_id", "requestId", "trace_id", "traceId", "span_id", "correlation_id", "system_fingerprint"),
        *("timestamp", "created_at", "served_at", "latency_ms", "elapsed_ms", "took_ms", "duration_ms"),
        *("processing_time_ms", "inference_time_ms", "response_time_ms"),
    },
)
"""Members that differ in every reply of a healthy server: ids of requests, times of day, durations."""
VOLATILE_PATHS = frozenset({"$.id", "$.created"})
"""The same, where only the place tells: V2 and OpenAI replies."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Numbers are equal when |actual - expected| <= absolute + relative * |expected| (as NumPy's `allclose`)."""

    absolute: float = 0.0
    relative: float = 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where documents differ; values are shortened and printable. `distance` is between two numbers."""

    path: str
    expected: str
    actual: str
    distance: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For the check's result."""
        return {"path": self.path, "expected": self.expected, "actual": self.actual, "distance": self.distance}


@dataclass(slots=True)
class Comparison:
    """What comparing two documents gave.

    `count` places differ beyond the tolerance, `changed` differ at all, out of `compared`. The largest distances are
    over numbers that stand in both; `max_relative` is relative to the expected number, None where that is always zero.
    `ignored` are places that differed and were left out of account as volatile.
    """

    count: int = 0
    changed: int = 0
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    max_absolute: float | None = None
    max_relative: float | None = None
    ignored: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        """True when nothing differs beyond the tolerance."""
        return self.count == 0


@dataclass(frozen=True, slots=True)
class Ignored:
    """Which places are left out of account: member names anywhere, and whole paths."""

    names: frozenset[str] = VOLATILE_NAMES
    paths: frozenset[str] = VOLATILE_PATHS

    @classmethod
    def also(cls, given: tuple[str, ...]) -> Ignored:
        """The volatile ones and those given: a name, or a path that begins with `$`."""
        paths = {one for one in given if one.startswith("$")}
        return cls(VOLATILE_NAMES | (set(given) - paths), VOLATILE_PATHS | paths)

    def covers(self, path: str, name: str | None) -> bool:
        """True when this place is left out."""
        return name in self.names or path in self.paths


@dataclass(frozen=True, slots=True)
class _Pair:
    path: str
    expected: Any
    actual: Any
    name: str | None = None


_ABSENT = object()


def compare(
    expected: Any,
    actual: Any,
    *,
    tolerance: Tolerance = Tolerance(),
    subset: bool = False,
    ignored: Ignored = Ignored(),
) -> Comparison:
    """Compares in document order. With `subset`, members that only `actual` has are no difference.

    An integer and a float of the same value are equal; true is not 1. Takes any depth (no recursion).
    """
    found = Comparison()
    waiting = [_Pair("$", expected, actual)]
    while waiting:
        pair = waiting.pop()
        if ignored.covers(pair.path, pair.name):
            if pair.expected is not _ABSENT and pair.actual is not _ABSENT and pair.expected != pair.actual:
                found.ignored.append(pair.path)
            continue
        if isinstance(pair.expected, dict) and isinstance(pair.actual, dict):
            waiting += reversed(list(_members(pair, subset=subset)))
        elif isinstance(pair.expected, list) and isinstance(pair.actual, list):
            _note_lengths(found, pair)
            both = zip(pair.expected, pair.actual, strict=False)
            waiting += reversed([_Pair(f"{pair.path}[{at}]", one, other) for at, (one, other) in enumerate(both)])
        else:
            _leaf(found, pair, tolerance)
    return found


def _members(pair: _Pair, *, subset: bool) -> Iterator[_Pair]:
    names = list(pair.expected)
    if not subset:
        names += [name for name in pair.actual if name not in pair.expected]
    for name in names:
        step = f".{name}" if _PLAIN_KEY.fullmatch(name) else f"[{one_line(clean(json.dumps(name)), 60)}]"
        expected, actual = pair.expected.get(name, _ABSENT), pair.actual.get(name, _ABSENT)
        yield _Pair(pair.path + step, expected, actual, name)


def _note_lengths(found: Comparison, pair: _Pair) -> None:
    wanted, got = len(pair.expected), len(pair.actual)
    if wanted != got:
        _note(found, Difference(f"{pair.path}.length", str(wanted), str(got), float(abs(got - wanted))))


def _leaf(found: Comparison, pair: _Pair, tolerance: Tolerance) -> None:
    found.compared += 1
    expected, actual = pair.expected, pair.actual
    if not (_is_number(expected) and _is_number(actual)):
        if type(expected) is not type(actual) or expected != actual:
            _note(found, Difference(pair.path, shown(expected), shown(actual)))
        return
    if expected == actual or (expected != expected and actual != actual):  # noqa: PLR0124 - NaN is NaN's equal here
        return
    distance = _distance(expected, actual)
    if math.isfinite(distance):
        found.max_absolute = max(distance, found.max_absolute or 0.0)
        if expected:
            found.max_relative = max(distance / abs(expected), found.max_relative or 0.0)
        if distance <= tolerance.absolute + tolerance.relative * abs(expected):
            found.changed += 1
            return
    _note(found, Difference(pair.path, shown(expected), shown(actual), distance if math.isfinite(distance) else None))


def _distance(expected: float, actual: float) -> float:
    """Infinite where it has no figure (NaN, or too large for one), so that no tolerance covers it."""
    try:
        float(expected)  # raises where no tolerance could be worked out
        distance = float(abs(actual - expected))
    except OverflowError:
        return math.inf
    return math.inf if math.isnan(distance) else distance


def _note(found: Comparison, difference: Difference) -> None:
    found.count += 1
    found.changed += 1
    if len(found.differences) < LISTED:
        found.differences.append(difference)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """A value as short printable JSON; what is not there is `absent`."""
    if value is _ABSENT:
        return "absent"
    if isinstance(value, dict | list):
        # The whole may be huge and deep: its size says enough.
        kind = "object" if isinstance(value, dict) else "array"
        return f"{kind} of {len(value)}"
    return one_line(clean(json.dumps(value, ensure_ascii=False, default=str)), _VALUE_LENGTH)
