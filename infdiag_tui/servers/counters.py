"""What happened between two scrapes: sums and counts differenced series by series, resets included."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from infdiag_tui.servers.adapters import Part, Server, Signal
from infdiag_tui.servers.metrics_text import MetricSample, MetricsPage
from infdiag_tui.servers.stages import UNITS_MS

Key = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Scrape:
    """One process's counters before and after, as found at `url`."""

    url: str
    before: MetricsPage
    after: MetricsPage

    @property
    def restarted(self) -> bool:
        """True when another process answers than before, by its own start time."""
        starts = [page.total("process_start_time_seconds") for page in (self.before, self.after)]
        return None not in starts and starts[0] != starts[1]


@dataclass(frozen=True, slots=True)
class Delta:
    """`total_ms` spent on `n` requests; `resets` series whose count went back."""

    total_ms: float = 0.0
    n: float = 0.0
    resets: int = 0

    def __add__(self, other: Delta) -> Delta:
        return Delta(self.total_ms + other.total_ms, self.n + other.n, self.resets + other.resets)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which series of a metric count: those with `labels`, with labels that match `where`, and of the model."""

    labels: Mapping[str, str]
    where: Mapping[str, str]
    model: Mapping[str, str]

    def takes(self, sample: MetricSample, carried: frozenset[str]) -> bool:
        """True for a series that counts; model labels narrow that some series carries (`carried`)."""
        if not sample.matches(self.labels):
            return False
        if carried and not any(sample.labels.get(name) == self.model[name] for name in carried):
            return False
        return all(_expression(wanted).fullmatch(sample.labels.get(name, "")) for name, wanted in self.where.items())


def part_delta(part: Part, scrape: Scrape, model: Mapping[str, str]) -> Delta | None:
    """The time spent in one part between the scrapes; None when the server does not offer it.

    `model` are labels that narrow it to one model, where series carry them. A counter that went back belongs to a
    process that started anew: what it shows now is what happened since (Prometheus' own rule).
    """
    wanted = Filter(part.labels, part.where, {} if part.whole_server else model)
    found = _sum_and_count(part, scrape, wanted)
    if found is None:
        return None
    spent, n, resets = found
    for name in filter(None, (first_named((name,), scrape.after) for name in part.less)):
        hits = [_series(page, name, wanted) for page in (scrape.before, scrape.after)]
        less, _ = _difference(hits[0], hits[1])
        n -= less
    return Delta(spent * UNITS_MS[part.unit], max(n, 0.0), resets)


def signal_delta(signal: Signal, scrape: Scrape, model: Mapping[str, str]) -> Delta | None:
    """A signal that is a sum and a count: a time in `total_ms`, or for `batch_size` the sum as it is.

    A counter of seconds alone has no count: n is then 0.
    """
    wanted = Filter(signal.labels, signal.where, {} if signal.whole_server else model)
    scale = 1.0 if signal.name == "batch_size" else UNITS_MS[signal.unit]
    found = _sum_and_count(signal, scrape, wanted)
    if found is not None:
        return Delta(found[0] * scale, found[1], found[2])
    counted = _increase(signal.counter, scrape, wanted)
    return None if counted is None else Delta(counted[0] * scale, 0.0, counted[1])


def signal_increase(signal: Signal, scrape: Scrape, model: Mapping[str, str]) -> Delta | None:
    """How far a signal's counters rose, as `n`; None when the server has none of them."""
    wanted = Filter(signal.labels, signal.where, {} if signal.whole_server else model)
    counted = _increase(signal.counter, scrape, wanted)
    if counted is None:
        return None
    more = [_increase((name,), scrape, wanted) for name in signal.add]
    found = [counted, *(one for one in more if one is not None)]
    return Delta(n=math.fsum(n for n, _ in found), resets=sum(resets for _, resets in found))


def signal_level(signal: Signal, page: MetricsPage, model: Mapping[str, str]) -> float | None:
    """A gauge's value now, its series summed or the highest of them, times the signal's scale."""
    wanted = Filter(signal.labels, signal.where, {} if signal.whole_server else model)
    for name in signal.gauge:
        values = list(_series(page, name, wanted).values())
        if values:
            return signal.scale * (max(values) if signal.combine == "max" else math.fsum(values))
    return None


def gauge_ms(part: Part, page: MetricsPage, model: Mapping[str, str]) -> float | None:
    """The last request's time by a gauge, milliseconds; None when there is none, or several models share it."""
    wanted = Filter(part.labels, part.where, model)
    for name in part.gauge:
        values = list(_series(page, name, wanted).values())
        if len(values) == 1:
            return values[0] * UNITS_MS[part.unit]
    return None


def first_named(names: Iterable[str], page: MetricsPage) -> str | None:
    """The first of these metrics that the page has, a counter with or without `_total`; None when it has none.

    OpenMetrics wants the ending, and servers changed over to it at different times.
    """
    spelled = (spelling for name in names for spelling in (name, f"{name}_total", name.removesuffix("_total")))
    return next((name for name in spelled if name in page), None)


def known_by(server: Server, page: MetricsPage) -> bool:
    """True when the page is that server's."""
    return first_named(server.known_by, page) is not None


def _sum_and_count(of: Part | Signal, scrape: Scrape, wanted: Filter) -> tuple[float, float, int] | None:
    total, count = _names(of, scrape.after)
    if total is None or count is None:
        return None
    befores = [_series(scrape.before, name, wanted) for name in (total, count)]
    afters = [_series(scrape.after, name, wanted) for name in (total, count)]
    if not afters[1]:
        return None
    n, resets = _difference(befores[1], afters[1])
    went_back = {key for key, value in afters[1].items() if value < befores[1].get(key, 0.0)}
    spent, _ = _difference({key: value for key, value in befores[0].items() if key not in went_back}, afters[0])
    return spent, n, resets


def _increase(names: Iterable[str], scrape: Scrape, wanted: Filter) -> tuple[float, int] | None:
    name = first_named(names, scrape.after)
    if name is None:
        return None
    return _difference(_series(scrape.before, name, wanted), _series(scrape.after, name, wanted))


def _names(of: Part | Signal, page: MetricsPage) -> tuple[str | None, str | None]:
    for name in of.histogram:
        if f"{name}_sum" in page and f"{name}_count" in page:
            return f"{name}_sum", f"{name}_count"
    return first_named(of.sum, page), first_named(of.count, page)


def _series(page: MetricsPage, name: str, wanted: Filter) -> dict[Key, float]:
    """Finite values by label set."""
    samples = page.get(name)
    carried = frozenset(label for label in wanted.model if any(label in sample.labels for sample in samples))
    return {
        frozenset(sample.labels.items()): sample.value
        for sample in samples
        if math.isfinite(sample.value) and wanted.takes(sample, carried)
    }


def _difference(before: Mapping[Key, float], after: Mapping[Key, float]) -> tuple[float, int]:
    """The sum of increases, and how many series went back."""
    total, resets = 0.0, 0
    for key, value in after.items():
        step = value - before.get(key, 0.0)
        if step < 0:
            step, resets = value, resets + 1
        total += step
    return total, resets


@lru_cache(maxsize=512)
def _expression(text: str) -> re.Pattern[str]:
    return re.compile(text)
