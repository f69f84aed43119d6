"""The two-sample Kolmogorov-Smirnov test: two sorts and four merges, p-values as scipy's."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

EXACT_LIMIT = 10_000
"""Up to this many values on the larger side the p-value is exact; `scipy.stats.ks_2samp` draws the line there, too."""

_POWER_80 = 0.8416
"""The standard normal's 80 % quantile."""


@dataclass(frozen=True, slots=True)
class KsResult:
    """D (0 to 1), its two-sided p-value, and the value at which the two distributions are farthest apart."""

    statistic: float
    p_value: float
    at: float


def ks_statistic(first: Array, second: Array) -> tuple[float, float]:
    """D and where it lies, of two sorted arrays without NaN, neither empty.

    The difference of two empirical distribution functions has its maximum at a value of the first and its minimum at
    one of the second; ties are counted to their last occurrence on both sides. Time O((n + m) log) with sorted keys,
    memory two integers a value.
    """
    n, m = len(first), len(second)
    above = np.searchsorted(first, first, "right") / n - np.searchsorted(second, first, "right") / m
    below = np.searchsorted(second, second, "right") / m - np.searchsorted(first, second, "right") / n
    high, low = int(above.argmax()), int(below.argmax())
    if above[high] >= below[low]:
        return max(0.0, float(above[high])), float(first[high])
    return float(below[low]), float(second[low])


def ks_test(first: Array, second: Array) -> KsResult | None:
    """The test on two sorted arrays without NaN; None when one is empty.

    The p-value is the exact one where `scipy.stats.ks_2samp` would choose it, else the limiting distribution of
    Kolmogorov at the effective size n·m / (n + m) (Hodges 1958), as there.
    """
    if not len(first) or not len(second):
        return None
    from scipy import stats

    statistic, at = ks_statistic(first, second)
    larger, smaller = float(max(len(first), len(second))), float(min(len(first), len(second)))
    if larger <= EXACT_LIMIT:
        with warnings.catch_warnings():
            # scipy falls back to the limit and says so where the exact count overflows.
            warnings.simplefilter("ignore", RuntimeWarning)
            p_value = float(stats.ks_2samp(first, second, method="exact").pvalue)
    else:
        p_value = float(stats.kstwo.sf(statistic, np.round(larger * smaller / (larger + smaller))))
    return KsResult(statistic, min(1.0, max(0.0, p_value)), at)


def smallest_detectable_d(n: int, m: int, alpha: float) -> float:
    """The smallest true D that the test at level `alpha` finds with at least 80 % probability (1 when none).

    The critical D is sqrt(-ln(alpha/2)/2 · (n+m)/(n·m)) (Smirnov 1939). At the place of the true maximum the measured
    difference scatters with a standard deviation of at most sqrt(1/n + 1/m)/2, so that much times 0.84 on top of it.
    """
    if not n or not m:
        return 1.0
    inverse = 1 / n + 1 / m
    critical = math.sqrt(-math.log(alpha / 2) / 2 * inverse)
    return min(1.0, critical + _POWER_80 * math.sqrt(inverse) / 2)
