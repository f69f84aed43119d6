"""Follows a model's errors over rows whose outcome is known: figures only; runs in the data worker."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from checks.base import CheckError
from checks.drift_features import NotComparable, compare
from checks.drift_verdict import Rule, judge
from checks.predictions_compare import CLASS_LIMIT, USUAL_NAMES, truth
from checks.tables import Array, Column, Kind, Report, Table, open_table
from checks.tables_time import unix_times
from infdiag_tui.stats.page_hinkley import limit_for, page_hinkley

LABEL_NAMES = ("label", "outcome", "target", "actual", "y_true")
RELATIVE_RISE = 0.10
"""The rise of a regression's mean absolute error that matters, where none is given: 10 % of the baseline's."""

_Z95 = 1.96


@dataclass(frozen=True, slots=True)
class Errors:
    """One number a row with a known outcome, in the order of time.

    `values` are 1 for a wrong class and 0 for a right one, or absolute errors. `times` are Unix seconds, None without
    a time column. `unknown` rows had no prediction, outcome or time.
    """

    values: Array
    times: Array | None
    classes: bool
    unknown: int
    labels: Column


def follow(
    *,
    current: str,
    historical: str,
    names: dict[str, str],
    baseline: float | None,
    cutoff: float,
    smallest_drop: float | None,
    false_alarm: float,
    windows: int,
    rule: dict[str, float],
    report: Report,
) -> dict[str, Any]:
    """The metric now and before, its windows, the moment from which it was worse, and the labels' own drift.

    Raises:
        CheckError: a file or column cannot be read, or no row has an outcome.
    """
    report("reading the outcomes", 0.0)
    now = read_errors(Path(current), names, cutoff, report)
    before = None
    if historical:
        report("reading the baseline's outcomes", 0.4)
        # The baseline's order does not matter, and it may lack the time.
        before = read_errors(Path(historical), {**names, "time": ""}, cutoff, report)
        if before.classes is not now.classes:
            raise CheckError(f"{historical} and {current} disagree: one has classes, the other numbers as outcomes.")
    report("looking for a change", 0.8)
    level, upper, spread = _baseline(now, before, baseline)
    smallest = smallest_drop or (0.05 if now.classes else RELATIVE_RISE * (level or float(now.values.mean())))
    found = _change(now, upper, spread, smallest, false_alarm)
    return {
        "metric": "accuracy" if now.classes else "mean_absolute_error",
        "rows": len(now.values),
        "rows_without_outcome": now.unknown,
        "baseline": None if level is None else _metric(level, classes=now.classes),
        "baseline_rows": None if before is None else len(before.values),
        "smallest": smallest,
        "overall": _estimate(now.values, classes=now.classes),
        "drop_z": _drop_z(now.values, level, before),
        "change": found,
        "windows": _windows(now, windows),
        "label_drift": _label_drift(now, before, rule),
    }


def read_errors(path: Path, names: dict[str, str], cutoff: float, report: Report) -> Errors:
    """The errors in a file. Probabilities against 0 and 1 count as classes, decided at `cutoff`."""
    asked = [name for name in names.values() if name]
    table = open_table(path, report, asked if names["prediction"] and names["label"] else None)
    predicted = table.column(names["prediction"] or _guess(table, USUAL_NAMES, "--prediction"))
    actual = table.column(names["label"] or _guess(table, LABEL_NAMES, "--label"))
    for column in (predicted, actual):
        if column.kind is Kind.OTHER:
            raise CheckError(f"Column {column.name!r} of {path} cannot be used: {column.note}.")
    known = np.ones(table.rows, bool)
    for column in (predicted, actual):
        if column.missing is not None:
            known &= ~column.missing
    times = unix_times(table, names["time"]) if names["time"] else None
    order = np.flatnonzero(known)
    if times is not None:
        order = order[~np.isnan(times[order])]
        order = order[np.argsort(times[order], kind="stable")]
        times = times[order]
    if not len(order):
        raise CheckError(
            f"{path} has no row with a prediction and an outcome; join the outcomes that are known by now."
        )
    values, classes = _row_errors(predicted, actual, cutoff)
    return Errors(values[order], times, classes, table.rows - len(order), actual)


def _guess(table: Table, usual: tuple[str, ...], flag: str) -> str:
    for name in usual:
        if name in table.names:
            return name
    raise CheckError(f"Name the column with {flag}: {table.path} has {', '.join(table.names[:8])}.")


def _row_errors(predicted: Column, actual: Column, cutoff: float) -> tuple[Array, bool]:
    numeric = predicted.kind is Kind.NUMERIC and actual.kind is Kind.NUMERIC
    probabilities = predicted.kind is Kind.NUMERIC and _within_one(predicted.present)
    if probabilities and set(actual.counts()) <= {"0", "1", "true", "false"}:
        texts = actual.texts()
        happened = truth(texts) if actual.kind is Kind.CATEGORICAL else actual.values.astype(float)
        return ((predicted.values >= cutoff) != (happened == 1.0)).astype(float), True
    if numeric and not _classes(actual.present):
        return np.abs(predicted.values.astype(float) - actual.values.astype(float)), False
    return (predicted.texts() != actual.texts()).astype(float), True


def _within_one(values: Array) -> bool:
    return bool(len(values)) and bool(values.min() >= 0) and bool(values.max() <= 1)


def _classes(values: Array) -> bool:
    different = np.unique(values)
    return len(different) <= CLASS_LIMIT and bool((different == np.round(different)).all())


def _baseline(now: Errors, before: Errors | None, given: float | None) -> tuple[float | None, float | None, float]:
    """The baseline's mean error, its upper 95 % bound (what is known of few rows is not known well), and the spread."""
    if before is not None:
        level = float(before.values.mean())
        spread = _spread(before.values, level, classes=now.classes)
        return level, level + 1.645 * spread / math.sqrt(len(before.values)), spread
    if given is not None:
        level = 1 - given if now.classes else given
        return level, level, _spread(now.values, level, classes=now.classes)
    return None, None, _spread(now.values, float(now.values.mean()), classes=now.classes)


def _spread(values: Array, level: float, *, classes: bool) -> float:
    if not classes:
        return float(values.std())
    # A baseline without any error still makes one in as many rows as it has.
    level = min(max(level, 1 / (len(values) + 1)), 1 - 1 / (len(values) + 1))
    return math.sqrt(level * (1 - level))


def _change(
    now: Errors, upper: float | None, spread: float, smallest: float, false_alarm: float
) -> dict[str, Any] | None:
    slack = smallest / 2
    if slack <= 0:
        return None
    spread = max(spread, slack / 10)
    limit = limit_for(len(now.values), spread, slack, false_alarm)
    found = page_hinkley(now.values, slack=slack, limit=limit, mean=upper)
    if found is None:
        return None
    at = found.began
    return {
        "row": at,
        "alarm_row": found.alarm,
        "time": None if now.times is None else float(now.times[at]),
        "before": _estimate(now.values[:at], classes=now.classes) if at else None,
        "after": _estimate(now.values[at:], classes=now.classes),
        "detector": "Page-Hinkley",
        "slack": slack,
        "limit": limit,
    }


def _metric(error: float, *, classes: bool) -> float:
    return 1 - error if classes else error


def _estimate(errors: Array, *, classes: bool) -> dict[str, Any]:
    """Accuracy with Wilson's 95 % interval, or the mean absolute error with a normal one."""
    n, mean = len(errors), float(errors.mean())
    if classes:
        right, square = 1 - mean, _Z95**2
        middle = (right + square / (2 * n)) / (1 + square / n)
        half = _Z95 / (1 + square / n) * math.sqrt(right * mean / n + square / (4 * n * n))
        return {"value": right, "low": max(0.0, middle - half), "high": min(1.0, middle + half), "rows": n}
    half = _Z95 * float(errors.std(ddof=1)) / math.sqrt(n) if n > 1 else math.inf
    interval = {"low": max(0.0, mean - half), "high": mean + half} if n > 1 else {"low": None, "high": None}
    return {"value": mean, **interval, "rows": n}


def _drop_z(now: Array, level: float | None, before: Errors | None) -> float | None:
    """By how many standard errors the mean error rose above the baseline's; None without a baseline."""
    if level is None:
        return None
    variance = float(now.var()) / len(now)
    if before is not None:
        variance += float(before.values.var()) / len(before.values)
    difference = float(now.mean()) - level
    # Without any scatter every difference is beyond chance, but for the last digit.
    return difference / max(math.sqrt(variance), 1e-9)


def _windows(now: Errors, count: int) -> list[dict[str, Any]]:
    """The metric over consecutive windows of equal rows."""
    edges = np.unique(np.linspace(0, len(now.values), min(count, len(now.values)) + 1).astype(int)).tolist()
    return [
        {
            "row": start,
            "time": None if now.times is None else float(now.times[start]),
            **_estimate(now.values[start:end], classes=now.classes),
        }
        for start, end in pairwise(edges)
    ]


def _label_drift(now: Errors, before: Errors | None, rule: dict[str, float]) -> dict[str, Any] | None:
    if before is None:
        return None
    kind = Kind.CATEGORICAL if now.classes else None
    # Outcomes that are not known yet are no drift of the labels.
    first, second = (_known(side.labels) for side in (before, now))
    try:
        return judge([compare(first, second, kind=kind, alpha=rule["threshold"])], Rule(**rule))[0]
    except NotComparable as reason:
        return {"drifted": False, "not_compared": str(reason)}


def _known(column: Column) -> Column:
    present = column.present
    return Column(column.name, column.kind, len(present), present, None, column.categories)
