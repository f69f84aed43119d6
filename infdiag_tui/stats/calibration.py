"""Whether predicted probabilities come true as often as they say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of similar probability: their mean prediction, and the share that came true."""

    rows: int
    predicted: float
    observed: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`error` is the expected calibration error (Naeini et al. 2015) over bins of equal rows; `brier` Brier's score.

    `p_value` is the smaller of Spiegelhalter's test (1986) and of calibration in the large, doubled: that
    probabilities that are right would miss by as much.
    """

    rows: int
    error: float
    brier: float
    predicted: float
    observed: float
    p_value: float
    bins: tuple[Bin, ...]


def calibration(probabilities: Array, outcomes: Array, bins: int = 10) -> Calibration | None:
    """The calibration of probabilities (0 to 1) against outcomes (0 or 1); None without rows."""
    rows = len(probabilities)
    if not rows:
        return None
    order = np.argsort(probabilities, kind="stable")
    p, y = probabilities[order].astype(float), outcomes[order].astype(float)
    parts = [part for part in np.array_split(np.arange(rows), bins) if len(part)]
    made = tuple(Bin(len(part), float(p[part].mean()), float(y[part].mean())) for part in parts)
    error = sum(one.rows * abs(one.predicted - one.observed) for one in made) / rows
    variance = p * (1 - p)
    tests = (
        (float(np.sum((y - p) * (1 - 2 * p))), float(np.sum((1 - 2 * p) ** 2 * variance))),
        (float(np.sum(y - p)), float(np.sum(variance))),
    )
    p_value = min(1.0, 2 * min(_two_sided(total, spread) for total, spread in tests))
    brier = float(np.mean((p - y) ** 2))
    return Calibration(rows, error, brier, float(p.mean()), float(y.mean()), p_value, made)


def _two_sided(total: float, variance: float) -> float:
    if variance <= 0:
        return 1.0 if abs(total) < 1e-9 else 0.0
    return math.erfc(abs(total) / math.sqrt(2 * variance))
