"""What the model server's own metrics say of load: queue, batches, traffic."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from functools import partial

from infdiag_tui.findings.known import Known
from infdiag_tui.findings.latency_change import CERTAIN, CHANCE, DOUBLED, RAISED
from infdiag_tui.findings.series import recent, weighted_mean
from infdiag_tui.findings.server import SOURCE, WINDOW_S, View
from infdiag_tui.model import Evidence, SeriesView, Snapshot, Verdict
from infdiag_tui.stats.change_point import change_point
from infdiag_tui.stats.mann_kendall import mann_kendall
from infdiag_tui.stats.theil_sen import theil_sen

LEAST_READINGS = 3
GROWTH_WINDOW_S = 180.0
GROWTH_READINGS = 8
GROWTH_CHANCE, GROWTH_CERTAIN = 0.01, 0.001
GROWTH_FLOOR = 5.0
"""Requests by which a queue must have grown in the window: less comes and goes."""
STILL = 0.4
STILL_CHANCE = 0.05
"""The newer half of the window must rise by so much of the whole one's slope, and by no more than this chance."""
WAITING = 1.0
"""From one waiting request on, on average, a queue is one."""
WAIT_SHARE = 0.5
"""A wait (by Little's law, depth over throughput) of half a request's own time is a warning, of all of it a failure."""
ONE_BY_ONE = 1.2
"""Batches up to this mean size are single requests."""
COULD_BE_BATCHED = 2.0
MANY_WAIT = 8.0
"""So many that wait while each is served alone would fill a batch of the usual size."""

CHANGE_BEFORE, CHANGE_AFTER = 6, 4
CHANGE_READINGS = 12
FAR_ABOVE = 4.0
"""A rise so large needs no longer past to be sure of."""
RATE_FLOOR = 0.5
"""Requests per second: traffic that rises by less is none."""


def assess(snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """Evidence from the figures of all replicas together."""
    view = View(snapshot.series, snapshot.at)
    depth, rate, batch = (view.of(f"server.{name}") for name in ("queue_depth", "request_rate", "batch_size"))
    yield from _depth(view, depth)
    if depth.times:
        growth = known.memo.of(("server.queue_growth",), (depth,), partial(_growth, depth))
        yield from [growth] if growth else []
    yield from _batch_size(batch, depth)
    if batch.times:
        grown = known.memo.of(("server.batch_growth",), (batch,), partial(_batch_growth, batch))
        yield from [grown] if grown else []
    if rate.times:
        traffic = known.memo.of(("server.traffic_change",), (rate,), partial(_traffic, rate))
        yield from [traffic] if traffic else []


def _depth(view: View, depth: SeriesView) -> Iterator[Evidence]:
    window = recent(depth, WINDOW_S)
    if len(window.values) < LEAST_READINGS:
        return
    waiting = statistics.fmean(window.values)
    rate, times = view.of("server.request_rate"), view.of("server.request_ms")
    served = recent(rate, WINDOW_S)
    took = weighted_mean(times, rate, WINDOW_S)
    throughput = statistics.fmean(served.values) if served.values else 0.0
    verdict = Verdict.OK if waiting < WAITING else Verdict.UNKNOWN
    wait_words, limit = "", None
    if waiting >= WAITING and throughput > 0 and took is not None:
        wait_ms = waiting / throughput * 1000.0
        limit = WAIT_SHARE * took.mean * throughput / 1000.0
        wait_words = f", about {wait_ms:.0f} ms each at {throughput:.1f} requests/s"
        long = wait_ms >= WAIT_SHARE * took.mean
        verdict = Verdict.FAIL if wait_ms >= took.mean else Verdict.WARN if long else Verdict.OK
    elif waiting >= WAITING and view.of("server.request_rate").times and throughput == 0:
        verdict, wait_words = Verdict.FAIL, ", and none is served"
    yield Evidence(
        id="server.queue_depth",
        statement=f"{waiting:.1f} requests wait in the server on average{wait_words}",
        verdict=verdict,
        source=SOURCE,
        at=window.times[-1],
        value=waiting,
        unit="requests",
        window_s=window.times[-1] - window.times[0],
        sample_size=len(window.values),
        threshold=limit,
        threshold_source="a wait of half a request's own time (Little's law)" if limit is not None else "",
    )


def _growth(depth: SeriesView) -> Evidence | None:
    window = recent(depth, GROWTH_WINDOW_S)
    if len(window.values) < GROWTH_READINGS:
        return None
    score, chance = mann_kendall(window.values)
    slope = theil_sen(window.times, window.values)
    if slope is None:
        return None
    per_minute = slope.slope * 60.0
    span_s = window.times[-1] - window.times[0]
    grown = slope.slope * span_s
    enough = grown >= max(GROWTH_FLOOR, 0.5 * statistics.median(window.values))
    rises = score > 0 and enough and slope.low > 0 and _goes_on(window, slope.slope)
    if rises and chance <= GROWTH_CERTAIN:
        verdict = Verdict.FAIL
    else:
        verdict = Verdict.WARN if rises and chance <= GROWTH_CHANCE else Verdict.OK
    return Evidence(
        id="server.queue_growth",
        statement=f"the server's queue {'grows' if rises else 'changes'} by {per_minute:+.1f} requests a minute",
        verdict=verdict,
        source=SOURCE,
        at=window.times[-1],
        value=per_minute,
        unit="requests/min",
        window_s=span_s,
        sample_size=len(window.values),
        low=slope.low * 60.0 if math.isfinite(slope.low) else None,
        high=slope.high * 60.0 if math.isfinite(slope.high) else None,
        threshold=GROWTH_FLOOR,
        threshold_source="Mann-Kendall test and Theil-Sen slope",
    )


def _goes_on(window: SeriesView, slope: float) -> bool:
    """Whether the newer half still rises: a queue that settled at a higher level has grown, and grows no more."""
    half = len(window.values) // 2
    later = theil_sen(window.times[half:], window.values[half:])
    score, chance = mann_kendall(window.values[half:])
    return later is not None and later.slope >= STILL * slope and score > 0 and chance <= STILL_CHANCE


def _batch_size(batch: SeriesView, depth: SeriesView) -> Iterator[Evidence]:
    sizes, waiting = recent(batch, WINDOW_S), recent(depth, WINDOW_S)
    if len(sizes.values) < LEAST_READINGS:
        return
    mean = statistics.fmean(sizes.values)
    several = len(waiting.values) >= LEAST_READINGS and statistics.median(waiting.values) >= COULD_BE_BATCHED
    single = mean <= ONE_BY_ONE
    if single and several:
        severe = statistics.median(waiting.values) >= MANY_WAIT
        verdict = Verdict.FAIL if severe else Verdict.WARN
        text = f"the model takes requests one by one (batches of {mean:.1f}) though several wait"
    elif not single:
        verdict, text = Verdict.OK, f"the model takes requests in batches of {mean:.1f}"
    elif waiting.values:
        verdict, text = Verdict.OK, f"batches hold {mean:.1f} requests, and no others wait that could join"
    else:
        verdict, text = Verdict.UNKNOWN, f"batches hold {mean:.1f} requests; whether others wait is not told"
    yield Evidence(
        id="server.batch_size",
        statement=text,
        verdict=verdict,
        source=SOURCE,
        at=sizes.times[-1],
        value=mean,
        unit="requests",
        window_s=sizes.times[-1] - sizes.times[0],
        sample_size=len(sizes.values),
        threshold=ONE_BY_ONE,
        threshold_source="single requests",
    )


def _batch_growth(batch: SeriesView) -> Evidence | None:
    """Whether batches grew at some moment; it is an ill only together with slower computing, which rules judge."""
    return _level(batch, "server.batch_growth", "batches", 1.0, severe=True)


def _traffic(rate: SeriesView) -> Evidence | None:
    return _level(rate, "server.traffic_change", "traffic", RATE_FLOOR, severe=False)


def _level(series: SeriesView, id_: str, what: str, floor: float, *, severe: bool) -> Evidence | None:
    """A lasting rise of a series' level; `severe`: twice as much is a failure, else it is never more than a warning."""
    if len(series.values) < CHANGE_READINGS:
        return None
    change = change_point(series.values, least_before=CHANGE_BEFORE, least_after=CHANGE_AFTER)
    newest = statistics.median(series.values[-CHANGE_AFTER:])
    risen = (
        change is not None
        and change.p <= CHANCE
        and min(change.after, newest) >= max(RAISED * change.before, change.before + floor)
    )
    ratio, since, verdict = 1.0, None, Verdict.OK
    text = f"{what} kept their level" if what.endswith("s") else f"{what} kept its level"
    if change is not None and risen:
        ratio = change.ratio if change.before else newest / floor
        since = series.times[change.index]
        apart = change.after_low > change.before_high
        surely = change.p <= CERTAIN or ratio >= FAR_ABOVE
        certain = severe and ratio >= DOUBLED and apart and surely
        verdict = Verdict.FAIL if certain else Verdict.WARN
        text = f"{what} rose to {ratio:.1f} times what it was: {change.after:.1f} against {change.before:.1f}"
    return Evidence(
        id=id_,
        statement=text,
        verdict=verdict,
        source=SOURCE,
        at=series.times[-1],
        value=ratio,
        unit="ratio",
        window_s=series.times[-1] - series.times[0],
        sample_size=len(series.values),
        threshold=RAISED,
        threshold_source="change-point test (maximally selected rank statistic)",
        since=since,
    )
