"""What happened between two scrapes: sums and counts differenced series by series, resets included."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from checks.metrics_text import MetricsPage
from checks.stages_parts.adapters import Part
from checks.stages_parts.figures import UNITS_MS

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


def part_delta(part: Part, scrape: Scrape, model: Mapping[str, str]) -> Delta | None:
    """The time spent in one part between the scrapes; None when the server does not offer it.

    `model` are labels that narrow it to one model, where series carry them. A counter that went back belongs to a
    process that started anew: what it shows now is what happened since (Prometheus' own rule).
    """
    total, count = _names(part, scrape.after)
    if total is None or count is None:
        return None
    narrow = {} if part.whole_server else model
    befores = [_series(scrape.before, name, part.labels, narrow) for name in (total, count)]
    afters = [_series(scrape.after, name, part.labels, narrow) for name in (total, count)]
    if not afters[1]:
        return None
    n, resets = _difference(befores[1], afters[1])
    went_back = {key for key, value in afters[1].items() if value < befores[1].get(key, 0.0)}
    spent, _ = _difference({key: value for key, value in befores[0].items() if key not in went_back}, afters[0])
    for name in filter(None, (first_named([name], scrape.after) for name in part.less)):
        hits = [_series(page, name, part.labels, narrow) for page in (scrape.before, scrape.after)]
        less, _ = _difference(hits[0], hits[1])
        n -= less
    return Delta(spent * UNITS_MS[part.unit], max(n, 0.0), resets)


def gauge_ms(part: Part, page: MetricsPage, model: Mapping[str, str]) -> float | None:
    """The last request's time by a gauge, milliseconds; None when there is none, or several models share it."""
    for name in part.gauge:
        values = list(_series(page, name, part.labels, model).values())
        if len(values) == 1:
            return values[0] * UNITS_MS[part.unit]
    return None


def first_named(names: Iterable[str], page: MetricsPage) -> str | None:
    """The first of these metrics that the page has, a counter with or without `_total`; None when it has none.

    OpenMetrics wants the ending, and servers changed over to it at different times.
    """
    spelled = (spelling for name in names for spelling in (name, f"{name}_total", name.removesuffix("_total")))
    return next((name for name in spelled if name in page), None)


def _names(part: Part, page: MetricsPage) -> tuple[str | None, str | None]:
    for name in part.histogram:
        if f"{name}_sum" in page and f"{name}_count" in page:
            return f"{name}_sum", f"{name}_count"
    return first_named(part.sum, page), first_named(part.count, page)


def _series(page: MetricsPage, name: str, labels: Mapping[str, str], model: Mapping[str, str]) -> dict[Key, float]:
    """Finite values by label set; a model label that no series carries does not narrow."""
    samples = page.get(name, labels)
    carried = {label for sample in samples for label in sample.labels}
    narrow = {label: value for label, value in model.items() if label in carried}
    return {
        frozenset(sample.labels.items()): sample.value
        for sample in samples
        if sample.matches(narrow) and math.isfinite(sample.value)
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
