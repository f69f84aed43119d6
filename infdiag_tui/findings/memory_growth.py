"""Evidence from memory over time: it grows without end, or jumped; each run of a process judged by itself."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from infdiag_tui.findings.known import Known
from infdiag_tui.findings.series import EMPTY
from infdiag_tui.model import Evidence, Pod, SeriesKey, SeriesView, Snapshot, Verdict
from infdiag_tui.stats.growth import MIN_GROWTH_BYTES, MIN_GROWTH_SHARE, MIN_POINTS, Growth, Judgement, Series, judge
from infdiag_tui.stats.theil_sen import theil_sen

SETTLE_S = 60.0
READY_SETTLE_S = 5.0
"""A process loads its model and fills its caches first: growth before its pod is ready (and for some seconds then), or
in its first minute where nobody tells when it is ready, is no leak."""
MOST_POINTS = 60
"""Readings that growth is judged by; of more, evenly chosen ones. 1,770 pairs decide as well as a hundred thousand."""
LEAST_SPAN_S = 40.0
FAIL_WITHIN_S = 24 * 3600.0
"""A leak that reaches the limit within a day is a failure (as the check `memory` has it), a slower one a warning."""
GROWN_SURELY, GROWN = 0.05, 0.02
"""Share of its level by which memory must have grown in sight for a failure, and for a warning. Less may be what a
server keeps of its first hours; the check `memory` watches for longer."""

STEEP_POINTS = 6
STEEP_SHARE = 0.15
"""Where memory rises at every one of so many readings, by so much of its level, and as fast in the second half as in
the first, fewer readings do: six in a row rise by chance once in 720 times."""
STEEP_EVEN = 0.5

STEP_RATIO = 1.3
STEP_BEFORE, STEP_AFTER = 4, 3
STEP_NOISE = 5.0
"""A jump must be so many times the usual difference of neighbouring readings."""
STEP_FLOOR_BYTES = 16 * 2**20
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of a pod's containers: its readings once it served, and whether it has ended."""

    readings: SeriesView
    ended: bool


def of_pod(pod: Pod, memory: SeriesView, snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """`pods.memory_slope` and `pods.memory_step` of one pod, as far as its readings allow."""
    restarts = snapshot.series.get(SeriesKey("pod.restarts", pod.key), EMPTY)
    ready = snapshot.series.get(SeriesKey("pod.ready", pod.key), EMPTY)
    stamp = (memory, restarts, ready, pod)
    started = tuple(snapshot.steady(one.started_at) for one in pod.containers if one.started_at is not None)
    runs = known.memo.of(("pod runs", pod.key, started), stamp, partial(_runs, started, memory, restarts, ready))
    made = known.memo.heavily(("memory_slope", pod.key), (*stamp, runs), partial(_of_runs, pod, runs))
    yield from [made] if made is not None else []
    if runs and not runs[-1].ended:
        step = known.memo.of(("memory_step", pod.key), (*stamp, runs), partial(_step, pod, runs[-1].readings))
        yield from [step] if step is not None else []


def _runs(started: Sequence[float], memory: SeriesView, restarts: SeriesView, ready: SeriesView) -> tuple[_Run, ...]:
    """The runs of a pod's containers that served, oldest first: memory begins anew with each that started."""
    begins = {at for at, (one, two) in zip(restarts.times[1:], pairwise(restarts.values), strict=True) if two > one}
    edges = sorted({-math.inf, *begins, *started})
    found = []
    for place, start in enumerate(edges):
        end = edges[place + 1] if place + 1 < len(edges) else math.inf
        settled = _settled(start, end, ready)
        first, last = bisect_left(memory.times, settled), bisect_left(memory.times, end)
        if first < last:
            found.append(_Run(SeriesView(memory.times[first:last], memory.values[first:last]), end < math.inf))
    return tuple(found)


def _settled(start: float, end: float, ready: SeriesView) -> float:
    """From when on a run's memory is that of serving."""
    if not ready.times:
        return start + SETTLE_S
    before = bisect_left(ready.times, start)
    # A change that came with the restart itself is told a moment after it.
    came = (at for at, value in zip(ready.times[before:], ready.values[before:], strict=True) if value == 1.0)
    if start == -math.inf and ready.values[0] == 1.0:
        return -math.inf
    first = next(came, math.inf)
    if first == math.inf and before and ready.values[before - 1] == 1.0:
        return start + SETTLE_S  # it was never seen to be anything but ready
    return first + READY_SETTLE_S if first < end else math.inf


def _of_runs(pod: Pod, runs: Sequence[_Run]) -> Evidence | None:
    """The newest run that is long enough; that runs before it ended the same way makes it sure."""
    judged = [(run, growth_of(pod.key, run.readings, pod.memory_limit_bytes)) for run in runs]
    judged = [(run, of) for run, of in judged if of.growth is not Growth.TOO_SHORT]
    if not judged:
        return None
    run, of = judged[-1]
    again = sum(one.growth is Growth.LEAK for _, one in judged) > 1
    return slope_evidence(pod.key, run.readings, of, "pods.memory_slope", again=again)


def slope_evidence(
    name: str, run: SeriesView, of: Judgement, id_: str, source: str = "pods", *, again: bool = False
) -> Evidence:
    """Whether memory grows without end. `again`: earlier runs did so as well."""
    grown = of.slope.slope * (run.times[-1] - run.times[0]) if of.slope else 0.0
    level = statistics.median(run.values)
    verdict = Verdict.OK
    if of.growth is Growth.LEAK:
        soon = of.time_to_limit_s is not None and of.time_to_limit_s <= FAIL_WITHIN_S
        if (soon or again) and grown >= GROWN_SURELY * level:
            verdict = Verdict.FAIL
        else:
            verdict = Verdict.WARN if grown >= GROWN * level else Verdict.UNKNOWN
    per_minute = of.slope.slope * 60.0 / _MIB if of.slope else 0.0
    reach = f", and reaches its limit in {of.time_to_limit_s / 60:.1f} min" if of.time_to_limit_s is not None else ""
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
        low=_per_minute(of.slope.low) if of.slope else None,
        high=_per_minute(of.slope.high) if of.slope else None,
        threshold_source="Theil-Sen slope above zero in both halves, no warm-up, no sawtooth",
        since=run.times[0] if verdict in (Verdict.WARN, Verdict.FAIL) else None,
    )


def _per_minute(slope: float) -> float | None:
    return slope * 60.0 / _MIB if math.isfinite(slope) else None


def growth_of(name: str, run: SeriesView, limit_bytes: int | None) -> Judgement:
    """What a run's memory does, by the judgement of the check `memory`. Blocking (NumPy).

    A run that hardly moves at all is not worth a regression, and one that only ever rises steeply needs fewer readings.
    """
    if _is_steep(run):
        line = theil_sen(run.times, run.values)
        left = None if limit_bytes is None or line is None else max(0.0, limit_bytes - run.values[-1])
        until = left / line.slope if line is not None and left is not None and line.slope > 0 else None
        return Judgement(Growth.LEAK, line, f"it rises at each of {len(run.values)} readings", until)
    if len(run.times) < MIN_POINTS or run.times[-1] - run.times[0] < LEAST_SPAN_S:
        return Judgement(Growth.TOO_SHORT, None, f"{len(run.times)} readings are too few")
    noise = max(MIN_GROWTH_BYTES, MIN_GROWTH_SHARE * statistics.median(run.values))
    if max(run.values) - min(run.values) <= noise:
        return Judgement(Growth.STEADY, None, "it does not move by more than noise")
    step = max(1, len(run.times) // MOST_POINTS)
    # The newest reading always counts.
    times, values = run.times[::-1][::step][::-1], run.values[::-1][::step][::-1]
    return judge(Series(name, times, values, limit_bytes))


def _is_steep(run: SeriesView) -> bool:
    values = run.values
    if not STEEP_POINTS <= len(values) <= MOST_POINTS or values[-1] - values[0] < STEEP_SHARE * values[0]:
        return False
    middle = len(values) // 2
    first_s, second_s = run.times[middle] - run.times[0], run.times[-1] - run.times[middle]
    if min(first_s, second_s) <= 0 or any(two <= one for one, two in pairwise(values)):
        return False
    early, late = (values[middle] - values[0]) / first_s, (values[-1] - values[middle]) / second_s
    # One leap is no growth, however high it stands at the end.
    leap = max(two - one for one, two in pairwise(values))
    return late >= STEEP_EVEN * early and leap <= 0.5 * (values[-1] - values[0])


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
