"""A bounded time series: new points exact, older ones thinned, extremes never lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from infdiag_tui.model import SeriesView

_FIRST_SIZE = 64

Floats = npt.NDArray[np.float64]


class SeriesRing:
    """At most `capacity` points over any span of time.

    When full, the older half is thinned: neighbouring points become one that keeps the later time, the mean weighted by
    how many samples each stood for, and their extremes. The newest half stays as it came, so recent detail is exact and
    the whole history stays visible at falling resolution.
    """

    def __init__(self, capacity: int = 720) -> None:
        if capacity < 4:
            raise ValueError(f"a series needs room for at least 4 points, not {capacity}")
        self._capacity = capacity
        size = min(_FIRST_SIZE, capacity)
        # Rows: time, mean, low, high, number of samples. One block keeps thinning and growing a single operation.
        self._block: Floats = np.empty((5, size), dtype=np.float64)
        self._length = 0
        self._view: SeriesView | None = None
        self._history_until: float | None = None
        self._history_source = ""
        self.samples = 0
        """Samples ever received."""
        self.rejected = 0
        """Samples that were not finite or ran backwards in time, counted and left out."""

    def __len__(self) -> int:
        return self._length

    @property
    def last(self) -> float | None:
        """The newest value, None before the first."""
        return float(self._block[1, self._length - 1]) if self._length else None

    def append(self, at: float, value: float) -> bool:
        """Adds a sample; a value that is not finite, or older than the newest, is counted in `rejected` instead."""
        if not (np.isfinite(value) and np.isfinite(at)) or (self._length and at < self._block[0, self._length - 1]):
            self.rejected += 1
            return False
        if self._length == self._block.shape[1]:
            self._make_room()
        self._block[:, self._length] = (at, value, value, value, 1.0)
        self._length += 1
        self.samples += 1
        self._view = None
        return True

    def prepend(self, times: Sequence[float], values: Sequence[float], source: str) -> int:
        """Puts older points, in order of time, before all that is there; returns how many.

        What is not finite, out of order or not older than the first point is left out. History takes at most half of
        the room, thinned if need be, so that it costs the present no detail.
        """
        at, value = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
        if at.shape != value.shape or at.ndim != 1:
            raise ValueError(f"{at.shape} times and {value.shape} values are no points of one series")
        kept = np.isfinite(at) & np.isfinite(value)
        if self._length:
            kept &= at < self._block[0, 0]
        at, value = at[kept], value[kept]
        rising = np.concatenate((np.ones(min(1, len(at)), dtype=bool), at[1:] > np.maximum.accumulate(at)[:-1]))
        older = _whole_points(at[rising], value[rising])
        while older.shape[1] > self._capacity // 2:
            even = older.shape[1] // 2 * 2
            older = np.concatenate((_merged(older[:, :even]), older[:, even:]), axis=1)
        count = int(older.shape[1])
        if not count:
            return 0
        while self._length + count > self._block.shape[1]:
            self._make_room()
        self._block[:, count : count + self._length] = self._block[:, : self._length].copy()
        self._block[:, :count] = older
        self._length += count
        if self._history_until is None:
            self._history_until, self._history_source = float(older[0, -1]), source
        self._view = None
        return count

    def since(self, at: float) -> tuple[Floats, Floats]:
        """Times and values of the points from `at` on, as copies."""
        times = self._block[0, : self._length]
        first = int(np.searchsorted(times, at, side="left"))
        return times[first:].copy(), self._block[1, first : self._length].copy()

    def view(self) -> SeriesView:
        """The points as plain tuples; the same object until the next sample."""
        if self._view is None:
            rows = self._block[:4, : self._length].tolist()
            self._view = SeriesView(
                tuple(rows[0]),
                tuple(rows[1]),
                tuple(rows[2]),
                tuple(rows[3]),
                self._history_until,
                self._history_source,
            )
        return self._view

    def _make_room(self) -> None:
        size = self._block.shape[1]
        if size == self._capacity:
            self._thin()
            return
        grown = np.empty((5, min(2 * size, self._capacity)), dtype=np.float64)
        grown[:, :size] = self._block
        self._block = grown

    def _thin(self) -> None:
        length = self._length
        old = max(2, length // 4 * 2)  # an even number: the older half
        merged = _merged(self._block[:, :old])
        kept = old // 2
        self._block[:, kept : length - kept] = self._block[:, old:length].copy()
        self._block[:, :kept] = merged
        self._length = length - kept


def _whole_points(times: Floats, values: Floats) -> Floats:
    """Single samples as rows of a block."""
    return np.stack((times, values, values, values, np.ones_like(times)))


def _merged(block: Floats) -> Floats:
    """Each two neighbouring points (their number is even) as one."""
    time, mean, low, high, count = block.reshape(5, -1, 2).swapaxes(1, 2)
    weight = count[0] + count[1]
    return np.stack(
        (
            time[1],
            (mean[0] * count[0] + mean[1] * count[1]) / weight,
            np.minimum(low[0], low[1]),
            np.maximum(high[0], high[1]),
            weight,
        ),
    )
