"""Quantiles of latency samples with distribution-free confidence intervals, timeouts counted as "at least"."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from infdiag_tui.model import Quantile

FloatArray = npt.NDArray[np.floating[Any]]

CONFIDENCE = 0.95
_REACH_SD = 12.0
"""Standard deviations around the binomial's mean beyond which its mass (below 1e-30) is left out."""


class OrderStatistics(Protocol):
    """A sample in ascending order; a sorted NumPy array is one."""

    def __len__(self) -> int:
        """How many values."""
        ...

    def __getitem__(self, rank: int, /) -> Any:
        """The value at `rank`, 0 being the smallest."""
        ...


class RankInterval(NamedTuple):
    """Ranks (from 1) of the order statistics that enclose a quantile; None where the sample does not reach that far."""

    low: int | None
    high: int | None


@lru_cache(maxsize=4_096)
def rank_interval(size: int, q: float, confidence: float = CONFIDENCE) -> RankInterval:
    """The order statistics between which the q-quantile lies with at least `confidence`, whatever the distribution.

    The number of values at or below the quantile is binomial(size, q), so the l-th and u-th smallest enclose it with
    probability F(u - 1) - F(l - 1). Each tail gets half the risk: l is the largest rank with F(l - 1) <= risk / 2, u
    the smallest with F(u - 1) >= 1 - risk / 2 (David and Nagaraja, Order Statistics, 3rd ed., section 7.1). For p99 no
    such u exists below 368 values.

    Raises:
        ValueError: `q` or `confidence` is not strictly between 0 and 1.
    """
    if not (0.0 < q < 1.0 and 0.0 < confidence < 1.0):
        raise ValueError(f"q {q} and confidence {confidence} must lie between 0 and 1")
    if size < 1:
        return RankInterval(None, None)
    risk = (1.0 - confidence) / 2.0
    first, cdf = _binomial_cdf(size, q)
    # cdf[i] is F(first + i); below `first` F is 0 for every purpose here.
    low = first + int(np.searchsorted(cdf, risk, side="right"))
    high = first + int(np.searchsorted(cdf, 1.0 - risk, side="left")) + 1
    return RankInterval(low if low >= 1 else None, high if high <= size else None)


def _binomial_cdf(size: int, q: float) -> tuple[int, FloatArray]:
    """The first number of successes with any mass worth counting, and the cumulative distribution from there on.

    Built from the ratio of neighbouring probabilities, p(k) / p(k - 1) = (n - k + 1) / k * q / (1 - q), and normalised:
    exact to rounding without a factorial or SciPy.
    """
    spread = _REACH_SD * math.sqrt(size * q * (1.0 - q)) + _REACH_SD
    first = max(0, math.floor(size * q - spread))
    last = min(size, math.ceil(size * q + spread))
    k = np.arange(first + 1, last + 1, dtype=np.float64)
    steps = np.log((size - k + 1.0) / k) + math.log(q) - math.log1p(-q)
    logs = np.concatenate(([0.0], np.cumsum(steps)))
    mass = np.exp(logs - logs.max())
    cdf = np.cumsum(mass)
    return first, cdf / cdf[-1]


def interpolated(sample: OrderStatistics, q: float) -> float:
    """The q-quantile by linear interpolation between order statistics (Hyndman and Fan 1996, type 7).

    Raises:
        ValueError: the sample is empty or `q` is outside [0, 1].
    """
    size = len(sample)
    if size == 0:
        raise ValueError("an empty sample has no quantile")
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"q {q} is outside [0, 1]")
    position = (size - 1) * q
    below, above = math.floor(position), math.ceil(position)
    low, high = float(sample[below]), float(sample[above])
    return low + (high - low) * (position - below)


def quantile(sample: OrderStatistics, q: float, censored_from_ms: float = math.inf) -> Quantile | None:
    """The q-quantile of an ascending sample in milliseconds with its 95 % rank interval; None for an empty sample.

    `censored_from_ms` is the smallest value in the sample that is only a lower bound (a timeout). Moving such values up
    can change no order statistic below it, and can raise any from there on: so an estimate that touches it is censored,
    and an upper bound that touches it is no bound. Of a few values the lower bound of a high quantile is the largest of
    them, just above the interpolated value.
    """
    size = len(sample)
    if size == 0:
        return None
    ranks = rank_interval(size, q)
    topmost = float(sample[math.ceil((size - 1) * q)])
    high = None if ranks.high is None else float(sample[ranks.high - 1])
    return Quantile(
        value_ms=interpolated(sample, q),
        low_ms=None if ranks.low is None else float(sample[ranks.low - 1]),
        high_ms=None if high is None or high >= censored_from_ms else high,
        censored=topmost >= censored_from_ms,
    )
