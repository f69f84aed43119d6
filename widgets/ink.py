"""Text with a tone, free of any terminal or toolkit: what the panels' renderers produce and a canvas paints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from rich.cells import cell_len

__all__ = [
    "Line",
    "Span",
    "Tone",
    "beside",
    "cells",
    "clip",
    "columns",
    "fit",
    "flat",
    "flow",
    "in_ascii",
    "keep_tail",
    "line",
    "line_cells",
    "muted",
    "plain",
    "toned",
    "wrap",
]


class Tone(StrEnum):
    """What a piece of text means; the canvas turns it into a style. Never the only carrier of a meaning."""

    PLAIN = "plain"
    DIM = "dim"
    STRONG = "strong"
    HEAD = "head"
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    MARK = "mark"
    FOUND = "found"


class Span(NamedTuple):
    """A piece of text in one tone; the text is drawn literally, never as markup."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]

# Control characters move the cursor, bidirectional and zero-width ones make a line lie about its order or length.
_UNDRAWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]+",
)


_ASCII_SIGNS = str.maketrans(
    {"·": "-", "–": "-", "…": "~", "≥": ">", "×": "x", "°": " ", "↓": "v", "↑": "^", "←": "<", "→": ">"}
)


def flat(text: str) -> str:
    """`text` on one line: a run of characters that cannot be drawn becomes one space."""
    return text if text.isprintable() else _UNDRAWABLE.sub(" ", text)


def cells(text: str) -> int:
    """Columns that `text` takes on a terminal (wide characters take two)."""
    return len(text) if text.isascii() else cell_len(text)


def clip(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` on one line, cut at its end to `width` columns with an ellipsis."""
    # A cell holds at least one character of what is kept: the rest of a 10 MB field is never measured.
    text = flat(text[: 4 * max(width, 0) + 8] if len(text) > 4 * max(width, 0) + 8 else text)
    if cells(text) <= width:
        return text
    return _head(text, width - cells(ellipsis)) + ellipsis if width > cells(ellipsis) else _head(text, width)


def _head(text: str, width: int) -> str:
    """As much of the start of `text` as fits in `width` columns."""
    if width <= 0:
        return ""
    if text.isascii():
        return text[:width]
    used = 0
    for end, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            text = text[:end]
            break
    while cells(text) > width:  # a sign may be wider with what follows it than by itself
        text = text[:-1]
    return text


def keep_tail(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` cut to `width` columns in its middle, keeping most of its end: names of replicas differ there."""
    text = flat(text[:400])
    if cells(text) <= width:
        return text
    if width <= 8 or not text.isascii():
        tail = text[-max(width - cells(ellipsis), 0) :] if width > cells(ellipsis) else ""
        while cells(tail) > width - cells(ellipsis) and tail:
            tail = tail[1:]
        return clip(ellipsis + tail, width) if width > 0 else ""
    room = width - cells(ellipsis)
    tail_size = max(room * 2 // 3, min(room, 12))
    return text[: room - tail_size] + ellipsis + text[-tail_size:]


def line(*parts: str | Span | Iterable[Span]) -> Line:
    """One line from plain strings, spans and lines."""
    spans: list[Span] = []
    for part in parts:
        if isinstance(part, Span):
            spans.append(part)
        elif isinstance(part, str):
            spans.append(Span(part))
        else:
            spans.extend(part)
    return tuple(span for span in spans if span.text)


def in_ascii(text: str) -> str:
    """`text` with the signs of this program in ASCII, column by column; what others wrote stays."""
    return text if text.isascii() else text.translate(_ASCII_SIGNS)


def toned(text: str, tone: Tone) -> Line:
    """A line of one tone."""
    return (Span(text, tone),)


def muted(lines: Iterable[Line]) -> list[Line]:
    """The same lines without any colour, dimmed: how data that is no longer current is drawn."""
    return [tuple(Span(span.text, Tone.DIM) for span in spans) for spans in lines]


def plain(spans: Sequence[Span]) -> str:
    """The text of a line."""
    return "".join(span.text for span in spans)


def line_cells(spans: Sequence[Span]) -> int:
    """Columns that a line takes."""
    return sum(cells(span.text) for span in spans)


def fit(spans: Sequence[Span], width: int, ellipsis: str = "…") -> Line:
    """A line that is drawable and at most `width` columns wide, cut with an ellipsis."""
    limit = 4 * max(width, 0) + 8
    drawable = [Span(flat(span.text[:limit]), span.tone) for span in spans]
    if sum(cells(span.text) for span in drawable) <= width:
        return tuple(drawable)
    room = max(0, width - cells(ellipsis))
    kept: list[Span] = []
    for span in drawable:
        text = _head(span.text, room)
        kept.append(Span(text, span.tone))
        room -= cells(text)
        if len(text) < len(span.text):
            break
    return (*kept, Span(_head(ellipsis, width), kept[-1].tone)) if kept else ()


def columns(text: str, width: int, *, right: bool = False) -> str:
    """`text` cut or padded to exactly `width` columns."""
    text = clip(text, width)
    missing = width - cells(text)
    return " " * missing + text if right else text + " " * missing


def wrap(text: str, width: int) -> list[str]:
    """`text` broken at spaces into lines of at most `width` columns; words that are longer are cut apart."""
    if width <= 0:
        return []
    rows: list[str] = []
    row = ""
    for word in flat(text).split():
        if row and cells(row) + 1 + cells(word) <= width:
            row += " " + word
            continue
        if row:
            rows.append(row)
        rest = word
        while cells(rest) > width:
            head = _head(rest, width) or rest[0]
            rows.append(head)
            rest = rest[len(head) :]
        row = rest
    return [*rows, row] if row else rows


def flow(parts: Iterable[Line], width: int) -> list[Line]:
    """Parts beside each other, two columns apart, on as many lines as they need, each indented by one column."""
    lines: list[Line] = []
    row: Line = ()
    for part in parts:
        if row and line_cells(row) + 2 + line_cells(part) > width:
            lines.append(row)
            row = ()
        row = line(row, "  ", part) if row else line(" ", part)
    return [*lines, row] if row else lines


def beside(left: Sequence[Line], right: Sequence[Line], left_width: int) -> list[Line]:
    """Two blocks next to each other; the left one is cut or padded to `left_width` columns."""
    lines: list[Line] = []
    for index in range(max(len(left), len(right))):
        first = fit(left[index], left_width) if index < len(left) else ()
        second = right[index] if index < len(right) else ()
        lines.append(line(first, " " * (left_width - line_cells(first)), second))
    return lines
