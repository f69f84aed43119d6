"""Raw replies of one target as growing NumPy columns, in order of completion."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from infdiag_tui.model import NOT_SENT, ErrorKind, Reply

KINDS: tuple[ErrorKind, ...] = tuple(ErrorKind)
OK = -1
"""The kind of a reply without an error; others are indices into `KINDS`."""
TIMEOUT = KINDS.index(ErrorKind.TIMEOUT)
UNSENT = tuple(KINDS.index(kind) for kind in NOT_SENT)
PHASES: tuple[str, ...] = ("tunnel_ms", "dns_ms", "connect_ms", "tls_ms", "send_ms", "wait_ms", "receive_ms")
UNKNOWN_REUSE, FRESH, REUSED = -1, 0, 1

_ROW = np.dtype(
    [
        ("at", np.float64),
        ("total_ms", np.float64),
        ("lateness_ms", np.float32),
        ("first_token_ms", np.float64),
        ("kind", np.int8),
        ("reuse", np.int8),
        *((name, np.float32) for name in PHASES),
    ],
)
_FIRST_ROWS = 1_024

Columns = dict[str, npt.NDArray[Any]]


class Row(NamedTuple):
    """What the columns keep of one reply; absent numbers are NaN."""

    at: float
    total_ms: float
    lateness_ms: float
    first_token_ms: float
    kind: int
    reuse: int
    phases: tuple[float, ...]


def row_of(reply: Reply) -> Row:
    """`reply` as a row."""
    return Row(
        at=reply.at,
        total_ms=reply.total_ms,
        lateness_ms=reply.lateness_ms,
        first_token_ms=np.nan if reply.first_token_ms is None else reply.first_token_ms,
        kind=OK if reply.error is None else KINDS.index(reply.error),
        reuse=UNKNOWN_REUSE if reply.reused is None else int(reply.reused),
        phases=tuple(_or_nan(getattr(reply.phases, name)) for name in PHASES),
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


class ReplyTable:
    """The newest `capacity` rows, or up to an eighth more: `full` says when `evict` must come before `append`."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._most = capacity + max(1, capacity // 8)
        first = min(_FIRST_ROWS, self._most)
        self._columns: Columns = {name: np.empty(first, _ROW[name]) for name in _ROW.names or ()}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def full(self) -> bool:
        """True when the oldest rows must leave before another can come."""
        return self._size == self._most

    def append(self, row: Row) -> None:
        """Adds a row.

        `at` never falls along the table (a stepped clock cannot undo the order), so that windows can be searched for.

        Raises:
            IndexError: the table is full.
        """
        size = self._size
        if size == len(self._columns["at"]):
            self._grow()
        at = self._columns["at"]
        at[size] = max(row.at, at[size - 1]) if size else row.at
        for name in ("total_ms", "lateness_ms", "first_token_ms", "kind", "reuse"):
            self._columns[name][size] = getattr(row, name)
        for name, value in zip(PHASES, row.phases, strict=True):
            self._columns[name][size] = value
        self._size += 1

    def evict(self) -> Columns:
        """Removes the oldest rows down to `capacity` and returns them."""
        leaving = max(0, self._size - self._capacity)
        gone = {name: column[:leaving].copy() for name, column in self._columns.items()}
        for column in self._columns.values():
            column[: self._size - leaving] = column[leaving : self._size].copy()
        self._size -= leaving
        return gone

    def index_after(self, at: float) -> int:
        """The index of the first row completed after `at`."""
        return int(np.searchsorted(self._columns["at"][: self._size], at, side="right"))

    def rows(self, first: int = 0) -> Columns:
        """Views of the rows from index `first` on; they hold until the next change."""
        return {name: column[first : self._size] for name, column in self._columns.items()}

    def _grow(self) -> None:
        held = len(self._columns["at"])
        grown = min(2 * held, self._most)
        for name, column in self._columns.items():
            self._columns[name] = np.concatenate((column, np.empty(grown - held, column.dtype)))
