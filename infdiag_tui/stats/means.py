"""How far a mean moved, relative to where it was, with an interval for chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NEAR_ZERO = 0.1
"""A historical mean below this many of its standard deviations is too near zero to divide by."""

WARNING = 0.10
"""The specification's warning: a mean that moved by more than 10 %."""


@dataclass(frozen=True, slots=True)
class MeanShift:
    """A mean before and now.

    `shift` is |now - before| / |scale|; `scale` is the historical mean or, where that is near zero, the historical
    standard deviation, as `basis` says. `low` and `high` are the 95 % interval of the shift, signed (Welch); None
    where one side has a single value. `shift` is None where there is nothing to divide by: a history of zeros alone.
    """

    before: float
    now: float
    shift: float | None
    basis: str
    scale: float
    low: float | None
    high: float | None

    @property
    def beyond_chance(self) -> bool:
        """Whether the 95 % interval leaves out zero."""
        return self.low is None or self.high is None or self.low > 0 or self.high < 0


def mean_shift(historical: Array, current: Array) -> MeanShift | None:
    """The shift of two arrays of finite numbers; None when one is empty.

    A history that is constant (no deviation) is divided by its value, whatever it is. Equal means are a shift of 0.
    """
    if not len(historical) or not len(current):
        return None
    before, now = float(np.mean(historical, dtype=float)), float(np.mean(current, dtype=float))
    deviation = float(np.std(historical, ddof=1, dtype=float)) if len(historical) > 1 else 0.0
    # The mean of equal numbers is off by their last digit.
    if deviation <= abs(before) * 1e-12:
        deviation = 0.0
    scale, basis = abs(before), "historical mean"
    if abs(before) < NEAR_ZERO * deviation:
        scale, basis = deviation, "historical standard deviation, as the historical mean is near zero"
    difference = now - before
    shift = 0.0 if difference == 0 else abs(difference) / scale if scale else None
    half = _half_width(historical, current)
    low = high = None
    if half is not None and scale:
        low, high = (difference - half) / scale, (difference + half) / scale
    return MeanShift(before, now, shift, basis, scale, low, high)


def _half_width(first: Array, second: Array) -> float | None:
    """Half of Welch's 95 % interval of the difference of two means."""
    n, m = len(first), len(second)
    if n < 2 or m < 2:
        return None
    a, b = float(np.var(first, ddof=1, dtype=float)) / n, float(np.var(second, ddof=1, dtype=float)) / m
    if not a + b:
        return 0.0
    from scipy import stats

    degrees = (a + b) ** 2 / (a**2 / (n - 1) + b**2 / (m - 1))
    return float(stats.t.ppf(0.975, degrees)) * math.sqrt(a + b)
