"""Reads two files and compares every feature of both; runs in the data worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checks.base import CheckError
from checks.drift_features import NotComparable, compare
from checks.drift_verdict import Rule, judge
from checks.tables import Column, Kind, Report, Table, open_table
from infdiag_tui.text import one_line


def compare_files(
    *,
    reference: str,
    production: str,
    features: Sequence[str],
    exclude: Sequence[str],
    categorical: Sequence[str],
    bins: int,
    rule: dict[str, float],
    report: Report,
) -> dict[str, Any]:
    """`features` judged worst first, what was `skipped` and why, and both sides' row counts.

    Raises:
        CheckError: a file cannot be read, a named feature is missing, or the files share no column.
    """
    only = [*features, *categorical] if features else None
    before = open_table(Path(reference), _part(report, 0.0, 0.3), only)
    now = open_table(Path(production), _part(report, 0.3, 0.6), only)
    names = _names(before, now, features, exclude)
    for name in [*exclude, *categorical]:
        if name not in before.names and name not in now.names:
            raise before.lacks(name)
    found: list[dict[str, Any]] = []
    skipped = _one_sided(before, now) if not features else []
    alpha = rule["threshold"] / len(names)
    for done, name in enumerate(names):
        report(f"comparing {one_line(name, 60)}: {done + 1} of {len(names)} features", 0.6 + 0.4 * done / len(names))
        kind = Kind.CATEGORICAL if name in categorical else None
        try:
            first, second = before.column(name), now.column(name)
            if not features:
                _refuse_index(first, second)
            found.append(compare(first, second, kind=kind, bins=bins, alpha=alpha))
        except NotComparable as reason:
            mismatch = "upstream change of type" in str(reason)
            skipped.append({"name": one_line(name, 120), "reason": str(reason), "mismatch": mismatch})
    if not found:
        listed = "; ".join(f"{one['name']}: {one['reason']}" for one in skipped[:3])
        raise CheckError(f"{reference} and {production} share no column that can be compared ({listed}).")
    return {
        "features": judge(found, Rule(**rule)),
        "skipped": skipped,
        "reference": _side(before),
        "production": _side(now),
    }


def _names(before: Table, now: Table, features: Sequence[str], exclude: Sequence[str]) -> list[str]:
    for name in features:
        for table in (before, now):
            if name not in table.names:
                raise table.lacks(name)
    left_out = set(exclude)
    wanted = list(dict.fromkeys(features)) or [name for name in before.names if name in now.names]
    names = [name for name in wanted if name not in left_out]
    if not names:
        raise CheckError(
            f"{before.path} and {now.path} share no column to compare: the first has {_listed(before)}, the second "
            f"{_listed(now)}. Rename one side's columns, or give the file that belongs to the other."
        )
    return names


def _refuse_index(first: Column, second: Column) -> None:
    if _numbers_rows(first) and _numbers_rows(second):
        raise NotComparable("it only numbers the rows")


def _numbers_rows(column: Column) -> bool:
    """Whether the column is an index that pandas wrote along: more rows would look like drift."""
    values = column.values
    named = column.name in {"", "index"} or column.name.startswith("Unnamed: ")
    plain = named and column.kind is Kind.NUMERIC and column.missing is None
    return plain and bool((values[1:] - values[:-1] == 1).all())


def _listed(table: Table) -> str:
    names = ", ".join(one_line(name, 40) for name in table.names[:5])
    return names + (f" and {len(table.names) - 5} more" if len(table.names) > 5 else "")


def _one_sided(before: Table, now: Table) -> list[dict[str, Any]]:
    sides = ((before, now, "only in the reference"), (now, before, "only in production"))
    return [
        {"name": one_line(name, 120), "reason": reason, "mismatch": False}
        for table, other, reason in sides
        for name in table.names
        if name not in other.names
    ]


def _side(table: Table) -> dict[str, Any]:
    return {
        "path": str(table.path),
        "rows": table.rows,
        "rows_not_read": table.spoiled,
        "first_not_read": table.first_spoiled,
    }


def _part(report: Report, start: float, end: float) -> Report:
    """A report whose share covers a part of the whole."""

    def scaled(text: str, share: float | None) -> None:
        report(text, start if share is None else start + (end - start) * share)

    return scaled
