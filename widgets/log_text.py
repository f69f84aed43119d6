"""One log entry as lines of text: folded or whole, wrapped or not, with time, severity and source; pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from rich.cells import chop_cells

from infdiag_tui.model import LogLine, Severity
from widgets import units
from widgets.glyphs import UNICODE, Glyphs
from widgets.ink import Line, Span, Tone, cells, clip, columns, flat
from widgets.log_filter import LogFilter
from widgets.log_sources import tail_of

_WORDS = {
    Severity.DEBUG: "DEBUG",
    Severity.INFO: "INFO",
    Severity.WARNING: "WARN",
    Severity.ERROR: "ERROR",
    Severity.CRITICAL: "CRIT",
    Severity.UNKNOWN: "",
}
_TONES = {
    Severity.DEBUG: Tone.DIM,
    Severity.INFO: Tone.PLAIN,
    Severity.WARNING: Tone.WARN,
    Severity.ERROR: Tone.BAD,
    Severity.CRITICAL: Tone.BAD,
    Severity.UNKNOWN: Tone.PLAIN,
}
_TRACEBACK = "Traceback (most recent call last)"
_SHOWN_CHARS = 4_000
"""Characters of one line of text that are ever laid out; the rest is told as cut."""
_LEAST_BESIDE_HIDDEN = 12
"""Least columns of a folded entry's text that are left to it so that the number of hidden lines stays in view."""
_WITH_TIME, _WITH_WORD, _WITH_SOURCE = 48, 64, 90
"""Least widths in columns at which the time, the severity's word and the source have a column of their own."""


@dataclass(frozen=True, slots=True)
class LogLayout:
    """How entries are laid out: `width` columns, long lines wrapped or running out to the right.

    `labels` says how sources are called in their column; others are cut to the room there is.
    """

    width: int
    wrap: bool = False
    glyphs: Glyphs = UNICODE
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def gutter(self) -> int:
        """Columns before the text."""
        time_and_word = (9 if self.width >= _WITH_TIME else 0) + (8 if self.width >= _WITH_WORD else 3)
        return time_and_word + (self.source_width + 1 if self.source_width else 0)

    @property
    def source_width(self) -> int:
        """Columns of the source, 0 when there is no room."""
        room = source_room(self.width)
        return min(room, max(map(cells, self.labels.values()), default=room))

    @property
    def text_width(self) -> int:
        """Columns of the text."""
        return max(1, self.width - self.gutter)


def source_room(width: int) -> int:
    """Most columns that a source may take in rows of `width` columns, 0 for none."""
    return min(28, width // 6) if width >= _WITH_SOURCE else 0


def rows_of(entry: LogLine, layout: LogLayout, *, whole: bool) -> int:
    """Rows that an entry takes; shown whole it is always wrapped, so that all of it can be read."""
    if not layout.wrap and not whole:
        return 1
    return sum(len(_chopped(text, layout.text_width, wrap=True)) for text in _texts(entry, whole=whole, wrap=True))


def extra_lines(entry: LogLine) -> int:
    """Lines of an entry that folding hides."""
    return entry.text.count("\n")


def hides_something(entry: LogLine, layout: LogLayout) -> bool:
    """True when the folded entry does not show all of its text."""
    if extra_lines(entry) or entry.message_start:
        return True
    return not layout.wrap and cells(flat(_texts(entry, whole=False, wrap=False)[0])) > layout.text_width


def _texts(entry: LogLine, *, whole: bool, wrap: bool) -> list[str]:
    """The entry's lines of text: one when folded; where it is wrapped, what it hides is told behind it."""
    note = f" [{units.number_bytes(entry.cut_bytes)} cut]" if entry.cut_bytes else ""
    head = "[previous run] " if entry.previous else ""
    if not whole:
        return [head + _folded(entry) + note + (_hidden_note(entry) if wrap else "")]
    parts = [_bounded(part) for part in entry.text.split("\n")]
    return [head + parts[0] + note] if len(parts) == 1 else [head + parts[0], *parts[1:-1], parts[-1] + note]


def _bounded(text: str) -> str:
    return (
        text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]} [{len(text) - _SHOWN_CHARS:,} characters more]"
    )


def _folded(entry: LogLine) -> str:
    """What an entry is about in one line: a traceback's exception before the message that it came with."""
    if not extra_lines(entry):
        return _bounded(entry.message)
    headline, first = _bounded(entry.headline), _bounded(entry.message.partition("\n")[0].strip())
    return headline if first in ("", headline) or _TRACEBACK in first else f"{headline} | {first}"


def _hidden_note(entry: LogLine) -> str:
    """How many lines folding hides, empty when none."""
    hidden = extra_lines(entry)
    return f"  +{hidden} line{'' if hidden == 1 else 's'}" if hidden else ""


@lru_cache(maxsize=256)
def _pieces(entry: LogLine, wrap: bool, width: int, *, whole: bool) -> tuple[str, ...]:
    """The rows of an entry's text; the rows in view ask for the same entry again and again."""
    return tuple(piece for text in _texts(entry, whole=whole, wrap=wrap) for piece in _chopped(text, width, wrap=wrap))


def _chopped(text: str, width: int, *, wrap: bool) -> list[str]:
    """The rows of one line of text."""
    text = flat(text)
    if not wrap:
        return [text]
    if text.isascii():
        return [text[start : start + width] for start in range(0, len(text), width)] or [""]
    return chop_cells(text, max(2, width)) or [""]


def render_row(
    entry: LogLine,
    row: int,
    layout: LogLayout,
    *,
    whole: bool = False,
    left: int = 0,
    matched: LogFilter | None = None,
) -> Line:
    """Row `row` (from 0) of an entry; `left` columns of a text that is not wrapped are scrolled away."""
    wrap = layout.wrap or whole
    texts = _pieces(entry, wrap, layout.text_width, whole=whole)
    text = texts[row] if row < len(texts) else ""
    hidden = ""
    if not wrap and row == 0:
        hidden = _hidden_note(entry)
        text = _scrolled(text, left) if left else text
        room = layout.text_width - len(hidden)
        if hidden and room >= _LEAST_BESIDE_HIDDEN:
            text = clip(text, room, layout.glyphs.ellipsis)
    gutter = _gutter(entry, layout) if row == 0 else (Span(" " * layout.gutter),)
    note = (Span(hidden, Tone.DIM),) if hidden else ()
    return (*gutter, *_highlighted(text, _TONES[entry.severity], matched), *note)


def _gutter(entry: LogLine, layout: LogLayout) -> Line:
    tone = _TONES[entry.severity]
    sign, word = layout.glyphs.severity[entry.severity], _WORDS[entry.severity]
    spans = []
    if layout.width >= _WITH_TIME:
        spans.append(Span(clock_text(entry.at if entry.at is not None else entry.received_at) + " ", Tone.DIM))
    spans.append(Span(f"{sign} {word:<5} " if layout.width >= _WITH_WORD else f"{sign}{word[:1]:<1} ", tone))
    if layout.source_width:
        name = layout.labels.get(entry.source) or tail_of(entry.source, layout.source_width, layout.glyphs.ellipsis)
        spans.append(Span(columns(name, layout.source_width) + " ", Tone.DIM))
    return tuple(spans)


@lru_cache(maxsize=512)
def _clock(second: int) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(second))


def clock_text(at: float) -> str:
    """The time of day in UTC; a time beyond any calendar is told as such."""
    try:
        return _clock(int(at))
    except (OverflowError, OSError, ValueError):
        return "--:--:--"


def _scrolled(text: str, left: int) -> str:
    if text.isascii():
        return text[left:]
    while text and left > 0:
        left -= cells(text[0])
        text = text[1:]
    return text


def _highlighted(text: str, tone: Tone, matched: LogFilter | None) -> Line:
    """The text with what the filter found in it marked."""
    pattern = None if matched is None or matched.inverse else matched.pattern
    if pattern is None:
        return (Span(text, tone),)
    spans: list[Span] = []
    place = 0
    for found in pattern.finditer(text[:_SHOWN_CHARS]):
        if found.end() == found.start():
            continue
        spans += [Span(text[place : found.start()], tone), Span(found.group(), Tone.FOUND)]
        place = found.end()
        if len(spans) > 40:
            break
    return tuple(span for span in (*spans, Span(text[place:], tone)) if span.text)
