"""The load check in pictures: the latency distribution against that of single requests, and the knee."""

from __future__ import annotations

import math

from checks.load_gen.job import Summary
from checks.load_judge import invalid_reasons
from checks.load_knee import KneeSearch
from checks.load_run import Measured
from infdiag_tui.model import Axis, CheckChart, Curve, Level, LineChart, Mark, Quantity, Stroke

ENOUGH = 20
"""Fewer replies have no distribution to draw."""
_TICKS = ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99"))


def charts_of(measured: Measured, objective_p99_ms: float | None) -> tuple[CheckChart, ...]:
    """What can be drawn of a run."""
    found: list[CheckChart] = []
    if measured.knee is not None and (knee := _knee(measured.knee)) is not None:
        found.append(knee)
    if measured.load.samples >= ENOUGH:
        found.append(_distribution(measured, objective_p99_ms))
    return tuple(found)


def _distribution(measured: Measured, objective_p99_ms: float | None) -> LineChart:
    """Latency by percentile as HdrHistogram's plots have it: each nine takes as much room as the one before."""
    load, alone = measured.load, measured.alone
    curves = [Curve("under load", _points(load))]
    if alone is not None and alone is not load and alone.samples >= ENOUGH:
        curves.append(Curve("one at a time", _points(alone), Stroke.DOTTED))
    furthest = max(x for curve in curves for x, _ in curve.points)
    ticks = [(_nines(share), name) for share, name in _TICKS if _nines(share) <= furthest]
    return LineChart(
        title="Latency by percentile",
        x=Axis("percentile", ticks=tuple(ticks)),
        y=Axis("latency", Quantity.MILLISECONDS),
        curves=tuple(curves),
        levels=() if objective_p99_ms is None else (Level(objective_p99_ms, "objective for p99"),),
        note="invalid run: it says more of this machine than of the server" if invalid_reasons(load) else "",
    )


def _points(summary: Summary) -> tuple[tuple[float, float], ...]:
    # The maximum is the last point; its share of 1 would lie at infinity, its rank does not.
    return tuple(
        (_nines(min(share, 1 - 1 / (2 * summary.samples))), value_ms) for value_ms, share, _ in summary.spectrum
    )


def _nines(share: float) -> float:
    """A share as its number of nines: 0.9 is 1, 0.99 is 2."""
    return -math.log10(1 - share)


def _knee(search: KneeSearch) -> LineChart | None:
    """The tail over the offered rate, with the knee marked."""
    steps = sorted(
        (step for step in search.steps if step.tail_ms is not None and not step.invalid),
        key=lambda step: step.rate_per_s,
    )
    if len(steps) < 2:
        return None
    names = {step.tail_name for step in steps}
    tail = names.pop() if len(names) == 1 else "p95 to p99"
    marks = () if search.knee_per_s is None else (Mark(search.knee_per_s, f"knee {search.knee_per_s:.1f}/s"),)
    plateau = search.plateau_ms
    return LineChart(
        title=f"{tail} by requests a second",
        x=Axis("offered rate", Quantity.RATE),
        y=Axis(tail, Quantity.MILLISECONDS),
        curves=(Curve(tail, tuple((step.rate_per_s, step.tail_ms or 0.0) for step in steps)),),
        levels=() if plateau is None else (Level(plateau, "plateau"),),
        marks=marks,
    )
