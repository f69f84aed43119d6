"""A line or area chart in braille (or ASCII) with a fixed time range, an axis with units, gaps, marks and a limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infdiag_tui.model import SeriesView
from widgets import units
from widgets.canvas import LineCanvas
from widgets.ink import Line, Span, Tone, cells, clip, columns, fit, line
from widgets.raster import Raster, braille
from widgets.scale import Scale, fitting, sort_into_columns, usable, usable_time

_LEAST_PLOT_WIDTH = 8
_LEAST_AXIS_HEIGHT = 4
_SHORTEST_S = 0.001


_SPANS_S = (60.0, 120.0, 300.0, 600.0)
_LONG_SPANS_S = (900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0)


def span_of(first: float | None, now: float, most_s: float) -> float:
    """The shortest round time range that reaches back to `first` (Unix seconds), at most `most_s`.

    A chart that is empty but for its right edge shows nothing; one that changes its range at every tick neither.
    """
    if first is None or not usable_time(first):
        return most_s
    return next((span for span in _SPANS_S if now - first <= span < most_s), most_s)


def span_with_history(points: SeriesView, now: float, most_s: float) -> float:
    """As `span_of`, but all of it where the series tells of the time before the incident: that is where it began."""
    if points.history_until is None or not points.times or not usable_time(points.times[0]):
        return span_of(points.times[0] if points.times else None, now, most_s)
    reach_s = now - points.times[0]
    return next((span for span in _LONG_SPANS_S if reach_s <= 1.02 * span), _LONG_SPANS_S[-1])


@dataclass(frozen=True, slots=True)
class ChartSpec:
    """What a chart shows: the newest `span_s` seconds of one series.

    Open ends of the value range (None) become round numbers. `base` 1024 is for bytes. `marks` are times of failures,
    drawn as crosses at the foot. `limit` is a level to compare with, named `limit_name`.
    """

    title: str
    span_s: float
    now: float
    text: Callable[[float], str] = units.short
    low: float | None = 0.0
    high: float | None = None
    base: int = 10
    area: bool = True
    limit: float | None = None
    limit_name: str = "limit"
    marks: tuple[float, ...] = ()
    gap_s: float | None = None
    tone: Tone = Tone.MARK
    ascii_only: bool = False


@dataclass(frozen=True, slots=True)
class _Plot:
    """The measured-out drawing area, the time at its left edge and the width of a column of dots."""

    raster: Raster
    start: float
    step_s: float


def render_chart(points: SeriesView, spec: ChartSpec, width: int, height: int) -> list[Line]:
    """At most `height` lines of at most `width` columns: heading, plot with axis, time axis; less in less room.

    Values that are no finite numbers are gaps. The time range ends on a whole column, so that the picture moves by
    columns rather than with every call.
    """
    if width <= 0 or height <= 0:
        return []
    heading = _heading(points, spec, width)
    if height == 1 or width < _LEAST_PLOT_WIDTH:
        return [heading]
    scale = fitting(_in_range(points, spec), spec.low, spec.high, spec.base)
    with_time = height >= _LEAST_AXIS_HEIGHT
    rows = height - 1 - with_time
    labels = _labels(scale, spec, rows)
    gutter = max(cells(label) for label in labels) + 1
    if width - gutter < _LEAST_PLOT_WIDTH:
        labels, gutter = [""] * rows, 0
    plot = _measure(spec, width - gutter, rows)
    body = _draw(points, spec, scale, plot)
    axis = "|" if spec.ascii_only else "┤"
    drawn = [heading]
    for label, content in zip(labels, body, strict=True):
        left = Span(columns(label, gutter - 1, right=True) + axis, Tone.DIM) if gutter else Span("")
        drawn.append(fit(line(left, content), width))
    if with_time:
        drawn.append(fit(_time_axis(spec, gutter, plot.raster.width), width))
    return drawn


def _in_range(points: SeriesView, spec: ChartSpec) -> list[float]:
    since = spec.now - spec.span_s
    values = points.highs if len(points.highs) == len(points.times) else points.values
    kept = [value for at, value in zip(points.times, values, strict=False) if at >= since]
    kept += [value for at, value in zip(points.times, points.lows, strict=False) if at >= since]
    return kept if spec.limit is None else [*kept, spec.limit * 1.02]


def _heading(points: SeriesView, spec: ChartSpec, width: int) -> Line:
    """Title and the newest value; there is none where that is older than the chart reaches, or is history."""
    current = points.live and points.times[-1] >= spec.now - spec.span_s
    newest = points.values[-1] if current else math.nan
    figure = spec.text(newest) if math.isfinite(newest) else units.NOT_AVAILABLE
    spans = [Span(spec.title + " ", Tone.DIM), Span(figure, Tone.STRONG)]
    if points.history_until is not None and points.history_until >= spec.now - spec.span_s:
        spans.append(Span(f"  dim: history ({points.history_source})", Tone.DIM))
    if spec.limit is not None and math.isfinite(spec.limit):
        spans.append(Span(f"  {spec.limit_name} {spec.text(spec.limit)}", Tone.DIM))
    if cells(spec.title) + cells(figure) + 1 > width:
        spans = [Span(clip(figure, width), Tone.STRONG)]
    return fit(spans, width, "~" if spec.ascii_only else "…")


def _labels(scale: Scale, spec: ChartSpec, rows: int) -> list[str]:
    """Axis text for each row from the top: both ends, and the middle where there is room."""
    labels = [""] * rows
    labels[0] = clip(spec.text(scale.high), 10)
    if rows >= 2:
        labels[-1] = clip(spec.text(scale.low), 10)
    if rows >= 5 and rows % 2:
        labels[rows // 2] = clip(spec.text((scale.low + scale.high) / 2), 10)
    return labels


def _measure(spec: ChartSpec, width: int, rows: int) -> _Plot:
    span_s = spec.span_s if usable_time(spec.span_s) and spec.span_s >= _SHORTEST_S else _SHORTEST_S
    cell_s = span_s / width
    now = spec.now if usable_time(spec.now) else 0.0
    # The last column is the one that `now` lies in: whole cells keep earlier columns where they were.
    end = (math.floor(now / cell_s) + 1) * cell_s
    raster = Raster(width, rows, spec.ascii_only)
    return _Plot(raster, end - span_s, cell_s / raster.dots_x)


def _draw(points: SeriesView, spec: ChartSpec, scale: Scale, plot: _Plot) -> list[Line]:
    raster = plot.raster
    ranges = sort_into_columns(
        points.times,
        points.values,
        points.lows,
        points.highs,
        start=plot.start,
        step_s=plot.step_s,
        count=raster.columns,
        gap_s=spec.gap_s,
    )
    dots = raster.dots(ranges, scale, area=spec.area)
    limit_row = None if spec.limit is None or not usable(spec.limit) else raster.row_of(spec.limit, scale)
    past = _cells_before(points.history_until, plot)
    marked = {math.floor((at - plot.start) / (plot.step_s * raster.dots_x)) for at in spec.marks if usable_time(at)}
    lines: list[Line] = []
    for row in range(raster.height):
        marks = marked if row == raster.height - 1 else set()
        lines.append(_row(dots[row], marks, spec, limit=row == limit_row, past=past))
    return lines


def _cells_before(until: float | None, plot: _Plot) -> int:
    """How many cells from the left lie in the time up to `until`."""
    if until is None or not usable_time(until):
        return 0
    cell_s = plot.step_s * plot.raster.dots_x
    return max(0, min(plot.raster.width, math.floor((until - plot.start) / cell_s) + 1))


def _row(dots: Sequence[int], marks: set[int], spec: ChartSpec, *, limit: bool, past: int = 0) -> Line:
    """One row of cells as spans of equal tone; the first `past` cells are history."""
    spans: list[Span] = []
    for cell, bits in enumerate(dots):
        if cell in marks:
            sign, tone = ("x" if spec.ascii_only else "✗"), Tone.BAD
        elif bits:
            sign, tone = ("#" if spec.ascii_only else braille(bits)), Tone.DIM if cell < past else spec.tone
        elif limit:
            sign, tone = ("-" if spec.ascii_only else "╌"), Tone.WARN
        else:
            sign, tone = " ", Tone.PLAIN
        if spans and spans[-1].tone is tone:
            spans[-1] = Span(spans[-1].text + sign, tone)
        else:
            spans.append(Span(sign, tone))
    return tuple(spans)


def _time_axis(spec: ChartSpec, gutter: int, width: int) -> Line:
    start, end = f"-{units.age(spec.span_s)}", "now"
    gap = width - cells(start) - cells(end)
    if gap < 1:
        return line(Span(" " * gutter + columns(end, width, right=True), Tone.DIM))
    return line(Span(" " * gutter + start + " " * gap + end, Tone.DIM))


class Chart(LineCanvas):
    """A canvas with one chart on it."""

    DEFAULT_CSS = "Chart { overflow-y: hidden; }"
    can_focus = False

    def plot(self, points: SeriesView, spec: ChartSpec) -> None:
        """Draws `points` at the present size; what did not change is not repainted."""
        width, height = self.room
        self.show(render_chart(points, spec, width, height))
