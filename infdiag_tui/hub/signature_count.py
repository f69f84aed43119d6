"""Counts known lines as they come, so that what has left the ring of lines still counts."""

from __future__ import annotations

from collections.abc import Callable

from infdiag_tui.knowledge.signature_match import matcher
from infdiag_tui.model import ClusterEvent, LogLine, SignatureSeen
from infdiag_tui.text import one_line

SAMPLE_CHARACTERS = 300


class SignatureCount:
    """Exact counts by signature; bounded, for there are only so many signatures.

    Args:
        opened_at: when the incident was opened; None: with the first line.
        max_events: of how many events it is remembered how often each has been counted.
        steady: turns a time that the cluster states into one of the clock by which lines are received.
    """

    def __init__(self, opened_at: float | None, max_events: int, steady: Callable[[float], float] = float) -> None:
        self._opened_at = opened_at
        self._max_events = max_events
        self._steady = steady
        self._seen: dict[str, SignatureSeen] = {}
        self._event_counts: dict[str, int] = {}
        self._view: tuple[SignatureSeen, ...] | None = ()

    def add(self, line: LogLine) -> None:
        """Counts a line under each signature that it has."""
        if self._opened_at is None:
            self._opened_at = line.received_at
        found = matcher().match(line.text)
        if found:
            at = line.happened_at(self._opened_at)
            sample = one_line(line.headline, SAMPLE_CHARACTERS)
            for id_ in found:
                self._count(SignatureSeen(id_, 1, at, at, sample, line.source))

    def add_event(self, event: ClusterEvent) -> None:
        """Counts an event, or how many more of it there are since it last came."""
        known = self._event_counts.pop(event.key, 0)
        count = max(1, event.count)
        self._event_counts[event.key] = max(count, known)
        if len(self._event_counts) > self._max_events:
            del self._event_counts[next(iter(self._event_counts))]
        if count <= known:
            return
        text = f"{event.reason}: {event.message}"
        dated = event.last_at or event.first_at
        last_at = self._steady(dated) if dated else event.at
        first_at = self._steady(event.first_at) if event.first_at else last_at
        for id_ in matcher().match(text):
            source = f"{event.namespace}/{event.name}"
            sample = one_line(text, SAMPLE_CHARACTERS)
            self._count(SignatureSeen(id_, count - known, first_at, last_at, sample, source, is_event=True))

    def view(self) -> tuple[SignatureSeen, ...]:
        """All that were seen, the most recent first; the same object until another comes."""
        if self._view is None:
            self._view = tuple(sorted(self._seen.values(), key=lambda one: (-one.last_at, one.id)))
        return self._view

    def _count(self, new: SignatureSeen) -> None:
        held = self._seen.get(new.id)
        if held is not None:
            newest = new if new.last_at >= held.last_at else held
            new = SignatureSeen(
                new.id,
                held.count + new.count,
                min(held.first_at, new.first_at),
                newest.last_at,
                newest.sample,
                newest.source,
                newest.is_event,
            )
        self._seen[new.id] = new
        self._view = None
