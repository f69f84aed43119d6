"""What one server did between two scrapes of its metrics, told by the first source that knows each figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from infdiag_tui.servers.adapters import Part, Server, Signal
from infdiag_tui.servers.counters import (
    Delta,
    Scrape,
    gauge_ms,
    part_delta,
    signal_delta,
    signal_increase,
    signal_level,
)

COUNTED = ("requests", "errors", "rejected", "dependency_errors", "nan_outputs")
TIMED = ("gc", "dependency")
LEVELS = ("queue_depth", "in_flight", "kv_cache", "connections", "connections_limit")


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over `n` events: milliseconds of requests or calls, requests of batches."""

    mean: float
    n: float


@dataclass(frozen=True, slots=True)
class Reading:
    """One server over one interval of `seconds`. What it does not tell is in none of the mappings.

    `stages` are mean times in ms by stage ("total" included), `counts` what happened in the interval, `levels` what
    gauges hold at its end (`kv_cache` as a share, `model_load_s`). `gc_ms` is the time paused and `gc_pauses` how
    often, None where the server counts only the time. `resets` series began anew in the interval.
    """

    seconds: float
    stages: Mapping[str, Mean] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)
    batch: Mean | None = None
    dependency: Mean | None = None
    gc_ms: float | None = None
    gc_pauses: float | None = None
    resets: int = 0

    @property
    def tells_anything(self) -> bool:
        """True when the server offers at least one figure, whether or not anything happened."""
        return bool(self.stages or self.counts or self.levels or self.gc_ms is not None or self.dependency)


def model_labels(server: Server, model: str) -> dict[str, str]:
    """The labels that narrow the server's series to the model, where it is known; a series without them is taken."""
    return dict.fromkeys(server.model_labels, model) if model else {}


def read(scrapes: Sequence[tuple[Scrape, Sequence[Server]]], model: str, seconds: float) -> Reading:
    """What happened on one server, each figure told by the first that offers it.

    Args:
        scrapes: the server's pages before and after, each with what recognised it, in order of precedence.
        model: the model's name in labels, or empty.
        seconds: between the two scrapes.
    """
    gathered = _Gathered()
    for scrape, servers in scrapes:
        for server in servers:
            gathered.take(server, scrape, model_labels(server, model))
    return gathered.reading(seconds)


class _Gathered:
    """Figures by name; the first that tells one keeps it."""

    def __init__(self) -> None:
        self._stages: dict[str, Mean] = {}
        self._signals: dict[str, Delta] = {}
        self._levels: dict[str, float] = {}
        self._resets = 0

    def take(self, server: Server, scrape: Scrape, label: Mapping[str, str]) -> None:
        """Adds what `server` recognises in a scrape and nobody before it told."""
        offered = set(self._signals) | set(self._levels)
        for signal in server.signals:
            if signal.name not in offered:
                self._take_signal(signal, scrape, label)
        for stage, mean in self._stage_means(server, scrape, label).items():
            self._stages.setdefault(stage, mean)

    def _take_signal(self, signal: Signal, scrape: Scrape, label: Mapping[str, str]) -> None:
        level = signal_level(signal, scrape.after, label) if signal.gauge else None
        if level is not None:
            self._levels[signal.name] = level * ({"ms": 1e-3, "us": 1e-6, "ns": 1e-9}.get(signal.unit, 1.0))
            return
        if signal.name in COUNTED:
            found = signal_increase(signal, scrape, label)
        elif signal.name == "model_load":
            # How long loading took was settled before anyone looked: its whole count, not what was added.
            found = signal_delta(signal, Scrape(scrape.url, type(scrape.before)(), scrape.after), label)
        else:
            found = signal_delta(signal, scrape, label)
        if found is None:
            return
        self._resets += found.resets
        if signal.name == "model_load":
            if found.n:
                self._levels["model_load"] = found.total_ms / found.n / 1000.0
        else:
            self._signals[signal.name] = found

    def _stage_means(self, server: Server, scrape: Scrape, label: Mapping[str, str]) -> dict[str, Mean]:
        """By stage: the sum of its parts' means, as far as requests were counted."""
        by_part: dict[str, Mean] = {}
        by_stage: dict[str, list[Mean]] = {}
        for part in server.parts:
            mean = _computed(part, by_part) if part.computed else self._part_mean(part, scrape, label)
            if mean is not None:
                by_part[part.name] = mean
                if part.stage:
                    by_stage.setdefault(part.stage, []).append(mean)
        return {
            stage: Mean(sum(one.mean for one in means), min(one.n for one in means))
            for stage, means in by_stage.items()
        }

    def _part_mean(self, part: Part, scrape: Scrape, label: Mapping[str, str]) -> Mean | None:
        if part.gauge:
            value = gauge_ms(part, scrape.after, label)
            requests = self._signals.get("requests")
            # A gauge holds the last request's time, however long ago that was.
            return None if value is None or requests is None or requests.n < 1 else Mean(value, 1.0)
        delta = part_delta(part, scrape, label)
        if delta is None:
            return None
        self._resets += delta.resets
        return Mean(delta.total_ms / delta.n, delta.n) if delta.n >= 1 else None

    def reading(self, seconds: float) -> Reading:
        """All of it."""
        counts = {name: found.n for name, found in self._signals.items() if name in COUNTED}
        # Without a count of requests of its own, a server's count of times is one.
        if "requests" not in counts and self._stages:
            counts["requests"] = max(mean.n for mean in self._stages.values())
        levels = {name: value for name, value in self._levels.items() if name in LEVELS}
        if "model_load" in self._levels:
            levels["model_load_s"] = self._levels["model_load"]
        gc = self._signals.get("gc")
        return Reading(
            seconds,
            self._stages,
            counts,
            levels,
            batch=self._batch(),
            dependency=_mean(self._signals.get("dependency")),
            gc_ms=gc.total_ms if gc else None,
            gc_pauses=gc.n if gc and gc.n else None,
            resets=self._resets,
        )

    def _batch(self) -> Mean | None:
        if "batch_size" in self._levels:
            return Mean(self._levels["batch_size"], 1.0)
        return _mean(self._signals.get("batch_size"))


def _mean(delta: Delta | None) -> Mean | None:
    return Mean(delta.total_ms / delta.n, delta.n) if delta is not None and delta.n >= 1 else None


def _computed(part: Part, known: Mapping[str, Mean]) -> Mean | None:
    """A part made of others; None where one is missing or they come out negative, having counted other requests."""
    terms = [known.get(name) for name in (*part.plus, *part.minus)]
    found = [term for term in terms if term is not None]
    if len(found) < len(terms):
        return None
    signs = [1.0] * len(part.plus) + [-1.0] * len(part.minus)
    mean = sum(sign * term.mean for sign, term in zip(signs, found, strict=True))
    return Mean(mean, min(term.n for term in found)) if mean >= 0 else None


def together(readings: Sequence[Reading]) -> Reading:
    """Several servers of one model as one: counts and queues added, times weighted by requests, shares by the worst."""
    seconds = max((one.seconds for one in readings), default=0.0)
    stages: dict[str, Mean] = {}
    for stage in dict.fromkeys(name for one in readings for name in one.stages):
        stages[stage] = _pooled(one.stages[stage] for one in readings if stage in one.stages)
    counts: dict[str, float] = {}
    levels: dict[str, float] = {}
    for one in readings:
        for name, value in one.counts.items():
            # Replicas are read at moments of their own: rates add up, not what differently long intervals counted.
            counts[name] = counts.get(name, 0.0) + value * seconds / one.seconds
        for name, value in one.levels.items():
            worst = name in ("kv_cache", "model_load_s")
            levels[name] = max(levels.get(name, 0.0), value) if worst else levels.get(name, 0.0) + value
    paused = [one for one in readings if one.gc_ms is not None]
    worst_gc = max(paused, key=lambda one: (one.gc_ms or 0.0) / one.seconds, default=None)
    batches = [one.batch for one in readings if one.batch is not None]
    calls = [one.dependency for one in readings if one.dependency is not None]
    return Reading(
        seconds,
        stages,
        counts,
        levels,
        batch=_pooled(batches) if batches else None,
        dependency=_pooled(calls) if calls else None,
        gc_ms=None if worst_gc is None else (worst_gc.gc_ms or 0.0) * seconds / worst_gc.seconds,
        gc_pauses=None
        if worst_gc is None or worst_gc.gc_pauses is None
        else worst_gc.gc_pauses * seconds / worst_gc.seconds,
    )


def _pooled(means: Iterable[Mean]) -> Mean:
    found = list(means)
    n = sum(one.n for one in found)
    return Mean(sum(one.mean * one.n for one in found) / n, n)


def figures(one: Reading, *, worst_connections: float | None = None) -> dict[str, float]:
    """A reading as figures by metric name, each with its unit in the name; what cannot be said is left out.

    `worst_connections` stands for the share of the reading's own levels, where it is several servers' together.
    """
    requests = one.counts.get("requests")
    found: dict[str, float | None] = {
        "server.request_rate": None if requests is None else requests / one.seconds,
        "server.error_share": _share(one.counts.get("errors"), requests),
        "server.rejected_share": _share(one.counts.get("rejected"), requests),
        "server.queue_depth": one.levels.get("queue_depth"),
        "server.in_flight": one.levels.get("in_flight"),
        "server.kv_cache_share": one.levels.get("kv_cache"),
        "server.model_load_s": one.levels.get("model_load_s"),
        "server.batch_size": one.batch.mean if one.batch else None,
        "server.dependency_ms": one.dependency.mean if one.dependency else None,
        "server.dependency_rate": one.dependency.n / one.seconds if one.dependency else None,
        "server.nan_outputs": one.counts.get("nan_outputs"),
        "server.gc_share": None if one.gc_ms is None else one.gc_ms / 1000.0 / one.seconds,
        "server.gc_pause_ms": one.gc_ms / one.gc_pauses if one.gc_ms is not None and one.gc_pauses else None,
        "server.connections_share": worst_connections if worst_connections is not None else connections_share(one),
        "server.request_ms": one.stages["total"].mean if "total" in one.stages else None,
    }
    errors = one.counts.get("dependency_errors")
    if errors is not None:
        found["server.dependency_error_share"] = _share(errors, one.dependency.n if one.dependency else requests)
    for stage, mean in one.stages.items():
        if stage != "total":
            found[f"stages.{stage}_ms"] = mean.mean
    return {name: value for name, value in found.items() if value is not None}


def connections_share(one: Reading) -> float | None:
    """Connections in use against the limit, None where either is not told."""
    used, limit = one.levels.get("connections"), one.levels.get("connections_limit")
    return used / limit if used is not None and limit else None


def _share(part: float | None, whole: float | None) -> float | None:
    """`part` of `whole`, None without any; never above 1, for what is turned away may not be counted as a request."""
    if part is None or not whole:
        return None
    return min(1.0, part / max(whole, part))
