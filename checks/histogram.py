"""Two samples over the same bins of equal width, for eyes: how much of each lies where."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from checks.tables import Array

BINS = 24
_OUTER = 0.005
"""Of each sample this share at either end may lie outside: one value far out would squeeze all others into one bin."""


def histogram(before: Array, now: Array, bins: int = BINS) -> list[dict[str, Any]]:
    """Bins from the lowest values to the highest: `low`, `high` and each sample's share of its values in them.

    Empty where there is no spread, or a sample has no value. The last bin holds its upper edge.

    Args:
        before: finite values.
        now: finite values.
        bins: how many.
    """
    if not len(before) or not len(now):
        return []
    # Each side counts alike, however many rows it has.
    ends = [np.quantile(side, [_OUTER, 1 - _OUTER]) for side in (before, now)]
    low, high = float(min(one[0] for one in ends)), float(max(one[1] for one in ends))
    if not (math.isfinite(high - low) and high > low):
        return []
    edges = np.linspace(low, high, bins + 1)
    if not (np.diff(edges) > 0).all():
        return []
    shares = [np.histogram(side, edges)[0] / len(side) for side in (before, now)]
    return [
        {
            "low": float(edges[at]),
            "high": float(edges[at + 1]),
            "historical_share": float(old),
            "current_share": float(new),
        }
        for at, (old, new) in enumerate(zip(*shares, strict=True))
    ]
