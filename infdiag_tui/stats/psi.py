"""The population stability index, over reference quantile bins or over categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

MODERATE = 0.1
"""The conventional level of a moderate shift (Siddiqi, Credit Risk Scorecards, 2006)."""

MAJOR = 0.25
"""The conventional level of a major shift (the same)."""

_SMOOTHING = 0.5
"""Added to every bin's count (Jeffreys' prior), so that a bin that is empty on one side gives a finite index."""


def psi_of_counts(reference: Array, production: Array) -> float | None:
    """Sum of (p - q)·ln(p / q) over bins; None when one side is empty.

    Args:
        reference: counts, one a bin.
        production: counts of the same bins.

    Bins that are empty on both sides are left out; the others' shares are (count + 0.5) / (rows + 0.5·bins).
    """
    used = (reference > 0) | (production > 0)
    reference, production = reference[used].astype(float), production[used].astype(float)
    if not reference.sum() or not production.sum():
        return None
    p = (production + _SMOOTHING) / (production.sum() + _SMOOTHING * len(production))
    q = (reference + _SMOOTHING) / (reference.sum() + _SMOOTHING * len(reference))
    return float(np.sum((p - q) * np.log(p / q)))


def quantile_edges(ordered: Array, bins: int) -> Array:
    """Inner bin edges at the reference's quantiles; `ordered` is sorted, without NaN, not empty.

    A bin is (edge before, edge]. A value that fills several quantiles gets a bin of its own, so that a reference that
    is constant or has few values is told from values below as well as above.
    """
    ranks = np.ceil(np.arange(1, bins) / bins * len(ordered)).astype(int) - 1
    values, counts = np.unique(ordered[np.clip(ranks, 0, None)].astype(float), return_counts=True)
    heavy = values[counts > 1]
    return np.unique(np.concatenate([values, np.nextafter(heavy, -np.inf)]))


def psi(reference: Array, production: Array, bins: int = 10) -> float | None:
    """PSI of two sorted arrays without NaN over `bins` quantile bins of the reference; None when one is empty."""
    if not len(reference) or not len(production):
        return None
    edges = quantile_edges(reference, bins)
    return psi_of_counts(_counts(reference, edges), _counts(production, edges))


def _counts(ordered: Array, edges: Array) -> Array:
    ranks = np.searchsorted(ordered, edges, "right")
    return np.diff(ranks, prepend=0, append=len(ordered))
