"""Counts failed readiness and liveness probes by pod, from events that only say how often something has happened."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from infdiag_tui.clock import Clock, steady_time
from infdiag_tui.model import ClusterEvent, Sample, SeriesKey

REASON = "Unhealthy"
PROBES = {"Readiness": "pod.readiness_failures", "Liveness": "pod.liveness_failures"}
"""By the first word of the event's message. A startup probe that fails is waiting, not failing."""
_REMEMBERED = 5_000


class ProbeFailures:
    """Running totals by pod, as series whose first point is what had happened before anyone looked.

    Args:
        clock: dates the totals, and tells what happened before now.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched_since = clock.now()
        self._counts: OrderedDict[str, tuple[SeriesKey, int]] = OrderedDict()
        self._begun: set[SeriesKey] = set()

    def note(self, event: ClusterEvent) -> Iterator[Sample]:
        """The new total that an event makes; before the first of a pod, the total as it was when watching began."""
        metric = PROBES.get(event.message.partition(" ")[0])
        if event.reason != REASON or metric is None:
            return
        now = self._clock.now()
        key = SeriesKey(metric, f"{event.namespace}/{event.name}")
        known = self._counts.pop(event.uid, (key, 0))[1]
        self._counts[event.uid] = (key, event.count)
        if len(self._counts) > _REMEMBERED:
            self._counts.popitem(last=False)
        total = float(sum(count for of, count in self._counts.values() if of == key))
        if key not in self._begun:
            self._begun.add(key)
            news = event.first_at is not None and steady_time(self._clock, event.first_at) >= self._watched_since
            yield Sample(key, total - event.count if news else total, now)
        if event.count != known:
            yield Sample(key, total, now)
