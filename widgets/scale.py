"""Value scales with round ends, and points sorted into the columns of a chart; pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_GAP_FACTOR = 3.5
"""Points this many usual distances apart have something missing between them. Thinned history changes its distance by
a factor of two at a time, which is no gap."""

_LARGEST = 1e300
"""Beyond this even a difference of two values may overflow."""
_LATEST = 1e15

Range = tuple[float, float]


def usable(value: float | None, largest: float = _LARGEST) -> bool:
    """True for a number that can be drawn."""
    return value is not None and abs(value) <= largest  # never true of NaN


def usable_time(at: float) -> bool:
    """True for a time that can be placed."""
    return usable(at, _LATEST)


@dataclass(frozen=True, slots=True)
class Scale:
    """The values at the lower and upper edge of a chart."""

    low: float
    high: float

    def row(self, value: float, rows: int) -> int:
        """The row of dots, counted from the bottom, that `value` falls on; held within the chart."""
        # Clamped before rounding: over a denormal range the quotient overflows to infinity.
        share = min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))
        return round(share * (rows - 1))


def nice_ceiling(value: float, base: int = 10) -> float:
    """The smallest round number at or above `value` (positive); `base` 1024 gives round KiB, MiB, GiB."""
    if not math.isfinite(value) or value <= 0:
        return 1.0
    unit = 1.0
    if base == 1024:
        unit = 1024.0 ** max(0, math.floor(math.log(value, 1024)))
    figure = value / unit
    power = 10.0 ** math.floor(math.log10(figure))
    for step in _STEPS:
        if figure <= step * power * (1 + 1e-9):
            return step * power * unit
    return 10.0 * power * unit


def fitting(values: Sequence[float], low: float | None, high: float | None, base: int = 10) -> Scale:
    """A scale for finite `values`: given ends are kept, open ends become round, zero is included."""
    finite = [value for value in values if usable(value)]
    low, high = (end if usable(end) else None for end in (low, high))
    bottom = (
        low
        if low is not None
        else -nice_ceiling(-min(finite, default=0.0), base)
        if finite and min(finite) < 0
        else 0.0
    )
    top = high if high is not None else nice_ceiling(max(finite, default=0.0), base)
    if not top > bottom:
        top = bottom + 1.0
    if not top > bottom:  # one more is lost on a number that large
        top = bottom + abs(bottom)
    return Scale(bottom, top)


def close_fitting(values: Sequence[float], base: int = 10) -> Scale:
    """A scale with round ends just around finite `values`, wherever zero is: for small changes on a high level."""
    finite = [value for value in values if usable(value)]
    if not finite:
        return Scale(0.0, 1.0)
    low, high = min(finite), max(finite)
    # A spread that is a mere thousandth of the level is noise: it does not deserve the whole height.
    spread = max(high - low, abs(high) * 1e-3) or 1.0
    step = nice_ceiling(spread / 4, base)
    bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step
    if not top > bottom:
        top = bottom + max(step, abs(bottom) * 1e-9)
    return Scale(bottom, top)


def sort_into_columns(
    times: Sequence[float],
    values: Sequence[float | None],
    lows: Sequence[float],
    highs: Sequence[float],
    *,
    start: float,
    step_s: float,
    count: int,
    gap_s: float | None = None,
) -> list[Range | None]:
    """Per column the lowest and highest value in it, None where data is missing.

    Between neighbouring points the columns are filled in along a straight line, unless the points are more than `gap_s`
    apart (default: 3.5 times the distance around them) or one of them is no number.

    Args:
        times: Unix seconds, rising.
        values: One value per time; None or NaN for a failure.
        lows: Lowest sample that each value stands for, or empty.
        highs: Highest, likewise.
        start: Time at the left edge of the first column.
        step_s: Width of a column in seconds.
        count: Number of columns.
        gap_s: Longest distance that is still connected.
    """
    filled: list[Range | None] = [None] * count
    before: tuple[float, float] | None = None
    for index, (at, raw) in enumerate(zip(times, values, strict=False)):
        value = math.nan if raw is None else raw
        if not (usable(value) and usable_time(at)):
            before = None
            continue
        low = min(value, lows[index]) if index < len(lows) and usable(lows[index]) else value
        high = max(value, highs[index]) if index < len(highs) and usable(highs[index]) else value
        column = _column(at, start, step_s, count)
        if before is not None and at - before[0] <= (gap_s if gap_s is not None else _usual_gap(times, index)):
            first = _column(before[0], start, step_s, count)
            for between in range(max(0, first + 1), min(count, column)):
                share = (between - first) / max(1, column - first)
                _widen(filled, between, before[1] + (value - before[1]) * share)
        if 0 <= column < count:
            _widen(filled, column, low)
            _widen(filled, column, high)
        before = (at, value)
    return filled


def _column(at: float, start: float, step_s: float, count: int) -> int:
    """The column of a time; one far outside is drawn in to just outside, so that no loop runs long."""
    return max(-2, min(count + 1, math.floor((at - start) / step_s)))


def _usual_gap(times: Sequence[float], index: int) -> float:
    """How far apart the points around `index` may be and still belong together."""
    near = [
        times[other] - times[other - 1]
        for other in (index - 1, index + 1)
        if 0 < other < len(times) and times[other] > times[other - 1]
    ]
    return _GAP_FACTOR * min(near) if near else math.inf


def _widen(filled: list[Range | None], column: int, value: float) -> None:
    there = filled[column]
    filled[column] = (value, value) if there is None else (min(there[0], value), max(there[1], value))
