"""Curves over an x axis of any kind, with levels to compare with and marked positions; braille or ASCII."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infdiag_tui.model import Axis, Curve, LineChart, Quantity, Stroke
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, cells, clip, columns, line
from widgets.raster import Cells, Raster, braille
from widgets.scale import Scale, close_fitting, fitting, sort_into_columns, usable

_ROWS, _ROWS_WIDE = 9, 11
_WIDE = 72
_LEAST_PLOT = 12
_LONGEST_LABEL = 12
_NEAR = 3.0
"""A level is in the picture if it is no further from the values than this many times their own extent."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is where: x from `left` to `right`, y by `scale`, on the raster's cells."""

    raster: Raster
    left: float
    right: float
    scale: Scale

    def column(self, x: float) -> int | None:
        """The cell's column that x falls on; None outside."""
        if not self.left <= x <= self.right:
            return None
        return min(self.raster.width - 1, int((x - self.left) / (self.right - self.left) * self.raster.width))


def plot_lines(
    chart: LineChart, text: Callable[[float], str], text_x: Callable[[float], str], width: int, glyphs: Glyphs
) -> tuple[list[Line], list[Line]]:
    """The legend's parts and the rows: plot with both axes; words where there is nothing to plot."""
    points = [(x, y) for curve in chart.curves for x, y in curve.points if usable(x) and usable(y)]
    if not points:
        return [], [line(Span("Nothing to draw.", Tone.DIM))]
    scale = _scale(chart, [y for _, y in points])
    rows = _ROWS_WIDE if width >= _WIDE else _ROWS
    labels = _labels(scale, text, rows)
    gutter = max(cells(label) for label in labels) + 1
    if width - gutter < _LEAST_PLOT:
        labels, gutter = [""] * rows, 0
    frame = _framed(chart, points, Raster(width - gutter, rows, glyphs.ascii_only), scale)
    drawn = []
    for label, content in zip(labels, _plot(chart, frame, glyphs), strict=True):
        left = Span(columns(label, gutter - 1, right=True) + glyphs.axis, Tone.DIM) if gutter else Span("")
        drawn.append(line(left, content))
    drawn.append(line(Span(" " * gutter + _x_axis(chart.x, frame, text_x), Tone.DIM)))
    return _legend(chart, frame, text, glyphs), drawn


def _scale(chart: LineChart, values: Sequence[float]) -> Scale:
    base = 1024 if chart.y.quantity is Quantity.BYTES else 10
    high = 1.0 if chart.y.quantity is Quantity.SHARE else math.inf
    extent = max(values) - (0.0 if chart.y.from_zero else min(values))
    near = [one.value for one in chart.levels if _distance(one.value, values) <= _NEAR * extent]
    if chart.y.from_zero:
        found = fitting([*values, *near], 0.0 if min(values) >= 0 else None, None, base)
    else:
        found = close_fitting([*values, *near], base)
    return Scale(found.low, min(found.high, high)) if found.low < high else found


def _distance(value: float, values: Sequence[float]) -> float:
    return max(0.0, value - max(values), min(values) - value)


def _framed(chart: LineChart, points: Sequence[tuple[float, float]], raster: Raster, scale: Scale) -> _Frame:
    xs = [x for x, _ in points] + [one.at for one in chart.marks if usable(one.at)]
    left, right = min(xs), max(xs)
    if not right > left:
        right = left + max(1.0, abs(left) * 1e-6)
    return _Frame(raster, left, right, scale)


def _labels(scale: Scale, text: Callable[[float], str], rows: int) -> list[str]:
    """Axis text for each row from the top: both ends and the middle."""
    labels = [""] * rows
    labels[0], labels[-1] = clip(text(scale.high), _LONGEST_LABEL), clip(text(scale.low), _LONGEST_LABEL)
    middle = clip(text((scale.low + scale.high) / 2), _LONGEST_LABEL)
    # An even number of rows has no middle one; one that rounds to an end says nothing.
    if rows % 2 and middle not in labels:
        labels[rows // 2] = middle
    return labels


def _plot(chart: LineChart, frame: _Frame, glyphs: Glyphs) -> list[Line]:
    plain_dots, dotted = _dots(chart, frame, Stroke.LINE), _dots(chart, frame, Stroke.DOTTED)
    levels = {row for one in chart.levels if (row := frame.raster.row_of(one.value, frame.scale)) is not None}
    marks = {column for one in chart.marks if (column := frame.column(one.at)) is not None}
    rows: list[Line] = []
    for y in range(frame.raster.height):
        cells_of_row = [
            _cell(plain_dots[y][x], dotted[y][x], glyphs, level=y in levels, mark=x in marks)
            for x in range(frame.raster.width)
        ]
        rows.append(_joined(cells_of_row))
    return rows


def _cell(solid: int, dotted: int, glyphs: Glyphs, *, level: bool, mark: bool) -> Span:
    if solid:
        return Span("#" if glyphs.ascii_only else braille(solid | dotted), Tone.MARK)
    if dotted:
        return Span("." if glyphs.ascii_only else braille(dotted), Tone.PLAIN)
    if mark:
        return Span(glyphs.limit, Tone.STRONG)
    return Span(glyphs.level, Tone.WARN) if level else Span(" ")


def _joined(spans: Sequence[Span]) -> Line:
    """Neighbours of one tone as one span."""
    found: list[Span] = []
    for text, tone in spans:
        if found and found[-1].tone is tone:
            found[-1] = Span(found[-1].text + text, tone)
        else:
            found.append(Span(text, tone))
    return tuple(found)


def _dots(chart: LineChart, frame: _Frame, stroke: Stroke) -> Cells:
    raster = frame.raster
    merged = [[0] * raster.width for _ in range(raster.height)]
    # The last point belongs into the last column, not beyond it.
    step = (frame.right - frame.left) / raster.columns * (1 + 1e-9)
    for curve in chart.curves:
        if curve.stroke is not stroke:
            continue
        xs, ys = zip(*curve.points, strict=True) if curve.points else ((), ())
        ranges = sort_into_columns(xs, ys, (), (), start=frame.left, step_s=step, count=raster.columns, gap_s=math.inf)
        for row, dots in zip(merged, raster.dots(ranges, frame.scale, dotted=stroke is Stroke.DOTTED), strict=True):
            row[:] = [old | new for old, new in zip(row, dots, strict=True)]
    return merged


def _x_axis(axis: Axis, frame: _Frame, text: Callable[[float], str]) -> str:
    """Named ticks at their places; without any both ends, and the axis's name between."""
    width = frame.raster.width
    row = [" "] * width
    if axis.ticks:
        free = 0
        for at, name in axis.ticks:
            column = frame.column(at)
            place = -1 if column is None else min(max(0, column - len(name) // 2), width - len(name))
            if place >= free:
                row[place : place + len(name)] = name
                free = place + len(name) + 1
        return "".join(row)
    start, end = text(frame.left), text(frame.right)
    if cells(start) + cells(end) + 1 > width:
        return columns(end, width, right=True)
    room = width - cells(start) - cells(end)
    name = axis.name if cells(axis.name) + 4 <= room else ""
    return start + name.center(room) + end


def _legend(chart: LineChart, frame: _Frame, text: Callable[[float], str], glyphs: Glyphs) -> list[Line]:
    """What each sign means; a single curve is what the title says."""
    parts: list[Line] = []
    if len(chart.curves) > 1:
        parts = [line(_sample(curve, glyphs), f" {curve.name}") for curve in chart.curves]
    for one in chart.levels:
        inside = frame.raster.row_of(one.value, frame.scale) is not None
        where = "" if inside else " (above)" if one.value > frame.scale.high else " (below)"
        parts.append(line(Span(glyphs.level * 2, Tone.WARN), f" {one.name} {text(one.value)}{where}"))
    parts += [line(Span(glyphs.limit, Tone.STRONG), f" {mark.name}") for mark in chart.marks]
    return parts


def _sample(curve: Curve, glyphs: Glyphs) -> Span:
    dotted = curve.stroke is Stroke.DOTTED
    if glyphs.ascii_only:
        return Span(".." if dotted else "##", Tone.PLAIN if dotted else Tone.MARK)
    return Span(braille(0x04) * 2 if dotted else braille(0x24) * 2, Tone.PLAIN if dotted else Tone.MARK)
