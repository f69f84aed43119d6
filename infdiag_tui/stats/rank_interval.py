"""Which order statistics of a sample enclose a quantile, whatever the distribution."""

from __future__ import annotations

import math
from typing import NamedTuple

CONFIDENCE = 0.95
_REACH_SD = 12.0
"""Standard deviations from the binomial's mean beyond which its mass (below 1e-30) cannot matter."""


class RankInterval(NamedTuple):
    """Ranks counted from 1; None where the sample is too small to bound the quantile on that side."""

    low: int | None
    high: int | None


def rank_interval(size: int, q: float, confidence: float = CONFIDENCE) -> RankInterval:
    """The ranks between which the q-quantile lies with at least `confidence`.

    The number of values below the quantile is binomial(size, q). Each side gets half of the risk: the low rank is the
    largest l with P(B < l) <= risk / 2, the high rank the smallest u with P(B < u) >= 1 - risk / 2 (Conover, Practical
    Nonparametric Statistics, 3rd ed., section 3.2). An upper bound of p99 needs 368 values.

    Args:
        size: values in the sample.
        q: the quantile, between 0 and 1.
        confidence: coverage, between 0 and 1.

    Raises:
        ValueError: `q` or `confidence` is not strictly between 0 and 1.
    """
    if not (0.0 < q < 1.0 and 0.0 < confidence < 1.0):
        raise ValueError(f"q {q} and confidence {confidence} must lie strictly between 0 and 1")
    if size < 1:
        return RankInterval(None, None)
    risk = (1.0 - confidence) / 2.0
    reach = _REACH_SD * math.sqrt(size * q * (1.0 - q)) + _REACH_SD
    first, last = max(0, math.floor(size * q - reach)), min(size, math.ceil(size * q + reach))
    low = high = None
    below = 0.0
    for successes in range(first, last + 1):
        below += _binomial_mass(size, q, successes)
        if below <= risk:
            low = successes + 1
        if below >= 1.0 - risk:
            high = successes + 1
            break
    return RankInterval(low, high if high is not None and high <= size else None)


def _binomial_mass(size: int, q: float, successes: int) -> float:
    failures = size - successes
    ways = math.lgamma(size + 1) - math.lgamma(successes + 1) - math.lgamma(failures + 1)
    return math.exp(ways + successes * math.log(q) + failures * math.log1p(-q))
