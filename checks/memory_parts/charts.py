"""Memory over time in pictures, with the fitted slope carried on beyond the readings."""

from __future__ import annotations

from collections.abc import Sequence

from checks.chart_parts import thinned
from checks.memory_parts.words import rate
from infdiag_tui.model import Axis, CheckChart, Curve, Level, LineChart, Quantity, Stroke
from infdiag_tui.stats.growth import Growth, Judgement, Series
from infdiag_tui.stats.theil_sen import Slope

MOST_CHARTS = 4
_BEYOND = 0.2
"""The fit goes on for this share of the window, so that it shows where memory is heading. It begins in the middle: a
leak's slope is that of the second half."""
_WORST_FIRST = (Growth.LEAK, Growth.SAWTOOTH, Growth.WARM_UP, Growth.STEADY, Growth.TOO_SHORT)


def charts_of(judged: Sequence[tuple[Series, Judgement]]) -> tuple[CheckChart, ...]:
    """The series that look worst."""
    drawn = [(series, of) for series, of in judged if len(series.used_bytes) > 1 and series.at_s[-1] > series.at_s[0]]
    drawn.sort(key=lambda one: _WORST_FIRST.index(one[1].growth))
    return tuple(_chart(series, of) for series, of in drawn[:MOST_CHARTS])


def _chart(series: Series, of: Judgement) -> LineChart:
    curves = [Curve("memory", thinned(series.at_s, series.used_bytes))]
    if of.slope is not None:
        curves.append(Curve(f"fitted slope {rate(of.slope.slope)}", _fitted(series, of.slope), Stroke.DOTTED))
    levels = () if series.limit_bytes is None else (Level(series.limit_bytes, "limit"),)
    return LineChart(
        title=f"{series.subject}: {of.growth.value}",
        x=Axis("time watched", Quantity.SECONDS),
        y=Axis("memory", Quantity.BYTES, from_zero=False),
        curves=tuple(curves),
        levels=levels,
    )


def _fitted(series: Series, slope: Slope) -> tuple[tuple[float, float], ...]:
    start, end = series.at_s[0], series.at_s[-1]
    ends = (start + end) / 2, end + _BEYOND * (end - start)
    return tuple((at, slope.intercept + slope.slope * at) for at in ends)
