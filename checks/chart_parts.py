"""What checks make their charts from: as many points and bars as a screen can show."""

from __future__ import annotations

import math
from collections.abc import Sequence

MOST_POINTS = 400
"""A terminal of 200 columns has 400 columns of braille dots."""
MOST_BARS = 16
MOST_PAIRS = 8
"""Bars in a picture: with one value each, and with two."""


def thinned(xs: Sequence[float], ys: Sequence[float], most: int = MOST_POINTS) -> tuple[tuple[float, float], ...]:
    """The points, or of many the lowest and the highest of each of `most` / 2 stretches, so that no peak is lost.

    Args:
        xs: rising.
        ys: one value each; what is no finite number is left out.
        most: points at most.
    """
    points = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    if len(points) <= most:
        return tuple(points)
    kept: list[tuple[float, float]] = []
    stretches = max(1, most // 2)
    for number in range(stretches):
        part = points[number * len(points) // stretches : (number + 1) * len(points) // stretches]
        low, high = min(part, key=lambda one: one[1]), max(part, key=lambda one: one[1])
        kept += [low, high] if low[0] < high[0] else [high, low] if low != high else [low]
    return tuple(kept)
