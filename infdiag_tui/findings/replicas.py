"""One replica unlike its equals: slower, or failing more."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from infdiag_tui.config import Thresholds
from infdiag_tui.findings.known import Known
from infdiag_tui.findings.series import EMPTY, entities, is_fresh, recent, weighted_mean
from infdiag_tui.model import NOT_SENT, Evidence, LatencyView, Reply, SeriesKey, Snapshot, Verdict
from infdiag_tui.stats.fisher import fisher_greater
from infdiag_tui.text import one_line

WINDOW_S = 90.0
FRESH_S = 60.0
LEAST_EACH = 10
"""Requests that a replica must have served in the window to be compared."""
LEAST_INTERVALS = 4
"""Readings in which it must have served any. The median of their means counts, not the mean of all requests: the first
requests after a start are slow, and that is another matter than a bad replica."""
LEAST_OF_TWO = 50
"""As much for two replicas, where there is no majority to tell which of them is odd but the ratio itself."""
OUTLYING = 3.5
"""Modified z-score from which on a value is an outlier (B. Iglewicz and D. Hoaglin, How to Detect and Handle Outliers,
1993): 0.6745 (x - median) / MAD."""
SPREAD_FLOOR = 0.05
"""The MAD of logarithms is taken to be 5 % at least: equal replicas differ by that for no reason."""
SLOWER, FAR_SLOWER = 1.5, 2.0
"""Times the others' median: a warning, a failure."""
FAR_SLOWER_OF_TWO = 3.0
FLOOR_MS = 5.0
"""A difference below the protocol's typical network time hurts nobody."""
CHANCE, CERTAIN = 0.01, 1e-4


@dataclass(frozen=True, slots=True)
class Replica:
    """What one replica did in the window: its median time in ms (None where unknown), requests, failures."""

    name: str
    ms: float | None
    n: float
    failed: float | None


def assess(snapshot: Snapshot, thresholds: Thresholds, known: Known) -> Iterator[Evidence]:
    """`replicas.slow` and `replicas.failing`.

    By probes of each in turn, which all get the same input, where there are enough; else by the replicas' own metrics;
    else by replies that name who answered.
    """
    asked = [(view.target, view.replies) for view in snapshot.by_replica if view.replies]
    if len(asked) > 1:
        probed = tuple(replies for _, replies in asked)
        in_turn = known.memo.of(("replicas", "latency_replicas"), probed, partial(_by_probes, asked, snapshot.at))
        if sum(one.n >= LEAST_EACH for one in in_turn) > 1:
            at = max(replies[-1].at for _, replies in asked)
            yield from judge(in_turn, "latency_replicas", at, thresholds)
            return
    keys = [SeriesKey("server.request_rate", one) for one in entities(snapshot.series, "server.request_rate")]
    keys = [key for key in keys if is_fresh(snapshot.series[key], snapshot.at, FRESH_S)]
    if len(keys) > 1:
        stamp = tuple(snapshot.series[key] for key in keys)
        found = known.memo.of(
            ("replicas", "server_metrics"), stamp, lambda: [_by_metrics(snapshot, key.entity) for key in keys]
        )
        at = max(view.times[-1] for view in stamp)
        yield from judge(found, "server_metrics", at, thresholds)
        return
    for view in snapshot.latency:
        named = known.memo.of(("replicas", view.target), (view.replies,), partial(_by_replies, view))
        if len(named) > 1:
            yield from judge(named, "latency", view.replies[-1].at, thresholds)


def _by_metrics(snapshot: Snapshot, name: str) -> Replica:
    rate = snapshot.series[SeriesKey("server.request_rate", name)]
    times = snapshot.series.get(SeriesKey("server.request_ms", name), EMPTY)
    if not times.times:
        times = snapshot.series.get(SeriesKey("stages.inference_ms", name), EMPTY)
    errors = snapshot.series.get(SeriesKey("server.error_share", name), EMPTY)
    took, failing = weighted_mean(times, rate, WINDOW_S), weighted_mean(errors, rate, WINDOW_S)
    n = took.n if took else failing.n if failing else 0.0
    intervals = recent(times, WINDOW_S).values
    ms = statistics.median(intervals) if len(intervals) >= LEAST_INTERVALS else None
    return Replica(name, ms, n, failing.mean * failing.n if failing else None)


def _by_replies(view: LatencyView) -> list[Replica]:
    newest = view.replies[-1].at if view.replies else 0.0
    by_name: dict[str, list[tuple[float, bool]]] = {}
    for reply in view.replies:
        if reply.replica and newest - reply.at <= WINDOW_S and reply.error not in NOT_SENT:
            by_name.setdefault(reply.replica, []).append((reply.own_ms, reply.ok))
    return [_replica(name, replies) for name, replies in sorted(by_name.items())]


def _by_probes(asked: Sequence[tuple[str, Sequence[Reply]]], now: float) -> list[Replica]:
    return [
        _replica(
            name,
            [
                (reply.own_ms, reply.ok)
                for reply in replies
                if now - reply.at <= WINDOW_S and reply.error not in NOT_SENT
            ],
        )
        for name, replies in asked
    ]


def _replica(name: str, replies: Sequence[tuple[float, bool]]) -> Replica:
    return Replica(
        name,
        statistics.median(ms for ms, ok in replies if ok) if any(ok for _, ok in replies) else None,
        float(len(replies)),
        float(sum(not ok for _, ok in replies)),
    )


def judge(replicas: Sequence[Replica], source: str, at: float, thresholds: Thresholds) -> Iterator[Evidence]:
    """The odd ones as evidence each; when there is none, one that says that all are alike."""
    yield from _slow([one for one in replicas if one.ms is not None and one.n >= LEAST_EACH], source, at)
    yield from _failing(
        [one for one in replicas if one.failed is not None and one.n >= LEAST_EACH], source, at, thresholds
    )


def _slow(replicas: Sequence[Replica], source: str, at: float) -> Iterator[Evidence]:
    if len(replicas) < 2:
        return
    logs = {one.name: math.log(max(one.ms or 0.0, 1e-6)) for one in replicas}
    middle = statistics.median(logs.values())
    spread = max(SPREAD_FLOOR, statistics.median(abs(value - middle) for value in logs.values()))
    odd = False
    for one in replicas:
        others = statistics.median(other.ms or 0.0 for other in replicas if other is not one)
        ms = one.ms or 0.0
        ratio = ms / others if others else math.inf
        score = 0.6745 * (logs[one.name] - middle) / spread
        verdict = _slowness(ratio, score, replicas, ms - others)
        if verdict is Verdict.OK:
            continue
        odd = True
        yield Evidence(
            id="replicas.slow",
            statement=one_line(
                f"{one.name.rpartition('/')[2]} takes {ms:.1f} ms, {ratio:.1f} times the {others:.1f} ms of its equals"
            ),
            verdict=verdict,
            source=source,
            at=at,
            value=ratio,
            unit="ratio",
            subject=one.name,
            window_s=WINDOW_S,
            sample_size=round(one.n),
            threshold=SLOWER,
            threshold_source=f"modified z-score above {OUTLYING:g} and so many times the others' median",
        )
    enough = min(one.n for one in replicas) >= LEAST_OF_TWO if len(replicas) == 2 else True
    if not odd and enough:
        worst = max(replicas, key=lambda one: one.ms or 0.0)
        others = statistics.median(other.ms or 0.0 for other in replicas if other is not worst)
        yield Evidence(
            id="replicas.slow",
            statement=f"{len(replicas)} replicas are equally fast, the slowest {worst.ms:.1f} ms",
            verdict=Verdict.OK,
            source=source,
            at=at,
            value=(worst.ms or 0.0) / others if others else 1.0,
            unit="ratio",
            window_s=WINDOW_S,
            sample_size=round(sum(one.n for one in replicas)),
            threshold=SLOWER,
        )


def _slowness(ratio: float, score: float, replicas: Sequence[Replica], apart_ms: float) -> Verdict:
    if apart_ms < FLOOR_MS or ratio < SLOWER:
        return Verdict.OK
    if len(replicas) == 2:
        # Of two values each is as far from their median as the other: the score says nothing.
        if min(one.n for one in replicas) < LEAST_OF_TWO or ratio < FAR_SLOWER:
            return Verdict.OK
        return Verdict.FAIL if ratio >= FAR_SLOWER_OF_TWO else Verdict.WARN
    if score < OUTLYING:
        return Verdict.OK
    return Verdict.FAIL if ratio >= FAR_SLOWER else Verdict.WARN


def _failing(replicas: Sequence[Replica], source: str, at: float, thresholds: Thresholds) -> Iterator[Evidence]:
    if len(replicas) < 2:
        return
    odd = False
    for one in replicas:
        failed, n = round(one.failed or 0.0), round(one.n)
        others_failed = sum(round(other.failed or 0.0) for other in replicas if other is not one)
        others_n = sum(round(other.n) for other in replicas if other is not one)
        share, others_share = failed / n, others_failed / others_n
        chance = fisher_greater(min(failed, n), n, min(others_failed, others_n), others_n) * len(replicas)
        if share <= thresholds.error_rate or failed < 2 or chance > CHANCE or share < 2 * others_share:
            continue
        odd = True
        certain = chance <= CERTAIN and share >= 5 * others_share
        yield Evidence(
            id="replicas.failing",
            statement=one_line(
                f"{one.name.rpartition('/')[2]} fails {share:.1%} of its requests, its equals {others_share:.1%}"
            ),
            verdict=Verdict.FAIL if certain else Verdict.WARN,
            source=source,
            at=at,
            value=share,
            unit="share",
            subject=one.name,
            window_s=WINDOW_S,
            sample_size=n,
            threshold=thresholds.error_rate,
            threshold_source="config thresholds.error_rate, and Fisher's exact test against the others",
        )
    if not odd:
        total = sum(round(one.n) for one in replicas)
        yield Evidence(
            id="replicas.failing",
            statement=f"no one of {len(replicas)} replicas fails more than the others",
            verdict=Verdict.OK,
            source=source,
            at=at,
            value=sum(one.failed or 0.0 for one in replicas) / total,
            unit="share",
            window_s=WINDOW_S,
            sample_size=total,
            threshold=thresholds.error_rate,
            threshold_source="config thresholds.error_rate",
        )
