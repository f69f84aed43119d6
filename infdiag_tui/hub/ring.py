"""A bounded time series: new points exact, older ones thinned, extremes never lost."""

from __future__ import annotations

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

    def since(self, at: float) -> tuple[Floats, Floats]:
        """Times and values of the points from `at` on, as copies."""
        times = self._block[0, : self._length]
        first = int(np.searchsorted(times, at, side="left"))
        return times[first:].copy(), self._block[1, first : self._length].copy()

    def view(self) -> SeriesView:
        """The points as plain tuples; the same object until the next sample."""
        if self._view is None:
            rows = self._block[:4, : self._length].tolist()
            self._view = SeriesView(tuple(rows[0]), tuple(rows[1]), tuple(rows[2]), tuple(rows[3]))
        return self._view

    def _make_room(self) -> None:
        size = self._block.shape[1]
        if size < self._capacity:
            grown = np.empty((5, min(2 * size, self._capacity)), dtype=np.float64)
            grown[:, :size] = self._block
            self._block = grown
            return
        old = size // 4 * 2  # an even number: the older half
        time, mean, low, high, count = self._block[:, :old].reshape(5, -1, 2).swapaxes(1, 2)
        weight = count[0] + count[1]
        merged = np.stack(
            (
                time[1],
                (mean[0] * count[0] + mean[1] * count[1]) / weight,
                np.minimum(low[0], low[1]),
                np.maximum(high[0], high[1]),
                weight,
            ),
        )
        kept = old // 2
        self._block[:, kept : size - kept] = self._block[:, old:size].copy()
        self._block[:, :kept] = merged
        self._length = size - kept
