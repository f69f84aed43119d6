"""The whole history of one target's latency at one resolution: for finding when it changed."""

from __future__ import annotations

import math

from infdiag_tui.model import SeriesView

CAPACITY = 600
FIRST_WIDTH_S = 1.0


class ReplyTrace:
    """Geometric means of latency in bins of equal width, which doubles whenever there are more than `capacity`.

    Every point stands for the same span of time, so that a test for a change compares like with like (the rings of
    other series are coarser the older). Geometric, because latencies are skewed: one spike moves a bin little.
    """

    def __init__(self, capacity: int = CAPACITY, width_s: float = FIRST_WIDTH_S) -> None:
        self._capacity = capacity
        self._width_s = width_s
        self._bins: list[list[float]] = []
        """Each: its number, sum of logarithms, count, lowest, highest."""
        self._view: SeriesView | None = None

    def add(self, at: float, total_ms: float) -> None:
        """Takes one reply; times that run backwards belong to the newest bin."""
        if total_ms <= 0 or not math.isfinite(total_ms):
            return
        self._view = None
        number = math.floor(at / self._width_s)
        if self._bins and number <= self._bins[-1][0]:
            _merge(self._bins[-1], [number, math.log(total_ms), 1.0, total_ms, total_ms])
            return
        self._bins.append([float(number), math.log(total_ms), 1.0, total_ms, total_ms])
        while len(self._bins) > self._capacity:
            self._widen()

    def view(self) -> SeriesView:
        """The bins with the time at which each begins, oldest first; the same object until the next reply."""
        if self._view is None:
            self._view = SeriesView(
                tuple(one[0] * self._width_s for one in self._bins),
                tuple(math.exp(one[1] / one[2]) for one in self._bins),
                tuple(one[3] for one in self._bins),
                tuple(one[4] for one in self._bins),
            )
        return self._view

    def _widen(self) -> None:
        self._width_s *= 2
        wider: list[list[float]] = []
        for one in self._bins:
            one[0] = float(one[0] // 2)
            if wider and wider[-1][0] == one[0]:
                _merge(wider[-1], one)
            else:
                wider.append(one)
        self._bins = wider


def _merge(into: list[float], one: list[float]) -> None:
    into[1] += one[1]
    into[2] += one[2]
    into[3] = min(into[3], one[3])
    into[4] = max(into[4], one[4])
