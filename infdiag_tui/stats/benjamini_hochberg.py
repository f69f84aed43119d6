"""P-values of many features adjusted so that the threshold bounds the share of false alarms among the alarms."""

from __future__ import annotations

from collections.abc import Sequence


def adjust(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values in the order given; None (no test was possible) stays None and counts for nothing.

    Benjamini and Hochberg (1995), step-up: the k-th smallest of m becomes the least of p·m/j over all j from k on.
    """
    ranked = sorted(((p, place) for place, p in enumerate(p_values) if p is not None), reverse=True)
    adjusted: list[float | None] = [None] * len(p_values)
    least = 1.0
    for smaller, (p, place) in enumerate(ranked):
        rank = len(ranked) - smaller
        least = min(least, p * len(ranked) / rank)
        adjusted[place] = least
    return adjusted
