"""What this console asks of an API server, counted: by verb and resource, in all and in the last minute."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from infdiag_tui.streams.kube.errors import Access

WINDOW_S = 60.0


@dataclass(frozen=True, slots=True)
class RequestRate:
    """How often one kind of request was sent: since the start, and in the last minute."""

    verb: str
    resource: str
    total: int
    last_minute: int


class RequestCount:
    """Counts requests as they are sent, repeated ones (after a 401) included; a watch counts once, when it is opened.

    Memory is bounded: at most one counter for each second of the last minute.
    """

    def __init__(self) -> None:
        self._total: Counter[tuple[str, str]] = Counter()
        self._seconds: deque[tuple[int, Counter[tuple[str, str]]]] = deque()

    def note(self, access: Access, at: float) -> None:
        """One request was sent at `at` (monotonic)."""
        key = access.verb, f"{access.resource}.{access.group}" if access.group else access.resource
        self._total[key] += 1
        second = int(at)
        if not self._seconds or self._seconds[-1][0] != second:
            self._seconds.append((second, Counter()))
        self._seconds[-1][1][key] += 1
        self._forget(at)

    @property
    def total(self) -> int:
        """All requests since the start."""
        return self._total.total()

    def rates(self, at: float) -> tuple[RequestRate, ...]:
        """Every kind of request, the most frequent first."""
        self._forget(at)
        recent: Counter[tuple[str, str]] = Counter()
        for _, counted in self._seconds:
            recent.update(counted)
        return tuple(
            RequestRate(verb, resource, total, recent[verb, resource])
            for (verb, resource), total in self._total.most_common()
        )

    def _forget(self, at: float) -> None:
        while self._seconds and self._seconds[0][0] <= at - WINDOW_S:
            self._seconds.popleft()
