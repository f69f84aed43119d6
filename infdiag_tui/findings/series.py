"""Windows over series, for findings."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from infdiag_tui.model import SeriesKey, SeriesView

EMPTY = SeriesView()

Series = Mapping[SeriesKey, SeriesView]


@dataclass(frozen=True, slots=True)
class Weighted:
    """A mean over a window: of `n` events that were counted within `window_s`."""

    mean: float
    n: float
    window_s: float


def recent(view: SeriesView, window_s: float) -> SeriesView:
    """The points of the last `window_s` before the newest one, oldest first."""
    if not view.times:
        return view
    first = bisect_left(view.times, view.times[-1] - window_s)
    return SeriesView(view.times[first:], view.values[first:])


@lru_cache(maxsize=64)
def measured(view: SeriesView) -> SeriesView:
    """Without its history, which another source tells: of all replicas, say, where this console reaches one of them.

    Cached, so that what was made of an unchanged series is still known by it.
    """
    if view.history_until is None:
        return view
    first = bisect_right(view.times, view.history_until)
    return SeriesView(view.times[first:], view.values[first:], view.lows[first:], view.highs[first:])


def is_fresh(view: SeriesView, now: float, within_s: float) -> bool:
    """True while the newest point was measured in this incident and is not older than `within_s`."""
    return view.live and now - view.times[-1] <= within_s


def weighted_mean(view: SeriesView, rate: SeriesView, window_s: float) -> Weighted | None:
    """The mean of what an interval's mean value is told of, weighted by how many events the interval had.

    Every point of `view` stands for the interval since the rate's point before; `rate` (per second) says how many
    events that were. None without any.
    """
    if not view.times or not rate.times:
        return None
    start = view.times[-1] - window_s
    total = weight = 0.0
    begins = view.times[-1]
    for place in range(bisect_left(view.times, start), len(view.times)):
        at = view.times[place]
        other = bisect_left(rate.times, at)
        if len(rate.times) < 2 or other >= len(rate.times) or rate.times[other] != at:
            continue
        # How long the very first interval was is not told; readings come at a steady pace.
        seconds = at - rate.times[other - 1] if other else rate.times[1] - at
        events = rate.values[other] * seconds
        total += view.values[place] * events
        weight += events
        begins = min(begins, at - seconds)
    return Weighted(total / weight, weight, view.times[-1] - begins) if weight > 0 else None


def entities(series: Series, metric: str) -> list[str]:
    """Whom a metric is told of, the whole (the empty entity) left out."""
    return sorted(key.entity for key in series if key.metric == metric and key.entity)
