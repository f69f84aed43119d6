"""What the model server's own metrics say of failures, pauses, connections and what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from infdiag_tui.config import Endpoint, Thresholds
from infdiag_tui.findings.series import EMPTY, Series, entities, is_fresh, measured, recent, weighted_mean
from infdiag_tui.model import Evidence, SeriesKey, SeriesView, Snapshot, Verdict
from infdiag_tui.servers.stages import SPECIFICATION, TYPICAL_MS
from infdiag_tui.stats.wilson import wilson

SOURCE = "server_metrics"
FRESH_S = 120.0
"""Older figures say nothing of now; `as_known` tells of those that are between fresh and this."""
WINDOW_S = 60.0
LEAST_REQUESTS = 20

GC_LITTLE, GC_MUCH, GC_TOO_MUCH = 0.01, 0.03, 0.08
"""Shares of time paused: next to none; enough to be felt where single pauses are long; above what collectors aim at
(HotSpot's G1 at 1 / (1 + GCTimeRatio) = 8 % by default)."""
GC_LONG_MS, GC_VERY_LONG_MS = 20.0, 100.0
"""A pause that shows in a tail, and one as long as a typical inference."""
GC_LEAST_READINGS = 3

CONNECTIONS_FEW_LEFT, CONNECTIONS_NONE_LEFT = 0.9, 0.995
CONNECTIONS_READINGS = 3

DEPENDENCY_MOST, DEPENDENCY_MUCH, DEPENDENCY_LITTLE = 0.7, 0.5, 0.2
"""Shares of a request's time spent waiting for what the server depends on."""

NAN_WINDOW_S = 300.0
KV_CACHE_FULL = 0.95


@dataclass(frozen=True, slots=True)
class View:
    """The series of the whole model as of one moment."""

    series: Series
    now: float

    def of(self, metric: str, entity: str = "") -> SeriesView:
        """A series as measured in this incident, empty where it is not told or too old."""
        view = measured(self.series.get(SeriesKey(metric, entity), EMPTY))
        return view if is_fresh(view, self.now, FRESH_S) else EMPTY


def assess(snapshot: Snapshot, thresholds: Thresholds, endpoint: Endpoint | None) -> Iterator[Evidence]:
    """Evidence from the figures of all replicas together, and of single ones where one may be worse than the rest."""
    view = View(snapshot.series, snapshot.at)
    yield from _request_rate(view)
    yield from _share(view, "server.error_share", "server.error_rate", "failed by the server's own count", thresholds)
    yield from _share(view, "server.rejected_share", "server.rejected", "were turned away by the server", thresholds)
    yield from _dependency_errors(view, thresholds)
    yield from _dependency_ms(view)
    yield from _worst(view, "server.gc_share", _gc)
    yield from _worst(view, "server.connections_share", _connections)
    yield from _worst(view, "server.kv_cache_share", _kv_cache)
    yield from _nan_outputs(view)
    yield from _model_load(view, endpoint)


def _request_rate(view: View) -> Iterator[Evidence]:
    rate = recent(view.of("server.request_rate"), WINDOW_S)
    if not rate.values:
        return
    mean = sum(rate.values) / len(rate.values)
    yield Evidence(
        id="server.request_rate",
        statement=f"the server counts {mean:.1f} requests/s",
        verdict=Verdict.OK,
        source=SOURCE,
        at=rate.times[-1],
        value=mean,
        unit="1/s",
        window_s=WINDOW_S,
        sample_size=len(rate.values),
    )


def _share(view: View, metric: str, id_: str, words: str, thresholds: Thresholds) -> Iterator[Evidence]:
    """A share of requests against the allowed share of failures."""
    shares, rate = view.of(metric), view.of("server.request_rate")
    found = weighted_mean(shares, rate, WINDOW_S)
    if found is None:
        return
    n, hits = round(found.n), round(found.mean * found.n)
    verdict = _against(hits, n, thresholds.error_rate)
    yield Evidence(
        id=id_,
        statement=f"{hits} of {n} requests {words}",
        verdict=verdict,
        source=SOURCE,
        at=shares.times[-1],
        value=found.mean,
        unit="share",
        window_s=found.window_s,
        sample_size=n,
        threshold=thresholds.error_rate,
        threshold_source="config thresholds.error_rate",
    )


def _against(hits: int, n: int, limit: float) -> Verdict:
    """Fails when even the interval's lower end is over the limit, warns when only the share is."""
    if n < 1 or (n < LEAST_REQUESTS and hits < 2):
        return Verdict.UNKNOWN
    if hits / n <= limit:
        return Verdict.OK
    return Verdict.FAIL if hits > 1 and wilson(min(hits, n), n)[0] > limit else Verdict.WARN


def _dependency_errors(view: View, thresholds: Thresholds) -> Iterator[Evidence]:
    shares = view.of("server.dependency_error_share")
    calls = view.of("server.dependency_rate")
    found = weighted_mean(shares, calls if calls.times else view.of("server.request_rate"), WINDOW_S)
    if found is None:
        return
    n, hits = round(found.n), round(found.mean * found.n)
    yield Evidence(
        id="server.dependency_errors",
        statement=f"{hits} of {n} calls of the server to what it depends on fail",
        verdict=_against(hits, n, thresholds.error_rate),
        source=SOURCE,
        at=shares.times[-1],
        value=found.mean,
        unit="share",
        window_s=found.window_s,
        sample_size=n,
        threshold=thresholds.error_rate,
        threshold_source="config thresholds.error_rate",
    )


def _dependency_ms(view: View) -> Iterator[Evidence]:
    """The time of a request that goes into calls, against the whole request: a call that takes most of it matters."""
    times, calls, rate = (view.of(f"server.{name}") for name in ("dependency_ms", "dependency_rate", "request_rate"))
    call = weighted_mean(times, calls, WINDOW_S)
    if call is None or call.n < LEAST_REQUESTS / 4:
        return
    whole = weighted_mean(view.of("server.request_ms"), rate, WINDOW_S)
    verdict, limit, share_words = Verdict.UNKNOWN, None, ""
    if whole is not None and whole.mean > 0 and whole.n >= 1:
        per_request = call.mean * call.n / call.window_s / (whole.n / whole.window_s)
        share = min(1.0, per_request / whole.mean)
        limit = DEPENDENCY_MUCH * whole.mean
        share_words = f", {share:.0%} of the time of a request"
        floor = TYPICAL_MS["preprocess"]
        if share >= DEPENDENCY_MOST and per_request >= 3 * floor:
            verdict = Verdict.FAIL
        elif share >= DEPENDENCY_MUCH and per_request >= floor:
            verdict = Verdict.WARN
        elif share <= DEPENDENCY_LITTLE or per_request < floor:
            verdict = Verdict.OK
    yield Evidence(
        id="server.dependency_ms",
        statement=f"a call to what the server depends on takes {call.mean:.1f} ms{share_words}",
        verdict=verdict,
        source=SOURCE,
        at=times.times[-1],
        value=call.mean,
        unit="ms",
        window_s=call.window_s,
        sample_size=round(call.n),
        threshold=limit,
        threshold_source=f"half of a request's time, and above preprocessing's {SPECIFICATION}" if limit else "",
    )


def _worst(view: View, metric: str, judge: Callable[[View, str], Evidence | None]) -> Iterator[Evidence]:
    """Evidence of each replica that is over; where none is, of all together."""
    singly = [made for entity in entities(view.series, metric) if (made := judge(view, entity)) is not None]
    bad = [one for one in singly if one.verdict in (Verdict.WARN, Verdict.FAIL)]
    if bad:
        yield from bad
        return
    together = judge(view, "")
    if together is not None:
        yield together


def _gc(view: View, entity: str) -> Evidence | None:
    shares = recent(view.of("server.gc_share", entity), WINDOW_S)
    if len(shares.values) < GC_LEAST_READINGS:
        return None
    share = sum(shares.values) / len(shares.values)
    pauses = recent(view.of("server.gc_pause_ms", entity), WINDOW_S)
    # Above which share a single pause of this mean length is felt; unknown lengths must be judged by the share alone.
    pause_ms = max(pauses.values, default=0.0)
    if share >= GC_TOO_MUCH or (share >= GC_MUCH and pause_ms >= GC_VERY_LONG_MS):
        verdict = Verdict.FAIL
    elif share >= GC_MUCH and pause_ms >= GC_LONG_MS:
        verdict = Verdict.WARN
    else:
        verdict = Verdict.OK if share <= GC_LITTLE else Verdict.UNKNOWN
    length = f", {pause_ms:.0f} ms at a time" if pause_ms else ""
    return Evidence(
        id="server.gc_pause",
        statement=f"{_who(entity)} is paused for garbage collection {share:.1%} of the time{length}",
        verdict=verdict,
        source=SOURCE,
        at=shares.times[-1],
        value=share,
        unit="share",
        subject=entity,
        window_s=shares.times[-1] - shares.times[0],
        sample_size=len(shares.values),
        threshold=GC_TOO_MUCH,
        threshold_source=f"G1's own goal; {GC_MUCH:.0%} where a pause takes {GC_VERY_LONG_MS:g} ms",
    )


def _connections(view: View, entity: str) -> Evidence | None:
    shares = view.of("server.connections_share", entity)
    newest = shares.values[-CONNECTIONS_READINGS:]
    if len(newest) < CONNECTIONS_READINGS:
        return None
    least = min(newest)
    if least >= CONNECTIONS_NONE_LEFT:
        verdict = Verdict.FAIL
    elif least >= CONNECTIONS_FEW_LEFT:
        verdict = Verdict.WARN
    else:
        verdict = Verdict.OK if max(newest) < CONNECTIONS_FEW_LEFT else Verdict.UNKNOWN
    return Evidence(
        id="server.connections",
        statement=f"{_who(entity)} uses {newest[-1]:.0%} of the connections that it allows",
        verdict=verdict,
        source=SOURCE,
        at=shares.times[-1],
        value=newest[-1],
        unit="share",
        subject=entity,
        window_s=shares.times[-1] - shares.times[-CONNECTIONS_READINGS],
        sample_size=len(newest),
        threshold=CONNECTIONS_FEW_LEFT,
        threshold_source="the server's own limit",
    )


def _kv_cache(view: View, entity: str) -> Evidence | None:
    shares = recent(view.of("server.kv_cache_share", entity), WINDOW_S)
    if not shares.values:
        return None
    full = len(shares.values) >= 3 and min(shares.values[-3:]) >= KV_CACHE_FULL
    return Evidence(
        id="server.kv_cache",
        statement=f"{_who(entity)} has {shares.values[-1]:.0%} of its KV cache in use",
        verdict=Verdict.WARN if full else Verdict.OK,
        source=SOURCE,
        at=shares.times[-1],
        value=shares.values[-1],
        unit="share",
        subject=entity,
        window_s=shares.times[-1] - shares.times[0],
        sample_size=len(shares.values),
        threshold=KV_CACHE_FULL,
        threshold_source="requests are preempted once the cache is full",
    )


def _nan_outputs(view: View) -> Iterator[Evidence]:
    counts = recent(view.of("server.nan_outputs"), NAN_WINDOW_S)
    if not counts.values:
        return
    total = sum(counts.values)
    yield Evidence(
        id="server.nan_outputs",
        statement=f"the server counts {total:.0f} outputs with NaN in {NAN_WINDOW_S / 60:.0f} min",
        verdict=Verdict.FAIL if total >= 1 else Verdict.OK,
        source=SOURCE,
        at=counts.times[-1],
        value=total,
        unit="outputs",
        window_s=counts.times[-1] - counts.times[0],
        sample_size=len(counts.values),
        threshold=0.0,
    )


def _model_load(view: View, endpoint: Endpoint | None) -> Iterator[Evidence]:
    loads = view.of("server.model_load_s")
    if not loads.values:
        return
    limit = endpoint.timeout_s if endpoint is not None else Endpoint.model_fields["timeout_s"].default
    took = loads.values[-1]
    yield Evidence(
        id="server.model_load",
        statement=f"loading the model took {took:.1f} s",
        verdict=Verdict.WARN if took > limit else Verdict.OK,
        source=SOURCE,
        at=loads.times[-1],
        value=took,
        unit="s",
        threshold=limit,
        threshold_source="endpoint.timeout_s: as long as a client waits",
    )


def _who(entity: str) -> str:
    return entity.rpartition("/")[2] or "the server"
