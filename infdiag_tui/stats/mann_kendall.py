"""Whether a series rises or falls, by the signs of its differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def mann_kendall(values: Sequence[float]) -> tuple[int, float]:
    """Kendall's S (pairs that rise less pairs that fall, in order of time) and its two-sided p.

    The normal approximation with continuity correction and the variance corrected for ties (M. G. Kendall, Rank
    Correlation Methods, 4th ed., 1975, chapter 4); fair from ten values on. Constant or fewer than three values give
    p = 1.
    """
    held = np.asarray(values, dtype=float)
    size = len(held)
    if size < 3:
        return 0, 1.0
    signs = np.sign(held[None, :] - held[:, None])
    score = int(np.triu(signs, k=1).sum())
    _, counts = np.unique(held, return_counts=True)
    ties = float((counts * (counts - 1) * (2 * counts + 5)).sum())
    variance = (size * (size - 1) * (2 * size + 5) - ties) / 18
    if variance <= 0 or score == 0:
        return score, 1.0
    z = (abs(score) - 1) / math.sqrt(variance)
    return score, math.erfc(z / math.sqrt(2))
