"""Bars from zero with their figures, limits and verdicts; two bars a row where there is something to compare with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from infdiag_tui.model import Bar, BarChart, Verdict
from widgets.bars import bar
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, cells, columns, line, plain
from widgets.scale import nice_ceiling, usable

_TONES = {Verdict.OK: Tone.GOOD, Verdict.WARN: Tone.WARN, Verdict.FAIL: Tone.BAD, Verdict.UNKNOWN: Tone.MARK}
_LEAST_BAR = 8
_WIDEST_NOTE = 24
_FAR = 20.0
"""A limit this many times beyond the longest bar is not drawn: the bars would vanish."""


def bar_lines(
    chart: BarChart, text: Callable[[float], str], width: int, glyphs: Glyphs
) -> tuple[list[Line], list[Line]]:
    """The legend's parts and the rows: sign of the verdict, label, figure, bar, note."""
    values = [value for one in chart.bars for value in one.values if usable(value) and value is not None]
    limits = [one.limit for one in chart.bars if one.limit is not None and usable(one.limit)]
    longest = max(values, default=0.0)
    drawn = [limit for limit in limits if limit <= _FAR * longest or not longest]
    top = nice_ceiling(max([longest, *drawn]) * 1.02)
    layout = _Layout(chart, text, width, glyphs)
    rows = [row for one in chart.bars for row in layout.rows(one, top)]
    if chart.left_out:
        rows.append(line(Span(f"  {chart.left_out:,} more below in the table", Tone.DIM)))
    return _legend(chart, glyphs, limits=bool(drawn)), rows


def _legend(chart: BarChart, glyphs: Glyphs, *, limits: bool) -> list[Line]:
    parts = [
        line(Span(fill, tone), f" {name}")
        for name, fill, tone in zip(
            chart.names, (glyphs.bar_full, glyphs.bar_second), (Tone.MARK, Tone.DIM), strict=False
        )
    ]
    if limits and chart.limit_name:
        parts.append(line(Span(glyphs.limit, Tone.WARN), f" {chart.limit_name}"))
    return parts


class _Layout:
    """The widths that all rows of a chart share."""

    def __init__(self, chart: BarChart, text: Callable[[float], str], width: int, glyphs: Glyphs) -> None:
        self._text = text
        self._glyphs = glyphs
        self._figures = {
            value: text(value)
            for one in chart.bars
            for value in one.values
            if value is not None and math.isfinite(value)
        }
        self._label = min(max((cells(one.label) for one in chart.bars), default=0), max(8, width * 2 // 5))
        self._figure = max((cells(one) for one in self._figures.values()), default=1)
        note = min(_WIDEST_NOTE, max((cells(one.note) for one in chart.bars), default=0))
        room = width - self._label - self._figure - 4
        self._note = note if room - note - 1 >= 2 * _LEAST_BAR else 0
        self._bar = max(_LEAST_BAR, room - (self._note + 1 if self._note else 0))

    def rows(self, one: Bar, top: float) -> list[Line]:
        """One row for each of a bar's values."""
        glyphs = self._glyphs
        sign = {Verdict.OK: glyphs.ok, Verdict.WARN: glyphs.warning, Verdict.FAIL: glyphs.problem}.get(one.verdict, " ")
        tone = _TONES[one.verdict]
        found = []
        for number, value in enumerate(one.values):
            known = value is not None and math.isfinite(value)
            figure = self._figures[value] if known and value is not None else glyphs.missing
            fill = self._bar_of(value if known else None, top, second=number > 0)
            head = f"{sign if number == 0 else ' '} {columns(one.label if number == 0 else '', self._label)}"
            note = f" {columns(one.note, self._note)}" if self._note and number == 0 else ""
            found.append(
                line(
                    Span(head[:1], tone),
                    head[1:],
                    " ",
                    Span(columns(figure, self._figure, right=True), Tone.STRONG if number == 0 else Tone.DIM),
                    " ",
                    self._limited(fill, one.limit, top, Tone.DIM if number else tone),
                    Span(note.rstrip(), Tone.DIM),
                )
            )
        return found

    def _bar_of(self, value: float | None, top: float, *, second: bool) -> str:
        """The filled part of a bar, in full width."""
        if value is None or value <= 0:
            return " " * self._bar
        text = plain(bar(value / top, self._bar, self._glyphs)).replace(self._glyphs.bar_empty, " ")
        if second:
            text = "".join(" " if sign == " " else self._glyphs.bar_second for sign in text)
        return columns(text, self._bar)

    def _limited(self, fill: str, limit: float | None, top: float, tone: Tone) -> Sequence[Span]:
        """The bar with a tick where its limit is."""
        if limit is None or not 0 <= limit <= top:
            return (Span(fill, tone),)
        at = min(self._bar - 1, round(limit / top * self._bar))
        return (Span(fill[:at], tone), Span(self._glyphs.limit, Tone.WARN), Span(fill[at + 1 :], tone))
