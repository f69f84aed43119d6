"""A check's charts as lines of text, whichever check they come from; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from infdiag_tui.clock import utc_text
from infdiag_tui.model import Axis, BarChart, CheckChart, LineChart, Quantity
from widgets import units
from widgets.bar_chart import bar_lines
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, clip, fit, flow, line
from widgets.line_chart import plot_lines

LEAST_WIDTH = 24
"""In fewer columns a chart says nothing that its figures do not."""
_TIME_CHARACTERS = slice(0, 16)


def chart_lines(chart: CheckChart, width: int, glyphs: Glyphs) -> list[Line]:
    """A heading that says what every sign means, and the picture below, at most `width` columns wide."""
    if width < LEAST_WIDTH:
        return []
    text = writer(chart.y if isinstance(chart, LineChart) else chart.axis)
    if isinstance(chart, BarChart):
        legend, body = bar_lines(chart, text, width, glyphs)
    else:
        legend, body = plot_lines(chart, text, writer(chart.x), width, glyphs)
    title = line(Span(clip(chart.title, width), Tone.STRONG))
    rows = [title, *flow(legend, width)]
    if chart.note:
        rows.append(line(Span(f" {glyphs.warning} {chart.note}", Tone.WARN)))
    return [fit(row, width, glyphs.ellipsis) for row in (*rows, *body)]


def writer(axis: Axis) -> Callable[[float], str]:
    """How numbers along an axis are written, with their unit."""
    return _WRITERS[axis.quantity]


def _number(value: float) -> str:
    if not math.isfinite(value):
        return units.NOT_AVAILABLE
    return f"{value:.3g}" if 1e-4 <= abs(value) < 1000 or value == 0 else units.short(value)


def _seconds(value: float) -> str:
    return f"{value:.2g} s" if 0 < value < 10 and value != round(value) else units.duration(value)


def _time(value: float) -> str:
    # Rows without a time are numbered; a year beyond 9999 is no time.
    return f"{utc_text(value)[_TIME_CHARACTERS]}Z" if 0 <= value < 2.5e11 else units.NOT_AVAILABLE


_WRITERS: Mapping[Quantity, Callable[[float], str]] = {
    Quantity.NUMBER: _number,
    Quantity.MILLISECONDS: units.milliseconds,
    Quantity.SECONDS: _seconds,
    Quantity.BYTES: units.number_bytes,
    Quantity.SHARE: units.share,
    Quantity.RATE: lambda value: f"{_number(value)}/s",
    Quantity.TIME: _time,
}
