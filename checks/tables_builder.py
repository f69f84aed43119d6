"""Collects one column of a text file block by block: as numbers while every value is one, else as categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from checks.tables import Array, Column, Kind, spelled
from infdiag_tui.text import one_line

NO_NUMBER = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None"})
"""What stands for a missing number in CSV."""

NO_TEXT = frozenset({"", "NaN", "nan", "null", "NULL"})
"""What stands for a missing category in CSV; `NA` and `None` may be names."""


class ColumnBuilder:
    """One column being read.

    `failed` is True once a text followed blocks of numbers: their spelling is gone, so the column must be read again
    with `textual`. `textual` starts a column as categories. More than `distinct_limit` categories make it `OTHER`.
    """

    def __init__(self, name: str, *, textual: bool = False, distinct_limit: int) -> None:
        self.name = name
        self.rows = 0
        self.failed = False
        self._textual = textual
        self._distinct_limit = distinct_limit
        self._note = ""
        self._blocks: list[Array] = []
        self._missing: list[Array] = []
        self._places: dict[str, int] = {}

    def skip(self, rows: int) -> None:
        """That many rows without a value."""
        if rows > 0:
            self._add(np.zeros(rows, np.int32 if self._textual else float), np.ones(rows, bool))

    def add_texts(self, texts: Sequence[str]) -> None:
        """A block of a CSV column."""
        if not self._textual:
            found = _numbers(texts)
            if found is not None:
                self._add(found, np.isnan(found))
                return
            if not self._becomes_textual():
                return
        self._add_categories(texts, np.fromiter((text in NO_TEXT for text in texts), bool, len(texts)))

    def add_values(self, values: Sequence[Any]) -> None:
        """A block of a JSON column; None is missing, lists make the column `OTHER`."""
        types = set(map(type, values))
        if list in types or dict in types:
            self._give_up("lists and objects are not compared")
        if self._note:
            self.rows += len(values)
        elif not self._textual and types <= {int, float, type(None)}:
            found = np.array([np.nan if value is None else value for value in values], dtype=float)
            self._add(found, np.isnan(found))
        elif self._textual or self._becomes_textual():
            absent = np.fromiter((value is None for value in values), bool, len(values))
            self._add_categories([_text(value) for value in values], absent)

    def _becomes_textual(self) -> bool:
        """Turns to categories where no number was met so far."""
        if any(not block.all() for block in self._missing):
            self.failed = True
            return False
        self._textual = True
        self._blocks = [block.astype(np.int32) for block in self._blocks]
        return True

    def _add_categories(self, texts: Sequence[str], missing: Array) -> None:
        if self._note:
            self.rows += len(texts)
            return
        places = self._places
        codes = np.fromiter((places.setdefault(text, len(places)) for text in texts), np.int32, len(texts))
        if len(places) > self._distinct_limit:
            self._give_up(f"it has more than {self._distinct_limit:,} different texts: an identifier or free text")
        self._add(codes, missing)

    def _give_up(self, note: str) -> None:
        self._note = self._note or note
        self._textual = True
        self._blocks, self._missing, self._places = [], [], {}

    def _add(self, block: Array, missing: Array) -> None:
        self.rows += len(block)
        if not self._note:
            self._blocks.append(block)
            self._missing.append(missing)

    def column(self) -> Column:
        """The finished column."""
        if self._note:
            return Column(self.name, Kind.OTHER, self.rows, np.empty(0), note=self._note)
        values = np.concatenate(self._blocks) if self._blocks else np.empty(0)
        missing = np.concatenate(self._missing) if self._missing else np.empty(0, bool)
        absent = missing if missing.any() else None
        self._blocks, self._missing = [], []
        if not self._textual:
            return Column(self.name, Kind.NUMERIC, self.rows, values, absent)
        names = [one_line(text, 200) for text in self._places]
        if {name.lower() for name in names if name not in NO_TEXT} <= {"true", "false"}:
            names = [name.lower() for name in names]
        categories = tuple(dict.fromkeys(names))
        place = {name: index for index, name in enumerate(categories)}
        codes = np.array([place[name] for name in names], dtype=np.int32)[values] if names else values
        return Column(self.name, Kind.CATEGORICAL, self.rows, codes, absent, categories)


def _numbers(texts: Sequence[str]) -> Array | None:
    """The texts as numbers, NaN where missing; None when one is no number."""
    try:
        found = np.fromiter(map(float, texts), float, len(texts))
    except ValueError:
        try:
            found = np.fromiter(
                (np.nan if text.strip() in NO_NUMBER else float(text) for text in texts), float, len(texts)
            )
        except ValueError:
            return None
    # Python reads 1_000 as a number; in a file it is a name.
    return None if any("_" in text for text in texts) else found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else spelled(value)
