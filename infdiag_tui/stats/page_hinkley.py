"""Page-Hinkley: finds when the mean of a sequence rose, with a stated chance of a false alarm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_OVERSHOOT = 1.166
"""Twice Siegmund's 0.583 (Sequential Analysis, 1985): a discrete walk passes a limit by this many deviations."""


@dataclass(frozen=True, slots=True)
class Change:
    """A rise of the mean: `began` is the index of the first value after it, `alarm` the one that proved it."""

    began: int
    alarm: int


def limit_for(count: int, spread: float, slack: float, false_alarm: float) -> float:
    """The limit that a sequence of `count` unchanged values passes with a probability of about `false_alarm`.

    The mean time to a false alarm of a reflected random walk with drift -slack and deviation `spread` is
    (spread² / 2·slack²)·(exp(x) - 1 - x), x = 2·slack·(limit + 1.166·spread) / spread² (Siegmund 1985); such times are
    nearly exponential, so it is set to count / -ln(1 - false_alarm).
    """
    wanted = max(2.0, count / -math.log1p(-false_alarm)) * 2 * slack**2 / spread**2
    low, high = 0.0, 1.0
    while math.exp(high) - 1 - high < wanted:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if math.exp(middle) - 1 - middle < wanted:
            low = middle
        else:
            high = middle
    return max(spread, high * spread**2 / (2 * slack) - _OVERSHOOT * spread)


def page_hinkley(
    values: Array,
    *,
    slack: float,
    limit: float,
    mean: float | None = None,
    warm_up: int = 30,
) -> Change | None:
    """The first rise of the mean of `values` (without NaN), None where there is none.

    Page (1954), Hinkley (1971): the sum of value - mean - slack is a walk that falls while nothing changes; the alarm
    is when it stands `limit` above its lowest point, and that point is the most likely moment of the change.

    Args:
        values: one number an observation, in the order of time.
        slack: half of the smallest rise that matters, in the values' unit.
        limit: see `limit_for`.
        mean: the level before, where it is known; else the running mean, and the first `warm_up` values never alarm.
        warm_up: see `mean`.
    """
    if not len(values):
        return None
    values = values.astype(float)
    level = np.cumsum(values) / np.arange(1, len(values) + 1) if mean is None else mean
    # The walk starts at 0 before the first value: a sequence that is too high from its start is found as such.
    walk = np.concatenate([[0.0], np.cumsum(values - level - slack)])
    high = walk - np.minimum.accumulate(walk) > limit
    if mean is None:
        high[: warm_up + 1] = False
    if not high.any():
        return None
    alarm = int(high.argmax())
    lowest = walk[: alarm + 1]
    # Of equal minima the last: the change began after it.
    began = alarm - int(lowest[::-1].argmin())
    return Change(began, alarm - 1)
