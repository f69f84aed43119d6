"""Decides which features drifted: significance after adjustment *and* an effect that matters, never one alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infdiag_tui.stats.benjamini_hochberg import adjust
from infdiag_tui.stats.psi import MAJOR

STRICTER = 10
"""Missing values and ranges must be significant at a tenth of the threshold: together with the distributions they are
three chances of a false alarm, and only the first is the one that the threshold speaks of."""

LANDSLIDE = 0.25
"""Samples that could not have shown an effect of this size say too little to call a feature unchanged."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts as drift.

    `threshold` bounds the adjusted p-value; `min_effect` is the smallest KS D, total variation or change of the
    missing share that matters, `min_psi` the smallest PSI, `min_outside` the smallest share outside the reference's
    range.
    """

    threshold: float
    min_effect: float
    min_psi: float
    min_outside: float

    def words(self) -> str:
        """The rule as one phrase."""
        return (
            f"p (Benjamini-Hochberg) < {self.threshold:g} and D or total variation >= {self.min_effect:g} "
            f"or PSI >= {self.min_psi:g}"
        )


def judge(features: list[dict[str, Any]], rule: Rule) -> list[dict[str, Any]]:
    """The features with `p_adjusted`, `drifted`, `reasons`, `severe` and `too_small`, the worst first.

    Distribution, missing shares and ranges are three families of tests, each adjusted over the features.
    """
    adjusted = zip(
        adjust([feature["p_value"] for feature in features]),
        adjust([feature["missing"]["p_value"] for feature in features]),
        adjust([(feature["range"] or {}).get("p_value") for feature in features]),
        strict=True,
    )
    judged = [_judged(feature, p_values, rule) for feature, p_values in zip(features, adjusted, strict=True)]
    return sorted(judged, key=lambda feature: (not feature["drifted"], -(feature["effect"] or 0.0), feature["name"]))


def _judged(
    feature: dict[str, Any], p_values: tuple[float | None, float | None, float | None], rule: Rule
) -> dict[str, Any]:
    p_adjusted, p_missing, p_range = p_values
    reasons = []
    if _below(p_adjusted, rule.threshold) and (
        feature["effect"] >= rule.min_effect or (feature["psi"] or 0.0) >= rule.min_psi
    ):
        reasons.append("distribution")
    if _below(p_missing, rule.threshold / STRICTER) and missing_change(feature) >= rule.min_effect:
        reasons.append("missing values")
    if _below(p_range, rule.threshold / STRICTER) and outside_share(feature) >= rule.min_outside:
        reasons.append("range")
    missing, extent = {**feature["missing"], "p_adjusted": p_missing}, feature["range"]
    return {
        **feature,
        "missing": missing,
        "range": None if extent is None else {**extent, "p_adjusted": p_range},
        "p_adjusted": p_adjusted,
        "drifted": bool(reasons),
        "reasons": reasons,
        "severe": "distribution" in reasons and ((feature["psi"] or 0.0) >= MAJOR or feature["effect"] >= LANDSLIDE),
        "too_small": not reasons and (p_adjusted is None or feature["smallest_detectable"] > LANDSLIDE),
    }


def missing_change(feature: dict[str, Any]) -> float:
    """By how much the share of missing values moved, 0 to 1."""
    before, now = feature["missing"]["reference_share"], feature["missing"]["production_share"]
    return 0.0 if before is None or now is None else abs(now - before)


def outside_share(feature: dict[str, Any]) -> float:
    """Production's share outside the reference's range."""
    extent = feature["range"]
    return 0.0 if extent is None else float(extent["below_share"] + extent["above_share"])


def _below(p_value: float | None, threshold: float) -> bool:
    return p_value is not None and p_value < threshold
