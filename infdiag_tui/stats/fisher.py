"""Whether something happens more often in one group than in another, exactly, for counts however small."""

from __future__ import annotations

import math


def fisher_greater(hits: int, size: int, other_hits: int, other_size: int) -> float:
    """The probability of `hits` or more of `size`, given all hits together, if both groups were alike.

    Fisher's exact test, one-sided (R. A. Fisher, The Design of Experiments, 1935): the hypergeometric tail.

    Raises:
        ValueError: more hits than members.
    """
    if not (0 <= hits <= size and 0 <= other_hits <= other_size):
        raise ValueError(f"{hits} of {size} and {other_hits} of {other_size} are no counts")
    total, all_hits = size + other_size, hits + other_hits
    whole = _log_ways(total, all_hits)
    tail = (
        math.exp(_log_ways(size, k) + _log_ways(other_size, all_hits - k) - whole)
        for k in range(max(hits, all_hits - other_size), min(size, all_hits) + 1)
    )
    return min(1.0, math.fsum(tail))


def _log_ways(size: int, chosen: int) -> float:
    return math.lgamma(size + 1) - math.lgamma(chosen + 1) - math.lgamma(size - chosen + 1)
