"""Whether events come at regular intervals, and at which."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

OVERSAMPLING = 8
"""Frequencies tried within one independent step (1 / span): the peak is then hit to a few percent of its height."""
MAX_FREQUENCIES = 20_000
AS_GOOD = 0.85
"""Share of the greatest power from which on a lower frequency is preferred."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """The likeliest period in the times' unit, and the probability of one as clear in events without any."""

    period: float
    p: float


def rhythm(times: Sequence[float], *, shortest: float, longest: float) -> Rhythm | None:
    """The period between `shortest` and `longest` that the times follow best; None for fewer than three.

    Rayleigh's test of the phases at each frequency: of N events at random, R^2 / N (R the length of the summed unit
    vectors) is exponential with mean 1, so that the greatest of M independent ones exceeds z with probability
    1 - (1 - exp(-z))^M (N. I. Fisher, Statistical Analysis of Circular Data, 1993, section 4.3; M as for periodograms:
    the span times the width of the band). It bears missed events, which tests of intervals do not.

    Raises:
        ValueError: the band is empty.
    """
    if not 0 < shortest < longest:
        raise ValueError(f"no periods between {shortest} and {longest}")
    count = len(times)
    if count < 3:
        return None
    held = np.asarray(times, dtype=float)
    span = float(held.max() - held.min())
    if span <= 0:
        return None
    low, high = 1.0 / longest, 1.0 / shortest
    independent = max(1.0, span * (high - low))
    tried = min(MAX_FREQUENCIES, max(2, math.ceil(independent * OVERSAMPLING)))
    frequencies = np.linspace(low, high, tried)
    phases = 2j * np.pi * np.outer(frequencies, held - held.min())
    power = np.abs(np.exp(phases).sum(axis=1)) ** 2 / count
    # Every multiple of the true frequency fits as well: the lowest that does is the rhythm itself.
    high_enough = power >= AS_GOOD * power.max()
    first = int(np.argmax(high_enough))
    end = first + int(np.argmin(np.append(high_enough[first:], False)))
    best = first + int(np.argmax(power[first:end]))
    # log1p keeps what is too small to be told from 1 - 1.
    p = -math.expm1(independent * math.log1p(-min(1.0 - 1e-300, math.exp(-float(power[best])))))
    return Rhythm(1.0 / float(frequencies[best]), min(1.0, max(0.0, p)))
