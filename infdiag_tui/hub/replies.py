"""What the probe's replies of one target say together: windows from short to since start."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np

from infdiag_tui.hub.reply_samples import ReplySamples
from infdiag_tui.hub.reply_table import ReplyTable, row_of
from infdiag_tui.hub.reply_trace import ReplyTrace
from infdiag_tui.model import ErrorKind, LatencyView, LatencyWindow, Reply

WINDOWS_S = (60.0, 300.0)
"""Sliding windows, before the one since start."""
RECENT = 300
"""Newest replies drawn one by one."""
KEPT_WHOLE = 2_000
"""Newest replies kept with all that they say: half an hour at one a second, about 1 MB."""
MAX_REPLIES = 1_000_000
"""Raw replies kept for the quantiles since start: eleven days at one a second, about 100 MB when full."""


class ReplyLog:
    """All replies of one target.

    Raw values are kept of the newest `capacity` replies (at most an eighth more). Beyond that the oldest leave the
    quantiles "since start", while requests, answers and errors by kind stay exact counts of all that ever came. A
    window holds the replies that completed within it. Not thread-safe.
    """

    def __init__(self, target: str, *, capacity: int = MAX_REPLIES) -> None:
        self.target = target
        self._table = ReplyTable(capacity)
        self._whole = ReplySamples()
        self._taken = 0
        """Rows at the table's front that `_whole` has taken."""
        self._kinds: Counter[int] = Counter()
        self._recent: deque[tuple[float, float | None]] = deque(maxlen=RECENT)
        self._newest: deque[Reply] = deque(maxlen=KEPT_WHOLE)
        self._replies: tuple[Reply, ...] | None = None
        self._trace = ReplyTrace()
        self._last: Reply | None = None
        self._last_error: Reply | None = None
        self._added = 0
        self._known: dict[float | None, tuple[tuple[int, int], LatencyWindow]] = {}

    def add(self, reply: Reply) -> None:
        """Takes one reply."""
        if self._table.full:
            self._make_room()
        row = row_of(reply)
        self._table.append(row)
        self._added += 1
        self._kinds[row.kind] += 1
        self._recent.append((reply.scheduled_at, reply.total_ms if reply.ok else None))
        self._newest.append(reply)
        self._replies = None
        if reply.ok or reply.error is ErrorKind.TIMEOUT:
            self._trace.add(reply.at, reply.own_ms)
        self._last = reply
        if not reply.ok:
            self._last_error = reply

    def view(self, now: float) -> LatencyView:
        """Everything known as of `now` (Unix seconds). What has not changed is the same object."""
        if self._replies is None:
            self._replies = tuple(self._newest)
        return LatencyView(
            target=self.target,
            windows=(*(self._sliding(window_s, now) for window_s in WINDOWS_S), self._since_start()),
            last=self._last,
            last_error=self._last_error,
            recent=tuple(sorted(self._recent, key=lambda point: point[0])),
            replies=self._replies,
            trace=self._trace.view(),
        )

    def _sliding(self, window_s: float, now: float) -> LatencyWindow:
        first = self._table.index_after(now - window_s)
        # Rows leave the table's front, so a window is named by its ends among all that ever came.
        ends = (self._added - len(self._table) + first, self._added)
        known = self._known.get(window_s)
        if known is not None and known[0] == ends:
            return known[1]
        rows = self._table.rows(first)
        kinds, counts = np.unique(rows["kind"], return_counts=True)
        samples = ReplySamples()
        samples.take(rows)
        window = samples.window(window_s, dict(zip(kinds.tolist(), counts.tolist(), strict=True)))
        self._known[window_s] = (ends, window)
        return window

    def _since_start(self) -> LatencyWindow:
        ends = (0, self._added)
        known = self._known.get(None)
        if known is not None and known[0] == ends:
            return known[1]
        self._catch_up()
        window = self._whole.window(None, self._kinds)
        self._known[None] = (ends, window)
        return window

    def _catch_up(self) -> None:
        if self._taken < len(self._table):
            self._whole.take(self._table.rows(self._taken))
            self._taken = len(self._table)

    def _make_room(self) -> None:
        self._catch_up()
        gone = self._table.evict()
        self._taken = len(self._table)
        self._whole.drop(gone, self._table.rows())
