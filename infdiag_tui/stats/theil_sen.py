"""Theil-Sen's robust line through points, with the confidence interval of its slope."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_POINTS = 1500
"""More points are thinned evenly first: the pairs of 1,500 are a million, 9 MB."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A line `intercept + slope * x`, and the slope's interval at the asked confidence over `n` points."""

    slope: float
    intercept: float
    low: float
    high: float
    n: int


def theil_sen(x: Sequence[float], y: Sequence[float], *, confidence: float = 0.95) -> Slope | None:
    """The median of the slopes of all pairs of points, which a third of outliers does not move. Blocking (NumPy).

    The interval is Sen's: from the ranks of the sorted slopes, with the variance of Kendall's S corrected for ties
    (P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", J. Am. Stat. Assoc. 63, 1968), as
    `scipy.stats.theilslopes` gives it. Pairs of equal x have no slope. None when no pair has one, or a value is not
    finite.

    Raises:
        ValueError: x and y differ in length, or confidence is not between 0 and 1.
    """
    import numpy as np

    if len(x) != len(y):
        raise ValueError(f"{len(x)} x for {len(y)} y")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if not (np.isfinite(xs).all() and np.isfinite(ys).all()):
        return None
    if len(xs) > MAX_POINTS:
        kept = np.linspace(0, len(xs) - 1, MAX_POINTS).round().astype(int)
        xs, ys = xs[kept], ys[kept]
    first, second = np.triu_indices(len(xs), k=1)
    across = xs[second] - xs[first]
    up = ys[second] - ys[first]
    slopes = np.sort(up[across != 0] / across[across != 0])
    if not len(slopes):
        return None
    slope = float(np.median(slopes))
    low, high = _interval(slopes, xs, ys, confidence)
    return Slope(slope, float(np.median(ys) - slope * np.median(xs)), low, high, len(xs))


def _interval(
    slopes: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], confidence: float
) -> tuple[float, float]:
    n = len(y)
    variance = (n * (n - 1) * (2 * n + 5) - _ties(x) - _ties(y)) / 18
    if variance < 0:
        return math.nan, math.nan
    # scipy takes the quantile of the tail as a negative number; the two ranks swap accordingly.
    z = NormalDist().inv_cdf((1 - confidence) / 2)
    half = z * math.sqrt(variance)
    upper = min(round((len(slopes) - half) / 2), len(slopes) - 1)
    lower = max(round((len(slopes) + half) / 2) - 1, 0)
    return float(slopes[lower]), float(slopes[upper])


def _ties(values: NDArray[np.float64]) -> int:
    import numpy as np

    _, counts = np.unique(values, return_counts=True)
    return int(sum(int(k) * (int(k) - 1) * (2 * int(k) + 5) for k in counts if k > 1))
