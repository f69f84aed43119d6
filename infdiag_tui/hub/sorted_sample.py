"""A growing sample that always knows its order statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

_SMALLEST_TAIL = 1_024
_TAIL_SHARE = 64


class SortedSample:
    """Keeps every value in order: a large sorted part and a small sorted tail that is merged in now and then.

    New values cost a sort of the tail, and a merge each time the tail reaches 1/64 of the whole, so that looking
    at a million values after each new one stays cheap. Values are kept in `dtype` (64 bits keep them as they came).
    """

    def __init__(self, dtype: type[np.floating[Any]] = np.float64) -> None:
        self._dtype = dtype
        self._main: FloatArray = np.empty(0, dtype)
        self._tail: FloatArray = np.empty(0, dtype)
        self._tail_ranks: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def extend(self, values: FloatArray) -> None:
        """Takes values in any order; none may be a NaN."""
        if len(values) == 0:
            return
        self._tail = np.sort(np.concatenate((self._tail, np.asarray(values, self._dtype))))
        if len(self._tail) > max(_SMALLEST_TAIL, len(self._main) // _TAIL_SHARE):
            self._merge()
        else:
            places = np.searchsorted(self._main, self._tail, side="right")
            self._tail_ranks = places + np.arange(len(self._tail))

    def __len__(self) -> int:
        return len(self._main) + len(self._tail)

    def __getitem__(self, rank: int) -> float:
        """The value at `rank`, 0 being the smallest; negative ranks count from the largest."""
        size = len(self)
        if rank < 0:
            rank += size
        if not 0 <= rank < size:
            raise IndexError(f"rank {rank} of {size} values")
        # The tail's j-th value has rank (main values at or before it) + j in the union.
        before = int(np.searchsorted(self._tail_ranks, rank))
        if before < len(self._tail) and self._tail_ranks[before] == rank:
            return float(self._tail[before])
        return float(self._main[rank - before])

    def values(self) -> FloatArray:
        """All values in ascending order, a copy."""
        return np.insert(self._main, np.searchsorted(self._main, self._tail, side="right"), self._tail)

    def discard(self, values: FloatArray) -> None:
        """Removes one occurrence of each of `values`.

        Raises:
            KeyError: one of them is not in the sample.
        """
        self._merge()
        gone = np.sort(np.asarray(values, self._dtype))
        # The n-th repeat of a value is the n-th of its occurrences.
        repeat = np.arange(len(gone)) - np.searchsorted(gone, gone, side="left")
        where = np.searchsorted(self._main, gone, side="left") + repeat
        if len(gone) and (where[-1] >= len(self._main) or not np.array_equal(self._main[where], gone)):
            raise KeyError("a value to discard is not in the sample")
        self._main = np.delete(self._main, where)

    def _merge(self) -> None:
        self._main = self.values()
        self._tail = np.empty(0, self._dtype)
        self._tail_ranks = np.empty(0, np.int64)
