"""What a check measured, as rows: lists of records as tables, the rest as `name: value`, whatever shape it has."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, cells, clip, columns, flat, line, wrap

MOST_ROWS = 200
_WIDEST = 28
_GAP = 2
_MOST_TEXT = 2000


def result_lines(result: Mapping[str, Any], width: int, glyphs: Glyphs) -> list[Line]:
    """Single values first, then a table for each list of records; names are those of the JSON result."""
    rows: list[Line] = []
    tables: list[Line] = []
    for name, value in result.items():
        if _is_table(value):
            tables += [(), *table_lines(name, value, width, glyphs)]
        else:
            text = f"{name}: {_words(value, glyphs)}"
            rows += [line("  " if number else "", row) for number, row in enumerate(wrap(text, max(8, width - 2)))]
    return [*rows, *(tables if rows else tables[1:])]


def table_lines(title: str, records: Sequence[Mapping[str, Any]], width: int, glyphs: Glyphs) -> list[Line]:
    """A table as wide as fits; the names of columns that do not fit stand below."""
    shown = records[:MOST_ROWS]
    names = list(dict.fromkeys(name for record in shown for name in record))
    texts = [[cell(record.get(name), glyphs) for name in names] for record in shown]
    numeric = [all(_is_number(record.get(name)) for record in shown) for name in names]
    widths = [
        min(_WIDEST, max([cells(flat(str(name))), *(cells(row[at]) for row in texts)])) for at, name in enumerate(names)
    ]
    fitting, used = 0, 0
    for size in widths:
        used += size + (_GAP if fitting else 0)
        if used > width and fitting:
            break
        fitting += 1
    kept = range(fitting)
    widths = [min(size, width) for size in widths]

    def row(values: Sequence[str]) -> str:
        parts = [columns(values[at], widths[at], right=numeric[at]) for at in kept]
        return (" " * _GAP).join(parts).rstrip()

    rows: list[Line] = [line(Span(f"{title} ({len(records):,})", Tone.STRONG))]
    rows += [line(Span(row([str(name) for name in names]), Tone.HEAD)), *(line(row(values)) for values in texts)]
    notes = []
    if len(records) > len(shown):
        notes.append(f"{len(records) - len(shown):,} more rows")
    if fitting < len(names):
        notes.append(f"no room for {', '.join(str(name) for name in names[fitting:])}")
    if notes:
        rows += [line(Span(text, Tone.DIM)) for text in wrap(f"{'; '.join(notes)}: see --json.", width)]
    return rows


def cell(value: Any, glyphs: Glyphs) -> str:
    """One value in few columns: numbers in four digits, none as the sign for missing."""
    if value is None:
        return glyphs.missing
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "not a number" if math.isnan(value) else "infinite"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, str):
        return clip(value, _MOST_TEXT)
    return clip(json.dumps(value, default=str, ensure_ascii=False), _MOST_TEXT)


def _words(value: Any, glyphs: Glyphs) -> str:
    if isinstance(value, Mapping) and not any(isinstance(one, Mapping | list | tuple) for one in value.values()):
        return f" {glyphs.dot} ".join(f"{name} {cell(one, glyphs)}" for name, one in value.items()) or glyphs.missing
    if isinstance(value, list | tuple) and not any(isinstance(one, Mapping | list | tuple) for one in value):
        return ", ".join(cell(one, glyphs) for one in value[:MOST_ROWS]) or "none"
    return cell(value, glyphs)


def _is_table(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
