"""What `/metrics` tells, under the names of the dialect, in Prometheus' own conventions."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Iterable, Mapping

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
_NAME = re.compile(r'(?P<name>\w+)(?:\{(?P<label>\w+)="(?P<value>[^"]*)"\})?')
STAGES = ("queue", "preprocess", "inference", "postprocess", "serialization")


class Timer:
    """A histogram of durations. `observe` takes seconds; the name says in what unit they are told."""

    def __init__(self, spec: str, known: dict[str, Histogram], labels: tuple[str, ...] = ()) -> None:
        match = _NAME.fullmatch(spec)
        if match is None:
            raise ValueError(f"{spec!r} names no metric")
        self._scale = 1000.0 if match["name"].endswith("_milliseconds") else 1.0
        fixed = (match["label"],) if match["label"] else ()
        if match["name"] not in known:
            buckets = tuple(bound * self._scale for bound in _BUCKETS_S)
            words = match["name"].replace("_", " ").capitalize() + "."
            known[match["name"]] = Histogram(match["name"], words, (*fixed, *labels), buckets=buckets)
        self._histogram = known[match["name"]]
        self._fixed = {match["label"]: match["value"]} if match["label"] else {}

    def observe(self, seconds: float, **labels: str) -> None:
        """Counts one duration."""
        named = {**self._fixed, **labels}
        histogram = self._histogram.labels(**named) if named else self._histogram
        histogram.observe(seconds * self._scale)


class Metrics:
    """Every metric of the server besides those of the process."""

    def __init__(self, names: Mapping[str, str]) -> None:
        known: dict[str, Histogram] = {}
        self.requests = Counter(names["requests"], "Requests by route and status.", ("route", "status"))
        self.duration = Timer(names["duration"], known, ("route",))
        self.stages = {stage: Timer(names[stage], known) for stage in STAGES}
        self.batch_size = Histogram(names["batch_size"], "Requests in a batch.", buckets=_SIZES)
        self.queue_depth = Gauge(names["queue_depth"], "Requests that wait for the model.")
        self.in_flight = Gauge(names["in_flight"], "Requests being served.")
        self.connections = Gauge(names["connections"], "Open connections.")
        self.connections_limit = Gauge(names["connections_limit"], "Connections allowed at a time.")
        self.connections_rejected = Counter(names["connections_rejected"], "Connections closed for want of room.")
        self.upstream_requests = Counter(names["upstream_requests"], "Calls by result.", ("upstream", "status"))
        self.upstream_duration = Timer(names["upstream_duration"], known, ("upstream",))
        self.model_load = Gauge(names["model_load"], "Time that loading the model took.")
        REGISTRY.register(GarbageCollections(names["gc"]))


class GarbageCollections(Collector):
    """How long Python's garbage collector held everything up, by generation."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = 0.0
        # Plain lists: the callback runs in the middle of anything, a lock could be held already.
        self._counts = [0, 0, 0]
        self._sums = [0.0, 0.0, 0.0]
        gc.callbacks.append(self._notice)

    def collect(self) -> Iterable[Metric]:
        """The summary, read when the page is."""
        family = SummaryMetricFamily(self._name, "Duration of garbage collections.", labels=("generation",))
        for generation, (count, total) in enumerate(zip(self._counts, self._sums, strict=True)):
            family.add_metric((str(generation),), count, total)
        yield family

    def _notice(self, phase: str, info: Mapping[str, int]) -> None:
        if phase == "start":
            self._started = time.perf_counter()
            return
        self._counts[info["generation"]] += 1
        self._sums[info["generation"]] += time.perf_counter() - self._started
