"""CSV and JSON lines, read in blocks; rows that cannot be read are counted, and too many of them are an error."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from checks.base import CheckError
from checks.tables import Column, Report, Table
from checks.tables_builder import ColumnBuilder
from infdiag_tui.text import one_line

_BLOCK_ROWS = 20_000
_COLUMN_LIMIT = 5_000
_SPOILED_SHARE = 0.01
"""A file of which more rows than this cannot be read is not compared; one row alone always may be broken."""

DISTINCT_LIMIT = 100_000
_NESTING = 4


class TextTable(Table):
    """A CSV or JSON lines file in memory."""

    def __init__(self, reading: _Reading) -> None:
        self.path = reading.path
        self.names = tuple(reading.names)
        self.rows = reading.rows
        self.spoiled, self.first_spoiled = reading.spoiled, reading.first_spoiled
        self._builders = reading.builders
        self._columns: dict[str, Column] = {}

    def column(self, name: str) -> Column:
        """See `Table`."""
        if name not in self.names:
            raise self.lacks(name)
        if name not in self._columns:
            self._columns[name] = self._builders.pop(name).column()
        return self._columns[name]


class _Reading:
    """One pass over a file: the columns being built, rows read and rows spoiled."""

    def __init__(self, path: Path, only: Collection[str] | None, textual: Collection[str]) -> None:
        self.path = path
        self.only = only
        self.textual = textual
        self.names: dict[str, None] = {}
        self.builders: dict[str, ColumnBuilder] = {}
        self.rows = 0
        self.spoiled = 0
        self.first_spoiled = ""

    def builder(self, name: str) -> ColumnBuilder | None:
        """The column's builder, made on first sight with the rows before it missing; None when not asked for."""
        if name not in self.names:
            if len(self.names) >= _COLUMN_LIMIT:
                raise CheckError(f"{self.path} has more than {_COLUMN_LIMIT:,} columns; give a file with fewer.")
            self.names[name] = None
        if self.only is not None and name not in self.only:
            return None
        if name not in self.builders:
            limit = DISTINCT_LIMIT if self.only is None else 2**31
            made = ColumnBuilder(name, textual=name in self.textual, distinct_limit=limit)
            made.skip(self.rows)
            self.builders[name] = made
        return self.builders[name]

    def spoil(self, where: str) -> None:
        self.spoiled += 1
        self.first_spoiled = self.first_spoiled or where


def read_text_table(path: Path, kind: str, report: Report, only: Collection[str] | None = None) -> TextTable:
    """The table in a `csv` or `jsonl` file.

    With `only`, just these columns are kept, however many different texts they hold.

    Raises:
        CheckError: see `tables.open_table`.
    """
    read = _read_csv if kind == "csv" else _read_jsonl
    reading = _Reading(path, only, ())
    read(reading, report)
    failed = [name for name, builder in reading.builders.items() if builder.failed]
    if failed:
        # Their numbers turned out to be names: once more, for them alone.
        again = _Reading(path, failed, failed)
        read(again, report)
        reading.builders.update(again.builders)
    if reading.spoiled > max(1, _SPOILED_SHARE * reading.rows):
        raise CheckError(
            f"{path}: {reading.spoiled:,} of {reading.rows + reading.spoiled:,} rows cannot be read, the first "
            f"{reading.first_spoiled}; export the file again."
        )
    return TextTable(reading)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file's bytes, unpacked, and the raw file that tells how far reading is."""
    try:
        with path.open("rb") as raw:
            if path.suffix.lower() == ".gz":
                with gzip.GzipFile(fileobj=raw) as unpacked:
                    yield io.BufferedReader(unpacked, 1 << 20), raw
            else:
                yield raw, raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CheckError(f"{path} cannot be unpacked ({error}); was it cut off? Copy it again.") from None
    except OSError as error:
        raise CheckError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None


def _read_csv(reading: _Reading, report: Report) -> None:
    path, size = reading.path, max(1, reading.path.stat().st_size)
    with _opened(path) as (stream, raw):
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
        start = text.readline()
        names = next(csv.reader([start], delimiter=_delimiter(path, start)), [])
        names = [name.strip() for name in names]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled or not names:
            what = f"has two columns named {one_line(doubled[0], 60)!r}" if doubled else "has no header line"
            raise CheckError(f"{path} {what}; give every column a name of its own in the first line.")
        builders = [reading.builder(name) for name in names]
        lines = csv.reader(text, delimiter=_delimiter(path, start))
        while True:
            try:
                rows = list(islice(lines, _BLOCK_ROWS))
            except csv.Error as error:
                raise CheckError(
                    f"{path} is broken at line {lines.line_num + 2:,} ({error}): a quote that is never closed? "
                    "Export the file again."
                ) from None
            if not rows:
                break
            whole = [row for row in rows if len(row) == len(names)]
            if len(whole) != len(rows):
                whole = _whole_rows(rows, reading, lines.line_num + 1, len(names))
            if whole:
                for builder, texts in zip(builders, zip(*whole, strict=True), strict=True):
                    if builder is not None and not builder.failed:
                        builder.add_texts(texts)
            reading.rows += len(whole)
            report(f"reading {path.name}: {reading.rows:,} rows", min(1.0, raw.tell() / size))
        text.detach()


def _delimiter(path: Path, header: str) -> str:
    if ".tsv" in (suffix.lower() for suffix in path.suffixes):
        return "\t"
    return max(",;\t|", key=header.count)


def _whole_rows(rows: list[list[str]], reading: _Reading, last_line: int, width: int) -> list[list[str]]:
    whole = []
    for place, row in enumerate(rows):
        if len(row) == width:
            whole.append(row)
        elif row:
            about = last_line - len(rows) + place + 1
            reading.spoil(f"near line {about:,} ({len(row)} fields instead of {width})")
    return whole


def _read_jsonl(reading: _Reading, report: Report) -> None:
    path, size, number = reading.path, max(1, reading.path.stat().st_size), 0
    with _opened(path) as (stream, raw):
        while block := list(islice(stream, _BLOCK_ROWS)):
            rows: list[dict[str, Any]] = []
            for line in block:
                number += 1
                if not line.strip():
                    continue
                row = _parsed(line)
                if isinstance(row, dict):
                    rows.append(_flat(row))
                else:
                    reading.spoil(f"line {number:,} (no JSON object)")
            for name in dict.fromkeys(name for row in rows for name in row):
                builder = reading.builder(name)
                if builder is not None and not builder.failed:
                    builder.add_values([row.get(name) for row in rows])
            reading.rows += len(rows)
            for builder in reading.builders.values():
                builder.skip(0 if builder.failed else reading.rows - builder.rows)
            report(f"reading {path.name}: {reading.rows:,} rows", min(1.0, raw.tell() / size))
    if not reading.rows:
        raise CheckError(f"{path} has no line that is a JSON object; write one row a line, as {{...}}.")


def _parsed(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            # Python writes NaN and Infinity, which strict JSON lacks.
            return json.loads(line)
        except (ValueError, RecursionError):
            return None


def _flat(row: dict[str, Any], depth: int = _NESTING) -> dict[str, Any]:
    """Nested objects as dotted names: {"input": {"amount": 3}} has the column input.amount."""
    if not any(isinstance(value, dict) for value in row.values()):
        return row
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and depth:
            flat.update((f"{name}.{inner}", found) for inner, found in _flat(value, depth - 1).items())
        else:
            flat[name] = value
    return flat
