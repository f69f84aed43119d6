"""What every means of splitting a request produces: named times of stages."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from infdiag_tui.servers.stages import Stage
from infdiag_tui.text import clean, one_line


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean time of one part of a request: `mean_ms` over `n` requests, told by `source`.

    `low` and `high` are a 95 % confidence interval of the mean and `p95_ms` a quantile, where single requests are
    known. `whole_server`: requests to other models of the server may be in it.
    """

    name: str
    stage: Stage
    mean_ms: float
    n: int
    source: str
    note: str = ""
    low: float | None = None
    high: float | None = None
    p95_ms: float | None = None
    whole_server: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """What one means gave: its figures, what it does not offer and why, and remarks for the operator."""

    means: str
    figures: tuple[Figure, ...] = ()
    not_offered: tuple[tuple[Stage, str], ...] = ()
    notes: tuple[str, ...] = ()
    places: tuple[str, ...] = field(default=())

    def has(self, stage: Stage) -> bool:
        """True when it tells that stage's time."""
        return any(figure.stage == stage for figure in self.figures)


def figure_of(name: str, stage: Stage, values_ms: Sequence[float], source: str, note: str = "") -> Figure:
    """A figure from single requests' times, with Student's interval of the mean from three on. Blocking (scipy)."""
    mean_ms = statistics.fmean(values_ms)
    low = high = p95_ms = None
    if len(values_ms) >= 3:
        from scipy.special import stdtrit

        half = float(stdtrit(len(values_ms) - 1, 0.975)) * statistics.stdev(values_ms) / math.sqrt(len(values_ms))
        low, high = mean_ms - half, mean_ms + half
    if len(values_ms) >= 20:
        p95_ms = statistics.quantiles(values_ms, n=20, method="inclusive")[-1]
    return Figure(one_line(clean(name), 80), stage, mean_ms, len(values_ms), source, note, low, high, p95_ms)
