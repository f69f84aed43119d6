"""Pearson's chi-square test on categories counted in two samples, with effect sizes that do not grow with the rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_POWER = 0.8


@dataclass(frozen=True, slots=True)
class ChiSquareResult:
    """The statistic, its p-value and degrees of freedom.

    `total_variation` (0 to 1) is the share of rows that would have to change category; `cohen_w` is Cohen's w.
    `sparse` is True when more than a fifth of the expected counts are below 5 (Cochran's rule): the p-value is rough.
    """

    statistic: float
    p_value: float
    degrees: int
    total_variation: float
    cohen_w: float
    sparse: bool


def chi_square_test(reference: Array, production: Array) -> ChiSquareResult | None:
    """The test of homogeneity on two arrays of counts of the same categories; None when one side is empty.

    As `scipy.stats.chi2_contingency` by default: Yates' correction with one degree of freedom. One category alone
    has nothing to differ in: statistic 0, p-value 1.
    """
    used = (reference > 0) | (production > 0)
    table = np.array([reference[used], production[used]], dtype=float)
    rows = table.sum(axis=1)
    if not rows.all():
        return None
    if table.shape[1] == 1:
        return ChiSquareResult(0.0, 1.0, 0, 0.0, 0.0, sparse=False)
    from scipy import stats

    found = stats.chi2_contingency(table)
    p, q = table[1] / rows[1], table[0] / rows[0]
    pooled = table.sum(axis=0) / table.sum()
    return ChiSquareResult(
        float(found.statistic),
        float(found.pvalue),
        int(found.dof),
        float(np.abs(p - q).sum() / 2),
        math.sqrt(float(np.sum((p - q) ** 2 / pooled))),
        sparse=bool(np.mean(found.expected_freq < 5) > 0.2),
    )


def smallest_detectable_variation(n: int, m: int, degrees: int, alpha: float) -> float:
    """The total variation from which on the test at level `alpha` finds a shift with 80 % probability or more.

    The statistic is then noncentral chi-square with noncentrality w²·n·m/(n+m) (Cohen 1988, chapter 7), and a total
    variation of t means w of at least 2t. 1 when no shift would be found.
    """
    if not n or not m or degrees < 1:
        return 1.0
    from scipy import optimize, stats

    critical = stats.chi2.isf(alpha, degrees)

    def lacking(noncentrality: float) -> float:
        return float(stats.ncx2.sf(critical, degrees, noncentrality)) - _POWER

    high = 10.0 + critical
    while lacking(high) < 0:
        high *= 2
    noncentrality = float(optimize.brentq(lacking, 1e-9, high))
    return min(1.0, math.sqrt(noncentrality * (1 / n + 1 / m)) / 2)
