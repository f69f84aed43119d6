"""A column of moments as Unix seconds, whatever way they are written."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from checks.base import CheckError
from checks.tables import Array, Kind, Table
from infdiag_tui.text import one_line

_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Numbers of at least the first are nano-, micro- or milliseconds, of which the second make a second."""


def unix_times(table: Table, name: str) -> Array:
    """One moment a row in Unix seconds, NaN where missing; texts are ISO 8601, without a zone they are UTC.

    Raises:
        CheckError: there is no such column, or it holds no moments.
    """
    column = table.column(name)
    if column.kind is Kind.CATEGORICAL:
        times = np.array([_parsed(text, table, name) for text in column.categories] or [np.nan])[column.values]
    elif len(column.values) == column.rows:
        times = column.values.astype(float)
        largest = float(np.nanmax(np.abs(column.present.astype(float)), initial=0.0))
        times /= next((unit for least, unit in _UNITS if largest >= least), 1.0)
    else:
        raise CheckError(f"Column {one_line(name, 80)!r} of {table.path} holds no times.")
    if column.missing is not None:
        times[column.missing] = np.nan
    return times


def _parsed(text: str, table: Table, name: str) -> float:
    if not text or text.lower() in {"nan", "null"}:
        return np.nan
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CheckError(
            f"Column {one_line(name, 80)!r} of {table.path} holds {one_line(text, 40)!r}, which is no time; write ISO "
            "8601 (2026-01-31T03:04:05Z) or Unix seconds."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
