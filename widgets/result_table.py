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
    """A table; columns beyond the width follow in further blocks, each with the first column again."""
    shown = records[:MOST_ROWS]
    names = list(dict.fromkeys(name for record in shown for name in record))
    texts = [[cell(record.get(name), glyphs) for name in names] for record in shown]
    numeric = [all(_is_number(record.get(name)) for record in shown) for name in names]
    widths = [
        min(_WIDEST, width, max([cells(flat(str(name))), *(cells(row[at]) for row in texts)]))
        for at, name in enumerate(names)
    ]
    rows: list[Line] = [line(Span(clip(f"{title} ({len(records):,})", width), Tone.STRONG))]
    for number, block in enumerate(_blocks(widths, width)):

        def row(values: Sequence[str], block: Sequence[int] = block) -> str:
            parts = [columns(values[at], widths[at], right=numeric[at]) for at in block]
            return (" " * _GAP).join(parts).rstrip()

        rows += [()] if number else []
        rows += [line(Span(row([str(name) for name in names]), Tone.HEAD)), *(line(row(values)) for values in texts)]
    if len(records) > len(shown):
        rows.append(line(Span(f"{len(records) - len(shown):,} more rows: see infdiag check --json.", Tone.DIM)))
    return rows


def _blocks(widths: Sequence[int], width: int) -> list[list[int]]:
    """The columns by block; where even two do not fit, one at a time."""
    blocks: list[list[int]] = []
    for at, size in enumerate(widths):
        used = sum(widths[other] + _GAP for other in blocks[-1]) if blocks else 0
        if blocks and used + size <= width:
            blocks[-1].append(at)
        else:
            again = blocks and widths[0] + _GAP + size <= width
            blocks.append([0, at] if again else [at])
    return blocks


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
        return clip(value, _MOST_TEXT) or glyphs.missing
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
