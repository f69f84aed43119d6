"""Tells a leak from warm-up, from sawtooth and from steady memory."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from infdiag_tui.stats.theil_sen import Slope, theil_sen

MIN_POINTS = 12
"""Fewer readings are not judged: halves of six are the least that Theil-Sen's interval says something of."""

MIN_GROWTH_SHARE = 0.005
MIN_GROWTH_BYTES = 512 * 1024
"""Growth over the window below both of these is an allocator's breathing."""

WARM_UP_RATIO = 0.25
"""A second half that grows at less than this share of the first one's pace is settling."""

MIN_TEETH = 4
"""Fewer troughs do not show that they rise."""

TOOTH_SHARE = 0.3
"""A fall by more than this share of the series' range ends a tooth."""


class Growth(StrEnum):
    """How memory behaves over time."""

    LEAK = "leak"
    WARM_UP = "warm-up"
    SAWTOOTH = "sawtooth"
    STEADY = "steady"
    TOO_SHORT = "too short"


@dataclass(frozen=True, slots=True)
class Series:
    """Readings of one memory: seconds and bytes, its limit in bytes where known.

    `limit_source` says where the limit comes from.
    """

    subject: str
    at_s: tuple[float, ...]
    used_bytes: tuple[float, ...]
    limit_bytes: float | None = None
    limit_source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the series shows. `slope` is in bytes per second; of the troughs when it is a sawtooth.

    `time_to_limit_s` is the time until the limit at this slope, `soonest_s` and `latest_s` at the interval's ends;
    None when it does not get there or no limit is known.
    """

    growth: Growth
    slope: Slope | None
    words: str
    time_to_limit_s: float | None = None
    soonest_s: float | None = None
    latest_s: float | None = None


def judge(series: Series) -> Judgement:
    """Judges one series. Blocking (NumPy).

    A leak grows over the whole window and still in its second half, by more than noise, with the 95 % interval of
    Theil-Sen's slope above zero in both; of a sawtooth its troughs must rise.
    """
    at, used = series.at_s, series.used_bytes
    if len(used) < MIN_POINTS or at[-1] <= at[0]:
        return Judgement(Growth.TOO_SHORT, None, f"{len(used)} readings; {MIN_POINTS} are needed")
    whole = theil_sen(at, used)
    if whole is None:
        return Judgement(Growth.TOO_SHORT, None, "its readings have no slope")
    teeth = troughs(used)
    if len(teeth) > 1:
        return _sawtooth(series, whole, teeth)
    noise = max(MIN_GROWTH_BYTES, MIN_GROWTH_SHARE * statistics.median(used))
    grown = whole.slope * (at[-1] - at[0])
    if not (whole.low > 0 and grown > noise):
        return Judgement(Growth.STEADY, whole, "its slope is not above noise")
    middle = len(at) // 2
    first, second = theil_sen(at[:middle], used[:middle]), theil_sen(at[middle:], used[middle:])
    settled = second is None or second.low <= 0
    if settled or (first is not None and second is not None and second.slope < WARM_UP_RATIO * first.slope):
        return Judgement(Growth.WARM_UP, whole, "it grew at first and settles in the second half")
    return _leak(series, second or whole, "it grows all the time, in the second half as well")


def troughs(used: Sequence[float]) -> list[int]:
    """Where teeth begin: the first lowest reading, and after every great fall the lowest before the next rise."""
    span = max(used) - min(used)
    if span <= max(MIN_GROWTH_BYTES, MIN_GROWTH_SHARE * statistics.median(used)):
        return [0]
    found, peak = [0], used[0]
    lowest: int | None = None

    def end_tooth(at: int) -> None:
        # Without a rise before it, the fall began in the middle of a tooth, or is no tooth at all.
        if peak - used[found[-1]] > TOOTH_SHARE * span:
            found.append(at)
        else:
            found[-1] = at

    for index, (before, now) in enumerate(pairwise(used), start=1):
        if lowest is not None:
            if now <= used[lowest]:
                lowest = index
                continue
            end_tooth(lowest)
            lowest, peak = None, now
            continue
        peak = max(peak, before)
        if peak - now > TOOTH_SHARE * span:
            lowest = index
    if lowest is not None:
        end_tooth(lowest)
    return found


def _sawtooth(series: Series, whole: Slope, teeth: list[int]) -> Judgement:
    at, used = series.at_s, series.used_bytes
    low_at, low_used = [at[index] for index in teeth], [used[index] for index in teeth]
    line = theil_sen(low_at, low_used)
    noise = max(MIN_GROWTH_BYTES, MIN_GROWTH_SHARE * statistics.median(used))
    # Sen's interval of so few points spans everything: that each is higher than the one before must do.
    steadily = all(after > before for before, after in pairwise(low_used))
    grows = steadily if len(teeth) < MIN_POINTS // 2 else line is not None and line.low > 0
    rises = grows and line is not None and line.slope * (low_at[-1] - low_at[0]) > noise
    # Troughs of mere noise wander, too: they must have risen by half of the whole range, and all readings with them.
    wandered = line is None or line.slope * (low_at[-1] - low_at[0]) < (max(used) - min(used)) / 2
    if line is not None and rises and len(teeth) >= MIN_TEETH and whole.low > 0 and not wandered:
        return _leak(series, line, f"it falls back {len(teeth) - 1} times, to ever higher levels")
    words = f"it rises and falls back, {len(teeth) - 1} times"
    if rises:
        words += "; its lowest levels rise, not yet clearly: watch it for longer"
    return Judgement(Growth.SAWTOOTH, line or whole, words)


def _leak(series: Series, line: Slope, words: str) -> Judgement:
    if series.limit_bytes is None:
        return Judgement(Growth.LEAK, line, words)
    # What is left counts from the highest of the last readings: a sawtooth's peaks reach the limit first.
    left = max(0.0, series.limit_bytes - max(series.used_bytes[-max(3, len(series.used_bytes) // 4) :]))
    return Judgement(
        Growth.LEAK, line, words, _until(left, line.slope), _until(left, line.high), _until(left, line.low)
    )


def _until(left: float, slope: float) -> float | None:
    return left / slope if slope > 0 and math.isfinite(slope) else None
