"""When slow replies come: at regular intervals, or right after something was started."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from infdiag_tui.findings.known import Known
from infdiag_tui.model import ErrorKind, Evidence, LatencyView, Reply, Snapshot, Verdict
from infdiag_tui.stats.fisher import fisher_greater
from infdiag_tui.stats.rhythm import rhythm

SLOW_RATIO = 3.0
SLOW_FLOOR_MS = 20.0
"""A reply is slow from three times the median on (as p99 against p50 is high variance), and by 20 ms at least."""

WINDOW_S = 600.0
LEAST_REPLIES = 60
LEAST_SPIKES = 6
FEW_SPIKES = 2
MOST_SHARE = 0.25
"""Of more slow replies than this it makes no sense to say that they come now and then."""
CHANCE = 0.01
SHORTEST_INTERVALS = 6.0
"""Periods below six probes are not looked for: replicas that take turns make such by themselves."""
SHORTEST_S = 3.0
CYCLES = 4.0
"""A period must have been seen so often."""

AFTER_S = (5.0, 15.0, 45.0)
"""How long after a replica began to serve a reply counts as one after its start: the first requests load a model within
seconds, compilers and caches take longer. The span that parts slow from fast best is taken, its chance times three."""
AFTER_CHANCE, AFTER_CERTAIN = 0.05, 0.005
LEAST_NEAR = 10
EXPLAINED = 0.5
"""Share of all slow replies that must have come after a start for the starts to be the matter."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers and timeouts of a window, and from which time on one of them is slow."""

    replies: tuple[Reply, ...]
    median_ms: float
    slow_ms: float

    def is_slow(self, reply: Reply) -> bool:
        return reply.own_ms >= self.slow_ms


def assess(snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """`latency.spikes_periodic` and `latency.after_start` of every target with enough replies."""
    starts = tuple(sorted(_starts(snapshot)))
    for view in snapshot.latency:
        spikes = known.memo.of(("latency.spikes_periodic", view.target), (view.replies,), partial(_spikes, view))
        if spikes is not None:
            yield spikes
        after = None
        if starts:
            key = ("latency.after_start", view.target, starts)
            after = known.memo.of(key, (view.replies,), partial(_after_start, view, starts))
        if after is not None:
            yield after


def _answers(replies: Sequence[Reply]) -> _Answers | None:
    timed = tuple(reply for reply in replies if _is_timed(reply))
    if not any(reply.ok for reply in timed):
        return None
    median_ms = statistics.median(reply.own_ms for reply in timed)
    return _Answers(timed, median_ms, max(SLOW_RATIO * median_ms, median_ms + SLOW_FLOOR_MS))


def _is_timed(reply: Reply) -> bool:
    """True for answers, and for timeouts: those took at least that long."""
    return reply.ok or reply.error is ErrorKind.TIMEOUT


def _spikes(view: LatencyView) -> Evidence | None:
    newest = view.replies[-1].at if view.replies else 0.0
    answers = _answers([reply for reply in view.replies if newest - reply.at <= WINDOW_S])
    if answers is None or len(answers.replies) < LEAST_REPLIES:
        return None
    replies = answers.replies
    span_s = replies[-1].scheduled_at - replies[0].scheduled_at
    interval_s = span_s / (len(replies) - 1)
    slow = [reply for reply in replies if answers.is_slow(reply)]
    times = _events(slow, 2.5 * interval_s)
    shortest, longest = max(SHORTEST_S, SHORTEST_INTERVALS * interval_s), span_s / CYCLES
    period: float | None = None
    if len(slow) > MOST_SHARE * len(replies) or longest <= shortest:
        return None
    if len(times) < LEAST_SPIKES:
        verdict = Verdict.OK if len(times) <= FEW_SPIKES else Verdict.UNKNOWN
        text = f"{len(times)} slow replies in {span_s / 60:.0f} min: too few for a rhythm"
    else:
        found = rhythm(times, shortest=shortest, longest=longest)
        regular = found is not None and found.p <= CHANCE
        period = found.period if found is not None and regular else None
        verdict = Verdict.WARN if regular else Verdict.OK
        text = f"{len(times)} slow replies in {span_s / 60:.0f} min" + (
            f" come every {period:.1f} s" if period is not None else " come at no regular interval"
        )
    return Evidence(
        id="latency.spikes_periodic",
        statement=text,
        verdict=verdict,
        source="latency",
        at=newest,
        value=period,
        unit="s",
        subject=view.target,
        window_s=span_s,
        sample_size=len(replies),
        threshold=CHANCE,
        threshold_source="Rayleigh's test: probability of such a rhythm by chance",
    )


def _events(slow: Sequence[Reply], apart_s: float) -> list[float]:
    """When slowness came: neighbouring slow replies are one event, at the end of the slowest of them.

    What holds up a server holds up all that are under way, and lets them go together.
    """
    found: list[Reply] = []
    last: Reply | None = None
    for reply in slow:
        if last is not None and reply.scheduled_at - last.scheduled_at <= apart_s:
            if reply.own_ms > found[-1].total_ms:
                found[-1] = reply
        else:
            found.append(reply)
        last = reply
    return [reply.at for reply in found]


def _starts(snapshot: Snapshot) -> Iterator[float]:
    """When pods became ready, those that have left meanwhile among them, and when the watched processes started."""
    for key, view in snapshot.series.items():
        if key.metric == "pod.ready":
            yield from (at for at, ready in zip(view.times, view.values, strict=True) if ready == 1.0)
    for process in snapshot.processes:
        if process.started_at is not None and process.running:
            yield process.started_at


@dataclass(frozen=True, slots=True)
class _Split:
    """Replies within `span_s` of a start and the others, the slow ones among both, and the chance of that."""

    span_s: float
    near: tuple[Reply, ...]
    hits: tuple[Reply, ...]
    far: _Answers
    others: int
    chance: float


def _after_start(view: LatencyView, starts: Sequence[float]) -> Evidence | None:
    """Whether slow replies come within seconds of a start, and hardly otherwise."""
    if not view.replies:
        return None
    begins, newest = view.replies[0].scheduled_at, view.replies[-1].at
    # A server that was away answers again some time after its process was started: that is when serving began.
    seen = {at: _first_answer(view.replies, at) for at in starts if begins - 1.0 <= at <= newest}
    splits = [split for span_s in AFTER_S if seen and (split := _split(view.replies, seen, span_s)) is not None]
    if not splits:
        return None
    best = min(splits, key=lambda split: (split.chance, split.span_s))
    hits, others, chance = len(best.hits), best.others, best.chance * len(AFTER_S)
    explained = hits / (hits + others) if hits else 0.0
    ratio = statistics.median(reply.own_ms for reply in (best.hits or best.near)) / best.far.median_ms
    if hits >= 3 and chance <= AFTER_CERTAIN and explained >= EXPLAINED:
        verdict = Verdict.FAIL
    elif hits >= 2 and chance <= AFTER_CHANCE and explained >= EXPLAINED:
        verdict = Verdict.WARN
    else:
        none = not any(split.hits for split in splits) and max(len(split.near) for split in splits) >= LEAST_NEAR
        verdict = Verdict.OK if none else Verdict.UNKNOWN
    text = f"{hits} of {len(best.near)} replies within {best.span_s:.0f} s of a start are slow"
    if hits:
        text += f" ({ratio:.1f} times the others' median), {others} of {len(best.far.replies)} others"
    first = min((at for at in seen if any(at <= one.scheduled_at for one in best.hits)), default=None)
    return Evidence(
        id="latency.after_start",
        statement=text,
        verdict=verdict,
        source="latency",
        at=newest,
        value=ratio,
        unit="ratio",
        subject=view.target,
        window_s=newest - begins,
        sample_size=len(best.near) + len(best.far.replies),
        threshold=SLOW_RATIO,
        threshold_source="Fisher's exact test on slow replies after a start and otherwise",
        since=first if verdict in (Verdict.WARN, Verdict.FAIL) else None,
    )


def _split(replies: Sequence[Reply], starts: Mapping[float, float], span_s: float) -> _Split | None:
    """None where either side has too few replies."""
    near, far = _parted(replies, [(at, served + span_s) for at, served in starts.items()])
    answers = _answers(far)
    if answers is None or len(answers.replies) < LEAST_NEAR or len(near) < 2:
        return None
    hits = tuple(reply for reply in near if answers.is_slow(reply))
    others = sum(answers.is_slow(reply) for reply in answers.replies)
    chance = fisher_greater(len(hits), len(near), others, len(answers.replies))
    return _Split(span_s, tuple(near), hits, answers, others, chance)


def _first_answer(replies: Sequence[Reply], at: float) -> float:
    """When the first request that was sent after `at` and answered was sent; `at` when there is none."""
    return next((reply.scheduled_at for reply in replies if reply.scheduled_at >= at and reply.ok), at)


def _parted(replies: Sequence[Reply], windows: Sequence[tuple[float, float]]) -> tuple[list[Reply], list[Reply]]:
    """Answers and timeouts sent within one of the windows, and the others; both in order of completion."""
    near: list[Reply] = []
    far: list[Reply] = []
    for reply in replies:
        if _is_timed(reply):
            inside = any(start <= reply.scheduled_at <= end for start, end in windows)
            (near if inside else far).append(reply)
    return near, far
