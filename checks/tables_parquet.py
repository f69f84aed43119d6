"""Parquet files, read one column at a time with polars (the extra `data`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from checks.base import CheckError
from checks.tables import Column, Kind, Table
from infdiag_tui.text import one_line

if TYPE_CHECKING:
    from polars import Series


def _polars() -> Any:
    try:
        import polars as pl
    except ImportError:
        raise CheckError(
            "Parquet files need polars: pip install 'infdiag-tui[data]'; CSV and JSONL files work without it."
        ) from None
    return pl


class ParquetTable(Table):
    """A Parquet file; only its footer is read until a column is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._polars = _polars()
        # A file's name is a name, never a pattern.
        lazy = self._guarded(lambda: self._polars.scan_parquet(path, glob=False))
        self._schema = self._guarded(lazy.collect_schema)
        self._lazy = lazy
        self.names = tuple(self._schema.names())
        self.rows = int(self._guarded(lambda: lazy.select(self._polars.len()).collect()).item())

    def column(self, name: str) -> Column:
        """See `Table`; what has no numbers and no categories (lists, dates, binary) is of kind `OTHER`."""
        if name not in self._schema:
            raise self.lacks(name)
        polars, dtype = self._polars, self._schema[name]
        textual = dtype in (polars.String, polars.Boolean, polars.Null, polars.Categorical, polars.Enum)
        if dtype in (polars.Date, polars.Datetime):
            return _moments(name, self._read(name), polars)
        if not (dtype.is_numeric() or textual):
            note = f"values of type {one_line(str(dtype), 60)} are not compared"
            return Column(name, Kind.OTHER, self.rows, np.empty(0), note=note)
        series = self._read(name)
        return _categorical(name, series, polars) if textual else _numeric(name, series, polars)

    def _read(self, name: str) -> Series:
        found: Series = self._guarded(lambda: self._lazy.select(name).collect()).to_series()
        return found

    def _guarded(self, read: Any) -> Any:
        polars = self._polars
        try:
            return read()
        except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
            reason = one_line(str(error), 160)
            raise CheckError(
                f"{self.path} cannot be read as Parquet ({reason}); was it cut off? Copy it again."
            ) from None


def _numeric(name: str, series: Series, polars: Any) -> Column:
    if series.dtype.is_decimal() or series.dtype == polars.Int128:
        series = series.cast(polars.Float64)
    absent = series.is_null()
    if series.dtype.is_float():
        absent = absent | series.is_nan().fill_null(value=False)
    missing = absent.to_numpy() if absent.any() else None
    return Column(name, Kind.NUMERIC, len(series), series.fill_null(0).to_numpy(), missing)


def _categorical(name: str, series: Series, polars: Any) -> Column:
    series = series.cast(polars.String)
    categories = series.drop_nulls().unique()
    codes = series.cast(polars.Enum(categories)).to_physical()
    missing = series.is_null().to_numpy() if series.null_count() else None
    return Column(
        name, Kind.CATEGORICAL, len(series), codes.fill_null(0).to_numpy(), missing, tuple(categories.to_list())
    )


def _moments(name: str, series: Series, polars: Any) -> Column:
    """Dates and times: not compared, but their Unix seconds (UTC where no zone is given) can order the rows."""
    seconds = series.cast(polars.Datetime("us")).to_physical().cast(polars.Float64) / 1e6
    missing = series.is_null().to_numpy() if series.null_count() else None
    note = "dates and times are not compared"
    return Column(name, Kind.OTHER, len(series), seconds.fill_null(0.0).to_numpy(), missing, note=note)
