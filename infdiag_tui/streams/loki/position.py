"""Which of Loki's entries have been told, so that overlapping readings neither repeat nor lose one."""

from __future__ import annotations

from collections.abc import Iterable

from infdiag_tui.streams.loki.client import Entry

OVERLAP_NS = 10 * 1_000_000_000
"""Entries reach Loki by many ways and become visible out of order: each reading begins so long before the newest."""


class Position:
    """The place up to which entries were told, and those that were within the overlap before it.

    One entry is its time in nanoseconds, its stream and its text: Loki itself keeps only one of several that agree in
    all three.
    """

    def __init__(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._newest_ns: int | None = None
        self._told: dict[int, set[int]] = {}

    @property
    def begin_ns(self) -> int:
        """Where the next reading begins."""
        return self._start_ns if self._newest_ns is None else max(self._start_ns, self._newest_ns - OVERLAP_NS)

    def news(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those of `entries` that were not told before; they count as told from now on."""
        found = []
        for entry in entries:
            there = self._told.setdefault(entry.at_ns, set())
            mark = hash((entry.labels, entry.line))
            if mark not in there and entry.at_ns >= self.begin_ns:
                there.add(mark)
                found.append(entry)
            if self._newest_ns is None or entry.at_ns > self._newest_ns:
                self._newest_ns = entry.at_ns
        begin_ns = self.begin_ns
        self._told = {at_ns: marks for at_ns, marks in self._told.items() if at_ns >= begin_ns and marks}
        return found
