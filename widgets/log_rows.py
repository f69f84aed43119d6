"""The entries that pass a filter and the screen rows they take, kept up to date entry by entry; no screen."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from infdiag_tui.model import LogLine, LogView
from widgets.log_filter import LogFilter
from widgets.log_text import LogLayout, hides_something, rows_of

_COMPACT_AFTER = 4_096


class LogRows:
    """Maps screen rows to entries and back.

    Entries are named by their sequence number, which never changes while the ring moves on. With a filter of errors
    only, entries come from the ring that keeps errors apart, so that a flood of others cannot have pushed them out.
    """

    def __init__(self, layout: LogLayout) -> None:
        self.layout = layout
        self.filter = LogFilter()
        self.whole: set[int] = set()
        """Entries that are shown unfolded."""
        self._entries: tuple[LogLine, ...] = ()
        self._first = 0
        self._next = 0
        self._errors_only = False
        self._seqs: list[int] = []
        self._ends: list[int] = []
        self._head = 0
        self._gone_rows = 0

    def __len__(self) -> int:
        """Entries that pass the filter."""
        return len(self._seqs) - self._head

    @property
    def row_count(self) -> int:
        """Screen rows of all of them."""
        return self._ends[-1] - self._gone_rows if self._ends else 0

    def entry(self, seq: int) -> LogLine:
        """The entry of a sequence number that `at` or `nearest` gave."""
        return self._entries[seq - self._first]

    def at(self, row: int) -> tuple[int, int]:
        """The sequence number of the entry on screen row `row`, and which of its rows that is.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row < self.row_count:
            raise IndexError(row)
        wanted = row + self._gone_rows
        index = bisect_right(self._ends, wanted, lo=self._head)
        return self._seqs[index], wanted - self._start(index)

    def row_of(self, seq: int) -> int:
        """The first screen row of the entry `seq`, or where it would stand."""
        index = bisect_left(self._seqs, seq, lo=self._head)
        return (self._start(index) if index < len(self._seqs) else self._last_end()) - self._gone_rows

    def step(self, seq: int | None, by: int) -> int | None:
        """The entry `by` places after `seq`, held at the ends; None when there are none."""
        if not len(self):
            return None
        index = len(self._seqs) - 1 if seq is None else bisect_left(self._seqs, seq, lo=self._head)
        return self._seqs[min(len(self._seqs) - 1, max(self._head, index + by))]

    def find_error(self, seq: int | None, direction: int) -> int | None:
        """The next error after (`direction` 1) or before (-1) entry `seq`; None when there is none."""
        if seq is None:
            start = len(self._seqs) if direction < 0 else self._head - 1
        else:
            start = bisect_left(self._seqs, seq, lo=self._head)
        stop = len(self._seqs) if direction > 0 else self._head - 1
        for index in range(start + direction, stop, direction):
            if self.entry(self._seqs[index]).severity.is_error:
                return self._seqs[index]
        return None

    def seq_of(self, entry: LogLine) -> int | None:
        """The number under which this very entry is known now; it differs between the two rings."""
        for index, other in enumerate(self._entries):
            if other is entry:
                return self._first + index
        return None

    def update(self, view: LogView) -> None:
        """Takes in a newer view: only entries not seen before are looked at."""
        errors_only = self.filter.least.is_error
        entries, first = (view.errors, view.first_error_seq) if errors_only else (view.lines, view.first_seq)
        end = first + len(entries)
        if errors_only is not self._errors_only:
            self.whole.clear()
        if errors_only is not self._errors_only or first > self._next or end < self._next or first < self._first:
            self._clear(first)
        self._errors_only, self._entries, self._first = errors_only, entries, first
        self._drop_before(first)
        for seq in range(max(self._next, first), end):
            self._append(seq, entries[seq - first])
        self._next = end

    def set_filter(self, chosen: LogFilter, view: LogView) -> None:
        """Sorts all entries of `view` anew by another filter."""
        self.filter = chosen
        self._clear(self._first)
        self._next = -1  # none of them was looked at under this filter
        self.update(view)

    def set_layout(self, layout: LogLayout) -> None:
        """Other columns: rows are counted anew, the filter's choice stays."""
        if layout == self.layout:
            return
        self.layout = layout
        self._measure()

    def toggle_whole(self, seq: int) -> None:
        """Folds an entry, or unfolds one that does not show all of its text."""
        if seq not in self.whole and not hides_something(self.entry(seq), self.layout):
            return
        self.whole.symmetric_difference_update({seq})
        self._measure()

    def _append(self, seq: int, entry: LogLine) -> None:
        if self.filter.accepts(entry):
            self._seqs.append(seq)
            self._ends.append(self._last_end() + rows_of(entry, self.layout, whole=seq in self.whole))

    def _measure(self) -> None:
        del self._seqs[: self._head]
        self._head = self._gone_rows = 0
        self._ends.clear()
        end = 0
        for seq in self._seqs:
            end += rows_of(self.entry(seq), self.layout, whole=seq in self.whole)
            self._ends.append(end)

    def _clear(self, first: int) -> None:
        self._seqs.clear()
        self._ends.clear()
        self._head = self._gone_rows = 0
        self._next = first

    def _drop_before(self, first: int) -> None:
        """Forgets entries that left the ring."""
        head = bisect_left(self._seqs, first, lo=self._head)
        if head == self._head:
            return
        self._gone_rows = self._ends[head - 1]
        self._head = head
        self.whole = {seq for seq in self.whole if seq >= first}
        if head >= _COMPACT_AFTER or head == len(self._seqs):
            del self._seqs[:head], self._ends[:head]
            self._head = 0

    def _start(self, index: int) -> int:
        return self._ends[index - 1] if index > self._head else self._gone_rows

    def _last_end(self) -> int:
        return self._ends[-1] if self._ends else self._gone_rows
