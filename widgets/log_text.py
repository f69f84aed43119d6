"""One log entry as lines of text: folded or whole, wrapped or not, with time, severity and source; pure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import chop_cells

from infdiag_tui.model import LogLine, Severity
from widgets import units
from widgets.glyphs import UNICODE, Glyphs
from widgets.ink import Line, Span, Tone, cells, columns, flat, keep_tail
from widgets.log_filter import LogFilter

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
_WITH_TIME, _WITH_WORD, _WITH_SOURCE = 48, 64, 90
"""Least widths in columns at which the time, the severity's word and the source have a column of their own."""


@dataclass(frozen=True, slots=True)
class LogLayout:
    """How entries are laid out: `width` columns, long lines wrapped or running out to the right."""

    width: int
    wrap: bool = False
    glyphs: Glyphs = UNICODE

    @property
    def gutter(self) -> int:
        """Columns before the text."""
        time_and_word = (9 if self.width >= _WITH_TIME else 0) + (8 if self.width >= _WITH_WORD else 3)
        return time_and_word + (self.source_width + 1 if self.source_width else 0)

    @property
    def source_width(self) -> int:
        """Columns of the source, 0 when there is no room."""
        return min(28, self.width // 6) if self.width >= _WITH_SOURCE else 0

    @property
    def text_width(self) -> int:
        """Columns of the text."""
        return max(1, self.width - self.gutter)


def rows_of(entry: LogLine, layout: LogLayout, *, whole: bool) -> int:
    """Rows that an entry takes."""
    if not layout.wrap and not whole:
        return 1
    return sum(len(_chopped(text, layout.wrap, layout.text_width)) for text in _texts(entry, whole=whole))


def extra_lines(entry: LogLine) -> int:
    """Lines of an entry that folding hides."""
    return entry.text.count("\n")


def _texts(entry: LogLine, *, whole: bool) -> list[str]:
    """The entry's lines of text: one when folded."""
    note = f" [{units.number_bytes(entry.cut_bytes)} cut]" if entry.cut_bytes else ""
    head = "[previous run] " if entry.previous else ""
    if not extra_lines(entry):
        return [head + _bounded(entry.text) + note]
    parts = [_bounded(part) for part in entry.text.split("\n")]
    if whole:
        return [head + parts[0], *parts[1:-1], parts[-1] + note]
    return [head + _folded(parts) + note]


def _bounded(text: str) -> str:
    return (
        text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]} [{len(text) - _SHOWN_CHARS:,} characters more]"
    )


def _folded(parts: list[str]) -> str:
    """What an entry is about in one line: its first line, and for a traceback the error that it ends with."""
    first = parts[0].strip()
    last = next((part.strip() for part in reversed(parts) if part.strip()), "")
    hidden = f"(+{len(parts) - 1} lines)"
    if first.startswith(_TRACEBACK):
        return f"{hidden} {last}"
    if any(part.lstrip().startswith(_TRACEBACK) for part in parts) and last != first:
        return f"{hidden} {first} | {last}"
    return f"{hidden} {first}"


@lru_cache(maxsize=256)
def _pieces(entry: LogLine, wrap: bool, width: int, *, whole: bool) -> tuple[str, ...]:
    """The rows of an entry's text; the rows in view ask for the same entry again and again."""
    return tuple(piece for text in _texts(entry, whole=whole) for piece in _chopped(text, wrap, width))


def _chopped(text: str, wrap: bool, width: int) -> list[str]:
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
    """Row `row` (from 0) of an entry; `left` columns of an unwrapped text are scrolled away."""
    texts = _pieces(entry, layout.wrap, layout.text_width, whole=whole)
    text = texts[row] if row < len(texts) else ""
    if left and not layout.wrap:
        text = _scrolled(text, left)
    gutter = _gutter(entry, layout) if row == 0 else (Span(" " * layout.gutter),)
    return (*gutter, *_highlighted(text, _TONES[entry.severity], matched))


def _gutter(entry: LogLine, layout: LogLayout) -> Line:
    tone = _TONES[entry.severity]
    sign, word = layout.glyphs.severity[entry.severity], _WORDS[entry.severity]
    spans = []
    if layout.width >= _WITH_TIME:
        spans.append(Span(clock_text(entry.at if entry.at is not None else entry.received_at) + " ", Tone.DIM))
    spans.append(Span(f"{sign} {word:<5} " if layout.width >= _WITH_WORD else f"{sign}{word[:1]:<1} ", tone))
    if layout.source_width:
        name = keep_tail(entry.source, layout.source_width, layout.glyphs.ellipsis)
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
