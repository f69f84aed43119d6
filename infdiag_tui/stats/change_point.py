"""Finds the moment at which a series changed its level, by ranks: no assumption about its distribution."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """The split that parts a series best.

    `index` is the first value of the new level, `p` the probability of a split as clear as this somewhere in a series
    without any change. `before` and `after` are medians; `before_high` is the upper quartile before, `after_low` the
    lower quartile after.
    """

    index: int
    p: float
    before: float
    after: float
    before_high: float
    after_low: float

    @property
    def ratio(self) -> float:
        """The level after against the level before; infinite after zero."""
        return self.after / self.before if self.before else math.inf if self.after else 1.0


def change_point(values: Sequence[float] | Floats, *, least_before: int, least_after: int) -> Change | None:
    """The best split of `values` with at least so many values on each side; None when there are too few, or all equal.

    The statistic is Wilcoxon's rank sum of the first t values, standardised by its permutation variance with ties
    (average ranks), largest over all t: the maximally selected rank statistic (B. Lausen and M. Schumacher, "Maximally
    selected rank statistics", Biometrics 48, 1992; A. N. Pettitt's test of 1979 is the same without standardising, and
    blind near the ends). `p` is the two-sided normal tail times the number of splits tried (Bonferroni), an upper
    bound. It holds for values that do not depend on each other: a series with memory changes more often by chance.

    Raises:
        ValueError: a side may be empty.
    """
    if least_before < 1 or least_after < 1:
        raise ValueError("each side of a split needs a value")
    held = np.asarray(values, dtype=float)
    size = len(held)
    if size < least_before + least_after:
        return None
    centred = _ranks(held) - (size + 1) / 2
    spread = float(np.dot(centred, centred))
    if spread == 0:
        return None
    sizes = np.arange(least_before, size - least_after + 1)
    sums = np.cumsum(centred)[sizes - 1]
    variances = sizes * (size - sizes) / (size * (size - 1)) * spread
    scores = np.abs(sums) / np.sqrt(variances)
    best = int(np.argmax(scores))
    index = int(sizes[best])
    first, second = np.sort(held[:index]).tolist(), np.sort(held[index:]).tolist()
    return Change(
        index=index,
        p=min(1.0, len(sizes) * math.erfc(float(scores[best]) / math.sqrt(2))),
        before=statistics.median(first),
        after=statistics.median(second),
        before_high=first[math.ceil(0.75 * len(first)) - 1],
        after_low=second[math.ceil(0.25 * len(second)) - 1],
    )


def _ranks(values: Floats) -> Floats:
    """Ranks from 1, ties sharing their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: Floats = (ends - (counts - 1) / 2)[places]
    return means
