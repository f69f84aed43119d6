"""Compares a model's current outputs with its historical ones: figures only; runs in the data worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from checks.base import CheckError
from checks.drift_features import NotComparable, compare, counts_of
from checks.drift_verdict import Rule, judge
from checks.histogram import histogram
from checks.tables import Array, Column, Kind, Report, Table, open_table
from infdiag_tui.stats.calibration import calibration
from infdiag_tui.stats.chi_square import chi_square_test
from infdiag_tui.stats.means import mean_shift

CLASS_LIMIT = 50
"""Outputs with no more different values than this are classes, whose shares are told."""

USUAL_NAMES = ("prediction", "score", "probability", "output")


def compare_outputs(
    *, current: str, historical: str, column: str, outcome: str, bins: int, rule: dict[str, float], report: Report
) -> dict[str, Any]:
    """Mean shift, distribution, class shares, NaN and constant outputs, and calibration where outcomes are given.

    Raises:
        CheckError: a file or column cannot be read or compared.
    """
    report("reading the historical outputs", 0.0)
    only = [column, *filter(None, [outcome])] if column else None
    before = open_table(Path(historical), report, only)
    report("reading the current outputs", 0.4)
    now = open_table(Path(current), report, only)
    name = column or _guess(now, before)
    first, second = before.column(name), now.column(name)
    report("comparing", 0.8)
    try:
        figures = compare(first, second, bins=bins, alpha=rule["threshold"])
    except NotComparable as reason:
        raise CheckError(f"Column {name!r} of {historical} and {current} cannot be compared: {reason}.") from None
    old, new = _numbers(first), _numbers(second)
    shift = None if old is None or new is None else mean_shift(_finite(old), _finite(new))
    return {
        "column": figures["name"],
        "distribution": judge([figures], Rule(**rule))[0],
        "mean_shift": None if shift is None else {**asdict(shift), "beyond_chance": shift.beyond_chance},
        "classes": _classes(first, second),
        "histogram": [] if old is None or new is None else histogram(_finite(old), _finite(new)),
        "current": {"path": current, **_health(second, now)},
        "historical": {"path": historical, **_health(first, before)},
        "nan_p_value": _nan_p_value(first, second),
        "calibration": {
            "current": _calibration(now, name, outcome, required=True),
            "historical": _calibration(before, name, outcome, required=False),
        },
    }


def _guess(now: Table, before: Table) -> str:
    names = [name for name in now.names if name in before.names]
    for usual in USUAL_NAMES:
        if usual in names:
            return usual
    if len(names) == 1:
        return names[0]
    listed = ", ".join(now.names[:8])
    raise CheckError(f"Name the outputs with --column: {now.path} has {listed}.")


def _numbers(column: Column) -> Array | None:
    """The values as numbers, booleans as 0 and 1; None for classes by name."""
    if column.kind is Kind.NUMERIC:
        return column.present.astype(float)
    if set(column.counts()) <= {"true", "false"}:
        return truth(column.texts()[~_absent(column)])
    return None


def truth(texts: Array) -> Array:
    """`true` and `false` as 1 and 0."""
    found: Array = (texts == "true").astype(float)
    return found


def _absent(column: Column) -> Array:
    return np.zeros(column.rows, bool) if column.missing is None else column.missing


def _finite(values: Array) -> Array:
    found: Array = values[np.isfinite(values)]
    return found


def _health(column: Column, table: Table) -> dict[str, Any]:
    """Rows, outputs that are no number, the share of the commonest output, and how many different ones there are."""
    infinite = 0
    if column.kind is Kind.NUMERIC:
        present = column.present
        infinite = int(np.count_nonzero(~np.isfinite(present))) if present.dtype.kind == "f" else 0
        values, counts = np.unique(present, return_counts=True)
        different, commonest = len(values), int(counts.max(initial=0))
    else:
        by_name = column.counts()
        different, commonest = len(by_name), max(by_name.values(), default=0)
    values_present = column.rows - column.missing_rows
    return {
        "rows": column.rows,
        "rows_not_read": table.spoiled,
        "nan": column.missing_rows,
        "infinite": infinite,
        "nan_share": (column.missing_rows + infinite) / column.rows,
        "different": different,
        "commonest_share": commonest / values_present if values_present else None,
    }


def _nan_p_value(before: Column, now: Column) -> float | None:
    bad = np.array([_bad(before), _bad(now)])
    rows = np.array([before.rows, now.rows])
    found = chi_square_test(*np.stack([bad, rows - bad], axis=1))
    return None if found is None else found.p_value


def _bad(column: Column) -> int:
    present = column.present
    floating = column.kind is Kind.NUMERIC and present.dtype.kind == "f"
    return column.missing_rows + (int(np.count_nonzero(~np.isfinite(present))) if floating else 0)


def _classes(before: Column, now: Column) -> Sequence[dict[str, Any]] | None:
    """Both sides' share of every class, the commonest of the history first; None for a continuous output."""
    if Kind.NUMERIC in (before.kind, now.kind):
        values = np.concatenate([before.present, now.present]).astype(float)
        values = _finite(values)
        if len(np.unique(values)) > CLASS_LIMIT or (values != np.round(values)).any():
            return None
    try:
        names, first, second = counts_of(before, now)
    except NotComparable:
        return None
    old, new = max(1, int(first.sum())), max(1, int(second.sum()))
    return [
        {"name": name, "historical_share": int(a) / old, "current_share": int(b) / new}
        for name, a, b in zip(names[:CLASS_LIMIT], first, second, strict=False)
    ]


def _calibration(table: Table, name: str, outcome: str, *, required: bool) -> dict[str, Any] | None:
    if not outcome or (not required and outcome not in table.names):
        return None
    predicted, actual = table.column(name), table.column(outcome)
    if predicted.kind is not Kind.NUMERIC:
        raise CheckError(f"Column {name!r} of {table.path} holds no probabilities; leave --outcome out.")
    known = ~(_absent(predicted) | _absent(actual))
    probabilities = predicted.values[known].astype(float)
    if actual.kind is Kind.NUMERIC:
        happened = actual.values[known].astype(float)
    elif set(actual.counts()) <= {"true", "false"}:
        happened = truth(actual.texts()[known])
    else:
        raise CheckError(f"Column {outcome!r} of {table.path} must be 0 and 1, or true and false.")
    if ((probabilities < 0) | (probabilities > 1)).any() or not np.isin(happened, (0.0, 1.0)).all():
        raise CheckError(
            f"{table.path}: calibration needs probabilities from 0 to 1 in {name!r} and 0 or 1 in {outcome!r}; "
            "leave --outcome out for other outputs."
        )
    found = calibration(probabilities, happened)
    return None if found is None else asdict(found)
