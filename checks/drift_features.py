"""Compares the columns of two tables, one feature at a time: figures only, no verdicts."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from checks.tables import Array, Column, Kind
from infdiag_tui.stats.chi_square import chi_square_test, smallest_detectable_variation
from infdiag_tui.stats.ks import ks_test, smallest_detectable_d
from infdiag_tui.stats.psi import psi, psi_of_counts
from infdiag_tui.text import one_line

CATEGORY_LIMIT = 10_000
_NAMED_CATEGORIES = 10
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class NotComparable(Exception):  # noqa: N818 - it is a finding about a feature, not an error of the program
    """A feature cannot be compared: the reason in words."""


@dataclass(frozen=True, slots=True)
class Summary:
    """One side of a numeric feature; everything is None where there is no finite value to tell it from."""

    mean: float | None
    standard_deviation: float | None
    minimum: float | None
    maximum: float | None
    quantiles: dict[str, float]
    infinite: int


def summary(ordered: Array) -> Summary:
    """The figures of a sorted array without NaN; infinities are counted and left out of them."""
    finite = ordered[np.isfinite(ordered)] if ordered.dtype.kind == "f" else ordered
    infinite = len(ordered) - len(finite)
    if not len(finite):
        return Summary(None, None, None, None, {}, infinite)
    wide = finite.astype(float)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = _finite(float(wide.mean()))
        deviation = _finite(float(wide.std(ddof=1))) if len(wide) > 1 else None
    # Sorted already: the quantile is the value at its rank (Hyndman and Fan's first definition).
    ranks = [max(0, math.ceil(share * len(wide)) - 1) for share in _QUANTILES]
    quantiles = {f"p{share * 100:g}": float(wide[rank]) for share, rank in zip(_QUANTILES, ranks, strict=True)}
    return Summary(mean, deviation, float(wide[0]), float(wide[-1]), quantiles, infinite)


def compare(
    reference: Column, production: Column, *, kind: Kind | None = None, bins: int = 10, alpha: float
) -> dict[str, Any]:
    """All figures of one feature, JSON-able.

    Args:
        reference: the column as it was in training.
        production: the same column as it is now.
        kind: categorical to count a numeric column's values; None: as the columns are.
        bins: PSI's quantile bins.
        alpha: the level at which the smallest detectable effect is told.

    Raises:
        NotComparable: types disagree, or the column holds what cannot be compared.
    """
    chosen = kind or _common_kind(reference, production)
    for column, side in ((reference, "the reference"), (production, "production")):
        if column.kind is Kind.OTHER:
            raise NotComparable(f"{column.note} ({side})")
    figures: dict[str, Any] = {
        "name": one_line(reference.name, 120),
        "kind": str(chosen),
        "reference_rows": reference.rows,
        "production_rows": production.rows,
        "missing": _missing(reference, production),
    }
    if chosen is Kind.NUMERIC:
        return {**figures, **_numeric(reference, production, bins, alpha)}
    return {**figures, **_categorical(reference, production, alpha)}


def _common_kind(reference: Column, production: Column) -> Kind:
    # A column without any value has no type of its own.
    typed = [column for column in (reference, production) if column.missing_rows < column.rows] or [reference]
    kinds = {column.kind for column in typed}
    if Kind.OTHER not in kinds and len(kinds) > 1:
        raise NotComparable(
            f"it is {reference.kind} in the reference and {production.kind} in production: an upstream change of type?"
        )
    return typed[0].kind


def _missing(reference: Column, production: Column) -> dict[str, Any]:
    lacking = np.array([column.missing_rows for column in (reference, production)])
    rows = np.array([reference.rows, production.rows])
    before, now = (float(count) / rows if rows else None for count, rows in zip(lacking, rows.tolist(), strict=True))
    found = chi_square_test(*np.stack([lacking, rows - lacking], axis=1)) if rows.all() else None
    return {"reference_share": before, "production_share": now, "p_value": found.p_value if found else None}


def same_precision(first: Array, second: Array) -> tuple[Array, Array]:
    """Both at the narrower floating type: 0.1 stored in 32 bits is not the 0.1 of 64, and would look like a shift."""
    floats = [array.dtype for array in (first, second) if array.dtype.kind == "f"]
    if not floats:
        return first, second
    narrow = min(floats, key=lambda dtype: dtype.itemsize)
    return first.astype(narrow, copy=False), second.astype(narrow, copy=False)


def _numeric(reference: Column, production: Column, bins: int, alpha: float) -> dict[str, Any]:
    before, now = (np.sort(side) for side in same_precision(reference.present, production.present))
    found = ks_test(before, now)
    return {
        "test": "ks",
        "ks_statistic": found.statistic if found else None,
        "chi_square": None,
        "p_value": found.p_value if found else None,
        "psi": psi(before, now, bins),
        "effect": found.statistic if found else None,
        "farthest_at": _finite(found.at) if found else None,
        "smallest_detectable": smallest_detectable_d(len(before), len(now), alpha),
        "reference": asdict(summary(before)),
        "production": asdict(summary(now)),
        "range": _range(before, now),
    }


def _range(before: Array, now: Array) -> dict[str, Any] | None:
    """Production's share outside what the reference ever showed, and how likely that is without any change.

    Of two samples of one continuous distribution, how many of the second fall outside the first's extremes is
    beta-binomial(m, 2, n - 1); with ties fewer do, which errs on the quiet side.
    """
    if len(before) < 2 or not len(now):
        return None
    from scipy import stats

    below = int(np.searchsorted(now, before[0], "left"))
    above = len(now) - int(np.searchsorted(now, before[-1], "right"))
    p_value = float(stats.betabinom.sf(below + above - 1, len(now), 2, len(before) - 1)) if below + above else 1.0
    share = {"below_share": below / len(now), "above_share": above / len(now)}
    return {**share, "p_value": min(1.0, max(0.0, p_value))}


def counts_of(reference: Column, production: Column) -> tuple[list[str], Array, Array]:
    """The categories of both sides, the commonest of the reference first, and each side's rows a category.

    Raises:
        NotComparable: there are too many: an identifier or free text.
    """
    before, now = reference.counts(), production.counts()
    names = sorted(before.keys() | now.keys(), key=lambda name: (-before.get(name, 0), -now.get(name, 0), name))
    unique = any(len(side) > sum(side.values()) / 2 for side in (before, now))
    if len(names) > CATEGORY_LIMIT or (len(names) > 100 and unique):
        raise NotComparable(f"it has {len(names):,} different values: an identifier or free text")
    first = np.array([before.get(name, 0) for name in names], dtype=np.int64)
    second = np.array([now.get(name, 0) for name in names], dtype=np.int64)
    return names, first, second


def _categorical(reference: Column, production: Column, alpha: float) -> dict[str, Any]:
    names, before, now = counts_of(reference, production)
    found = chi_square_test(before, now)
    n, m = int(before.sum()), int(now.sum())
    degrees = max(1, found.degrees) if found else 0
    return {
        "test": "chi-square",
        "ks_statistic": None,
        "chi_square": found.statistic if found else None,
        "p_value": found.p_value if found else None,
        "psi": psi_of_counts(before, now),
        "effect": found.total_variation if found else None,
        "cohen_w": found.cohen_w if found else None,
        "sparse": found.sparse if found else None,
        "smallest_detectable": smallest_detectable_variation(n, m, degrees, alpha),
        "categories": _shares(names, before, now),
        "new_categories": _named(names, (before == 0) & (now > 0)),
        "vanished_categories": _named(names, (now == 0) & (before > 0)),
        "new_share": float(now[before == 0].sum() / m) if m else None,
        "range": None,
    }


def _shares(names: list[str], before: Array, now: Array) -> list[dict[str, Any]]:
    """The categories whose share moved most, each with both shares."""
    p, q = before / max(1, before.sum()), now / max(1, now.sum())
    worst = np.argsort(-np.abs(p - q), kind="stable")[:_NAMED_CATEGORIES]
    return [{"name": names[i], "reference_share": float(p[i]), "production_share": float(q[i])} for i in worst]


def _named(names: list[str], which: Array) -> list[str]:
    return [names[i] for i in np.flatnonzero(which)[:_NAMED_CATEGORIES]]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
