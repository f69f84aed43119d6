"""The moment at which latency rose, by a change-point test over all that the probe has measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

from infdiag_tui.clock import utc_text
from infdiag_tui.findings.known import Known
from infdiag_tui.model import Evidence, LatencyView, SeriesView, Snapshot, Verdict
from infdiag_tui.stats.change_point import Change, change_point

LEAST_BEFORE = 15
"""Points of the trace (a second or more each) that must be known of the time before."""
LEAST_AFTER = 6
LEAST_POINTS = 30
"""Fewer points are not judged: with these a change of level in the last six is just below the limit of chance."""
CHANCE = 0.001
CERTAIN = 1e-4
"""Probability of the split by chance: below the first it is told, below the second it is beyond doubt."""
RAISED = 1.5
DOUBLED = 2.0
"""The level after against the level before: a warning from the first on, a failure from the second. What users notice
is a matter of ratios; half as much again is more than days differ."""
FLOOR_MS = 5.0
"""A rise by less than the protocol's typical network time hurts nobody, whatever the ratio."""
FRESH_S = 60.0
_THRESHOLD_SOURCE = "change-point test (maximally selected rank statistic)"


def assess(snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """`latency.change` of every target with enough history; `since` is the moment of change."""
    for view in snapshot.latency:
        if view.trace.times and snapshot.at - view.trace.times[-1] <= FRESH_S + _width_s(view.trace):
            made = known.memo.of(("latency.change", view.target), (view.trace,), partial(_judge, view))
            if made is not None:
                yield made


def _width_s(trace: SeriesView) -> float:
    return trace.times[-1] - trace.times[-2] if len(trace.times) > 1 else 0.0


def _judge(view: LatencyView) -> Evidence | None:
    trace = view.trace
    if len(trace.values) < LEAST_POINTS:
        return None
    change = rise(trace.values)
    at, window_s = trace.times[-1], trace.times[-1] - trace.times[0]
    if change is None:
        verdict, since, ratio = Verdict.OK, None, 1.0
        text = f"latency has kept its level over {window_s / 60:.0f} min"
    else:
        since, ratio = trace.times[change.index], change.ratio
        apart = change.after_low > change.before_high
        certain = ratio >= DOUBLED and change.p <= CERTAIN and apart
        verdict = Verdict.FAIL if certain else Verdict.WARN
        text = (
            f"latency is {ratio:.1f} times what it was since {utc_text(since)[11:]}:"
            f" {change.after:.1f} ms against {change.before:.1f} ms"
        )
    return Evidence(
        id="latency.change",
        statement=text,
        verdict=verdict,
        source="latency",
        at=at,
        value=ratio,
        unit="ratio",
        subject=view.target,
        window_s=window_s,
        sample_size=len(trace.values),
        threshold=RAISED,
        threshold_source=_THRESHOLD_SOURCE,
        since=since,
    )


def rise(values: tuple[float, ...], floor: float = FLOOR_MS) -> Change | None:
    """The earliest lasting rise of a series that is no chance; None without one.

    A rise lasts when the newest values are still up. Of several steps up the first counts: an incident begins when
    things begin to go wrong. `floor` is the least difference that matters.
    """
    found = _risen(values, floor)
    while found is not None:
        earlier = _risen(values[: found.index], floor)
        if earlier is None:
            return found
        after = sorted(values[earlier.index :])
        found = Change(
            earlier.index, earlier.p, earlier.before, statistics.median(after), earlier.before_high, found.after_low
        )
    return None


def _risen(values: tuple[float, ...], floor: float) -> Change | None:
    change = change_point(values, least_before=LEAST_BEFORE, least_after=LEAST_AFTER)
    if change is None or change.p > CHANCE:
        return None
    newest = statistics.median(values[-LEAST_AFTER:])
    enough = max(RAISED * change.before, change.before + floor)
    return change if change.after >= enough and newest >= enough else None
