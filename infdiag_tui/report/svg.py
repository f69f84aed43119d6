"""A chart of `charts` as inline SVG: lines over time with axis, unit, limits and marks; no script, nothing fetched."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

WIDTH, HEIGHT = 640, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 26
_COLOURS = ("#1f6feb", "#bf5b00", "#1a7f37", "#8250df", "#cf222e", "#0a7ea4", "#6e7781", "#9a6700")
_DASHES = ("", "6 3", "2 2", "8 3 2 3")
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB")


def chart_svg(chart: Mapping[str, Any]) -> str:
    """The chart as an SVG element; lines are told apart by dashes as well as by colour."""
    lines = [line for line in chart["lines"] if line["points"]]
    if not lines:
        return ""
    times = [point[0] for line in lines for point in line["points"]]
    values = [point[1] for line in lines for point in line["points"]]
    top = _ceiling(max([*values, *(limit["value"] for limit in chart["limits"] if limit["value"] < 4 * max(values))]))
    area = _Area(min(times), max(*times, min(times) + 1.0), top)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(str(chart["title"]), quote=True)}">',
        *_axis(area, str(chart["unit"])),
        *_limits(area, chart["limits"]),
        *_marks(area, chart["events"]),
        *(_line(area, line["points"], number) for number, line in enumerate(lines)),
        "</svg>",
    ]
    return "".join(parts)


def legend(chart: Mapping[str, Any]) -> str:
    """The names of the chart's lines with their colours and last values, as HTML."""
    items = []
    for number, line in enumerate(line for line in chart["lines"] if line["points"]):
        colour = _COLOURS[number % len(_COLOURS)]
        last = figure(line["points"][-1][1], str(chart["unit"]))
        items.append(f'<li><span style="color:{colour}">■</span> {escape(str(line["name"]))}: {escape(last)}</li>')
    return f"<ul class=legend>{''.join(items)}</ul>"


class _Area:
    """Turns times and values into coordinates."""

    def __init__(self, first: float, last: float, top: float) -> None:
        self.first, self.last, self.top = first, last, top

    def x(self, at: float) -> float:
        share = (at - self.first) / (self.last - self.first)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = min(1.0, max(0.0, value / self.top))
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)


def _axis(area: _Area, unit: str) -> Iterator[str]:
    for share in (0.0, 0.5, 1.0):
        y = area.y(area.top * share)
        yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        label = escape(figure(area.top * share, unit))
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    for at, anchor in ((area.first, "start"), (area.last, "end")):
        words = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%SZ")
        yield f'<text x="{area.x(at):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{words}</text>'


def _limits(area: _Area, limits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for limit in limits:
        if limit["value"] > area.top:
            continue
        y = area.y(limit["value"])
        yield f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="limit"/>'
        name = escape(str(limit["name"]))
        yield f'<text x="{WIDTH - _RIGHT}" y="{y - 4:.1f}" text-anchor="end" class="limit">{name}</text>'


def _marks(area: _Area, events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for event in events:
        if not area.first <= event["at"] <= area.last:
            continue
        x = area.x(event["at"])
        name = escape(str(event["name"]))
        ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"'
        yield f'<line {ends} class="mark"><title>{name}</title></line>'


def _line(area: _Area, points: Sequence[Sequence[float]], number: int) -> str:
    path = " ".join(f"{area.x(at):.1f},{area.y(value):.1f}" for at, value in points)
    dash = _DASHES[(number // len(_COLOURS) + number) % len(_DASHES)]
    style = f'stroke="{_COLOURS[number % len(_COLOURS)]}" stroke-dasharray="{dash}"'
    return f'<polyline points="{path}" fill="none" stroke-width="1.5" {style}/>'


def _ceiling(value: float) -> float:
    """A round number at or above `value`: 1, 2, 2.5 or 5 times a power of ten."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= value * (1 - 1e-9))


def figure(value: float, unit: str) -> str:
    """A value with its unit, bytes in binary steps."""
    if unit == "bytes":
        step = 0
        while abs(value) >= 1024 and step < len(_BYTES) - 1:
            value, step = value / 1024, step + 1
        return f"{value:.4g} {_BYTES[step]}"
    return f"{value:.4g} {'%' if unit == 'percent' else unit}"
