"""The newest log entries, the newest errors apart from them, and exact counts of everything."""

from __future__ import annotations

from collections import Counter, deque

from infdiag_tui.model import LogLine, LogView, Severity

MAX_ERRORS = 5_000
"""Error entries kept in a ring of their own, so that a flood of other lines cannot push them out."""


MAX_SOURCES = 2_000
"""Sources counted by name; in a cluster that makes more, those without a line in sight are counted together."""
OTHER_SOURCES = "(other sources)"


class LogRing:
    """A bounded tail of log entries over all sources, in order of arrival."""

    def __init__(self, max_lines: int = 20_000, max_errors: int = MAX_ERRORS) -> None:
        self._lines: deque[LogLine] = deque(maxlen=max_lines)
        self._errors: deque[LogLine] = deque(maxlen=max_errors)
        self._counts: Counter[Severity] = Counter()
        self._sources: Counter[str] = Counter()
        self._view: LogView | None = None
        self._total = 0
        self._total_errors = 0

    def append(self, line: LogLine) -> None:
        """Adds an entry; the oldest leaves when the ring is full, its count stays."""
        self._lines.append(line)
        self._counts[line.severity] += 1
        self._sources[line.source] += 1
        if len(self._sources) > MAX_SOURCES:
            self._fold_sources()
        self._total += 1
        if line.severity.is_error:
            self._errors.append(line)
            self._total_errors += 1
        self._view = None

    def _fold_sources(self) -> None:
        """Counts together sources that none of the kept lines is from."""
        kept = {line.source for line in self._lines}
        silent = [name for name in self._sources if name not in kept and name != OTHER_SOURCES]
        for name in silent or list(self._sources)[: MAX_SOURCES // 2]:
            self._sources[OTHER_SOURCES] += self._sources.pop(name)

    @property
    def total(self) -> int:
        """Entries ever received."""
        return self._total

    def errors_since(self, at: float) -> list[LogLine]:
        """Kept error entries received from `at` on, oldest first."""
        found = []
        for line in reversed(self._errors):
            if line.received_at < at:
                break
            found.append(line)
        return found[::-1]

    def view(self) -> LogView:
        """The rings as tuples; the same object until the next entry."""
        if self._view is None:
            self._view = LogView(
                lines=tuple(self._lines),
                first_seq=self._total - len(self._lines),
                errors=tuple(self._errors),
                first_error_seq=self._total_errors - len(self._errors),
                counts=dict(self._counts),
                sources=dict(self._sources),
            )
        return self._view
