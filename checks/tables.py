"""Tables of logged inputs, predictions and outcomes: CSV, JSON lines and Parquet as typed columns.

CSV and JSON lines are read whole, in blocks, column by column into NumPy arrays; Parquet is read one column at a time
when that column is asked for. A file is only ever read, never executed or unpickled.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from checks.base import CheckError
from infdiag_tui.text import one_line

Array = npt.NDArray[Any]
Report = Callable[[str, float | None], None]

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_PARQUET_MAGIC = b"PAR1"


class Kind(StrEnum):
    """What can be done with a column."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    OTHER = "other"
    """Lists, dates, binary: not compared, and said so. Dates and times keep their Unix seconds as `values`."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `rows` rows.

    Numeric: `values` are numbers of any width. Categorical: `values` are places in `categories`. Either way they say
    nothing where `missing` is True (None where no row is); NaN counts as missing, infinities do not.
    """

    name: str
    kind: Kind
    rows: int
    values: Array
    missing: Array | None = None
    categories: tuple[str, ...] = ()
    note: str = ""
    """Why it is of kind `OTHER`."""

    @property
    def present(self) -> Array:
        """The values of the rows that have one."""
        return self.values if self.missing is None else self.values[~self.missing]

    @property
    def missing_rows(self) -> int:
        """How many rows have no value."""
        return 0 if self.missing is None else int(np.count_nonzero(self.missing))

    def counts(self) -> dict[str, int]:
        """Rows by category, missing ones left out; a number's category is its shortest spelling (`1`, not `1.0`)."""
        if self.kind is Kind.CATEGORICAL:
            found = np.bincount(self.present, minlength=len(self.categories))
            return {name: int(count) for name, count in zip(self.categories, found, strict=True) if count}
        values, found = np.unique(self.present, return_counts=True)
        counts: dict[str, int] = {}
        for value, count in zip(values.tolist(), found.tolist(), strict=True):
            name = spelled(value)
            counts[name] = counts.get(name, 0) + count
        return counts

    def texts(self) -> Array:
        """Every row's category as text (an object array); missing rows are empty."""
        if self.kind is Kind.CATEGORICAL:
            found = np.array([*self.categories, ""], dtype=object)[self.values]
        else:
            values, places = np.unique(self.values, return_inverse=True)
            found = np.array([spelled(value) for value in values.tolist()], dtype=object)[places]
        if self.missing is not None:
            found[self.missing] = ""
        return found


def spelled(value: float | bool) -> str:
    """A number as a category's name: the same for an integer, a float and a text of equal value."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else f"{value:.15g}"


class Table(ABC):
    """A file's columns. `spoiled` counts rows left out because they could not be read; `first_spoiled` says where."""

    path: Path
    rows: int
    names: tuple[str, ...]
    spoiled: int = 0
    first_spoiled: str = ""

    @abstractmethod
    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            CheckError: there is none, or it cannot be read.
        """

    def lacks(self, name: str) -> CheckError:
        """The error of a column that is not there, with the nearest names."""
        from difflib import get_close_matches

        near = get_close_matches(name, self.names, n=3) or list(self.names[:8])
        listed = ", ".join(one_line(known, 60) for known in near)
        return CheckError(f"{self.path} has no column {one_line(name, 80)!r}; it has {listed}.")


def format_of(path: Path) -> str:
    """`csv`, `jsonl` or `parquet`, by the file's first bytes and its name.

    Raises:
        CheckError: the file is not there, is no regular file, is empty, or is of another kind.
    """
    try:
        if path.is_dir():
            raise CheckError(f"{path} is a folder; name one CSV, JSONL or Parquet file in it.")
        with path.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError:
        raise CheckError(f"There is no file {path}; give an existing CSV, JSONL or Parquet file.") from None
    except OSError as error:
        raise CheckError(f"{path} cannot be read ({error.strerror}); check its permissions.") from None
    if not start:
        raise CheckError(f"{path} is empty; export the rows to compare again.")
    if start == _PARQUET_MAGIC:
        return "parquet"
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    found = SUFFIXES.get(suffixes[-1] if suffixes else "")
    if found == "parquet":
        raise CheckError(f"{path} is not a Parquet file or was cut off; write or copy it again.")
    if found is None:
        raise CheckError(f"{path} is of no known kind; name it .csv, .tsv, .jsonl or .parquet (.gz may follow).")
    return found


def open_table(path: Path, report: Report, only: Collection[str] | None = None) -> Table:
    """The table in a file, its kind told by name and first bytes; `.gz` is unpacked while reading.

    Args:
        path: a CSV (first line names the columns), TSV, JSON lines or Parquet file.
        report: told how far reading is.
        only: columns that will be asked for; None: any.

    Raises:
        CheckError: it cannot be read, with the reason and the remedy.
    """
    kind = format_of(path)
    if kind == "parquet":
        from checks.tables_parquet import ParquetTable

        table: Table = ParquetTable(path)
    else:
        from checks.tables_text import read_text_table

        table = read_text_table(path, kind, report, only)
    if not table.rows:
        raise CheckError(f"{path} has columns but no rows; export the rows to compare again.")
    return table
