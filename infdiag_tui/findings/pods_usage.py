"""Evidence from what pods use over time: memory that grows or jumps, CPU at its limit, nodes without CPU left."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from infdiag_tui.findings.known import Known
from infdiag_tui.findings.series import EMPTY, is_fresh
from infdiag_tui.model import Evidence, Pod, SeriesKey, SeriesView, Snapshot, Verdict
from infdiag_tui.stats.growth import MIN_GROWTH_BYTES, MIN_GROWTH_SHARE, MIN_POINTS, Growth, Judgement, Series, judge

FRESH_S = 120.0
"""metrics-server refreshes every 15 s or so; older figures say nothing about now."""
SETTLE_S = 60.0
READY_SETTLE_S = 10.0
"""A process loads its model and fills its caches first: growth in its first minute, or until its pod has been ready for
some seconds, is no leak."""
MOST_POINTS = 60
"""Readings that growth is judged by; of more, evenly chosen ones. 1,770 pairs decide as well as a hundred thousand."""
LEAST_SPAN_S = 40.0
FAIL_WITHIN_S = 24 * 3600.0
"""A leak that reaches the limit within a day is a failure (as the check `memory` has it), a slower one a warning."""

STEP_RATIO = 1.3
STEP_BEFORE, STEP_AFTER = 4, 3
STEP_NOISE = 5.0
"""A jump must be so many times the usual difference of neighbouring readings."""
STEP_FLOOR_BYTES = 16 * 2**20

AT_LIMIT, NEAR_LIMIT, WELL_BELOW = 0.95, 0.9, 0.8
READINGS = 3
NODE_FULL, NODE_NEARLY, NODE_HAS_LEFT = 0.95, 0.9, 0.85
OTHERS_SHARE = 0.5
"""Of a full node's CPU others must take at least so much for contention to be their doing."""
_MIB = 2**20


def assess(snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """Evidence of every pod with a history, and of the nodes where they may be read."""
    for pod in snapshot.pods:
        memory = snapshot.series.get(SeriesKey("pod.memory_bytes", pod.key), EMPTY)
        if is_fresh(memory, snapshot.at, FRESH_S):
            yield from _memory(pod, memory, snapshot, known)
        cpu = snapshot.series.get(SeriesKey("pod.cpu_cores", pod.key), EMPTY)
        if is_fresh(cpu, snapshot.at, FRESH_S):
            yield from _cpu(pod, cpu)
    yield from _nodes(snapshot)


# --- memory ---


def _memory(pod: Pod, memory: SeriesView, snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    restarts = snapshot.series.get(SeriesKey("pod.restarts", pod.key), EMPTY)
    runs = known.memo.of(("pod runs", pod.key), (memory, restarts, pod), partial(_runs, pod, memory, restarts))
    limit = pod.memory_limit_bytes
    longest = next((run for run in reversed(runs) if _is_long(run)), None)
    if longest is not None:
        name, key = pod.key, ("memory_slope", pod.key)
        made = known.memo.heavily(
            key, (memory, pod), partial(slope_evidence, name, longest, limit, "pods.memory_slope")
        )
        yield from [made] if made is not None else []
    if runs:
        step = known.memo.of(("memory_step", pod.key), (memory, pod), partial(_step, pod, runs[-1]))
        yield from [step] if step is not None else []


def _runs(pod: Pod, memory: SeriesView, restarts: SeriesView) -> tuple[SeriesView, ...]:
    """The readings of each run of the pod's containers, once settled: memory begins anew with a process."""
    begins = {at for at, (one, two) in zip(restarts.times[1:], pairwise(restarts.values), strict=True) if two > one}
    begins |= {one.started_at for one in pod.containers if one.started_at is not None}
    edges = sorted(begins)
    settled = [at + SETTLE_S for at in edges]
    if edges and pod.ready and pod.ready_at is not None and pod.ready_at >= edges[-1]:
        settled[-1] = pod.ready_at + READY_SETTLE_S
    starts = [0, *(bisect_left(memory.times, at) for at in settled)]
    ends = [*(bisect_left(memory.times, at) for at in edges), len(memory.times)]
    runs = [
        SeriesView(memory.times[start:end], memory.values[start:end])
        for start, end in zip(starts, ends, strict=True)
        if end > start
    ]
    return tuple(runs)


def _is_long(run: SeriesView) -> bool:
    return len(run.times) >= MIN_POINTS and run.times[-1] - run.times[0] >= LEAST_SPAN_S


def slope_evidence(name: str, run: SeriesView, limit_bytes: int | None, id_: str, source: str = "pods") -> Evidence:
    """Whether memory grows without end, by the same judgement as the check `memory`. Blocking (NumPy)."""
    of = growth_of(name, run, limit_bytes)
    verdict = Verdict.OK
    if of.growth is Growth.LEAK:
        soon = of.time_to_limit_s is not None and of.time_to_limit_s <= FAIL_WITHIN_S
        verdict = Verdict.FAIL if soon else Verdict.WARN
    per_minute = of.slope.slope * 60.0 / _MIB if of.slope else 0.0
    reach = f", and reaches its limit in {of.time_to_limit_s / 60:.0f} min" if of.time_to_limit_s is not None else ""
    short = name.rpartition("/")[2]
    return Evidence(
        id=id_,
        statement=f"{short}: memory changes by {per_minute:+.2f} MiB/min ({of.growth.value}: {of.words}{reach})",
        verdict=verdict,
        source=source,
        at=run.times[-1],
        value=per_minute,
        unit="MiB/min",
        subject=name,
        window_s=run.times[-1] - run.times[0],
        sample_size=len(run.times),
        low=of.slope.low * 60.0 / _MIB if of.slope else None,
        high=of.slope.high * 60.0 / _MIB if of.slope else None,
        threshold_source="Theil-Sen slope above zero in both halves, no warm-up, no sawtooth",
        since=run.times[0] if verdict is not Verdict.OK else None,
    )


def growth_of(name: str, run: SeriesView, limit_bytes: int | None) -> Judgement:
    """What a run's memory does; a run that hardly moves at all is not worth a regression."""
    noise = max(MIN_GROWTH_BYTES, MIN_GROWTH_SHARE * statistics.median(run.values))
    if max(run.values) - min(run.values) <= noise:
        return Judgement(Growth.STEADY, None, "it does not move by more than noise")
    step = max(1, len(run.times) // MOST_POINTS)
    # The newest reading always counts.
    times, values = run.times[::-1][::step][::-1], run.values[::-1][::step][::-1]
    return judge(Series(name, times, values, limit_bytes))


def _step(pod: Pod, run: SeriesView) -> Evidence | None:
    """Whether memory jumped between two readings and stayed up; None with too few readings on either side."""
    values = run.values
    if len(values) < STEP_BEFORE + STEP_AFTER:
        return None
    differences = [two - one for one, two in pairwise(values)]
    last = len(values) - STEP_AFTER
    place = max(range(STEP_BEFORE, last + 1), key=lambda index: differences[index - 1])
    before = statistics.median(values[max(0, place - 10) : place])
    after = statistics.median(values[place : place + 10])
    usual = statistics.median(abs(one) for one in differences)
    jump = differences[place - 1]
    stayed = statistics.median(values[-STEP_AFTER:]) >= before + 0.7 * (after - before)
    jumped = (
        before > 0
        and after >= STEP_RATIO * before
        and jump >= max(STEP_FLOOR_BYTES, STEP_NOISE * usual, 0.6 * (after - before))
        and stayed
    )
    text = (
        f"{pod.name}: memory jumped from {before / _MIB:.0f} to {after / _MIB:.0f} MiB"
        if jumped
        else f"{pod.name}: memory has not jumped"
    )
    return Evidence(
        id="pods.memory_step",
        statement=text,
        verdict=Verdict.WARN if jumped else Verdict.OK,
        source="pods",
        at=run.times[-1],
        value=after / before if before else 1.0,
        unit="ratio",
        subject=pod.key,
        window_s=run.times[-1] - run.times[0],
        sample_size=len(values),
        threshold=STEP_RATIO,
        threshold_source=f"at one reading, {STEP_NOISE:g} times the usual difference of two",
        since=run.times[place] if jumped else None,
    )


# --- CPU ---


def _cpu(pod: Pod, cpu: SeriesView) -> Iterator[Evidence]:
    limit = pod.cpu_limit_cores
    if not limit or len(cpu.values) < READINGS:
        return
    shares = [value / limit for value in cpu.values[-READINGS:]]
    mean = statistics.fmean(shares)
    if mean >= AT_LIMIT and min(shares) >= NEAR_LIMIT:
        verdict = Verdict.FAIL
    elif min(shares) >= NEAR_LIMIT:
        verdict = Verdict.WARN
    else:
        verdict = Verdict.OK if max(shares) < WELL_BELOW else Verdict.UNKNOWN
    yield Evidence(
        id="pods.cpu_saturated",
        statement=f"{pod.name} has used {mean:.0%} of its CPU limit of {limit:g} cores over {READINGS} readings",
        verdict=verdict,
        source="pods",
        at=cpu.times[-1],
        value=mean,
        unit="share",
        subject=pod.key,
        window_s=cpu.times[-1] - cpu.times[-READINGS],
        sample_size=READINGS,
        threshold=AT_LIMIT,
        threshold_source="container CPU limit",
    )


def _nodes(snapshot: Snapshot) -> Iterator[Evidence]:
    """Nodes by their own use, where this user may read it; absent otherwise."""
    for node in sorted({pod.node for pod in snapshot.pods if pod.node}):
        share = snapshot.series.get(SeriesKey("node.cpu_share", node), EMPTY)
        used = snapshot.series.get(SeriesKey("node.cpu_cores", node), EMPTY)
        if not is_fresh(share, snapshot.at, FRESH_S) or len(share.values) < READINGS or not used.values:
            continue
        newest = share.values[-READINGS:]
        mean, cores = statistics.fmean(newest), used.values[-1]
        ours = sum(
            snapshot.usage[pod.key].cpu_cores for pod in snapshot.pods if pod.node == node and pod.key in snapshot.usage
        )
        others = max(0.0, 1.0 - ours / cores) if cores > 0 else 0.0
        full = mean >= NODE_FULL and min(newest) >= NODE_NEARLY
        if full and others >= OTHERS_SHARE:
            verdict = Verdict.FAIL
        elif min(newest) >= NODE_NEARLY:
            verdict = Verdict.WARN
        else:
            verdict = Verdict.OK if max(newest) < NODE_HAS_LEFT else Verdict.UNKNOWN
        yield Evidence(
            id="pods.node_contention",
            statement=(
                f"node {node} uses {mean:.0%} of its CPU over {READINGS} readings,"
                f" {others:.0%} of that for others than this model"
            ),
            verdict=verdict,
            source="pods",
            at=share.times[-1],
            value=mean,
            unit="share",
            subject=node,
            window_s=share.times[-1] - share.times[-READINGS],
            sample_size=READINGS,
            threshold=NODE_FULL,
            threshold_source="allocatable CPU of the node",
        )
