"""Drift in a picture: the features by how far they moved, against the smallest move that counts."""

from __future__ import annotations

from typing import Any

from checks.chart_parts import MOST_BARS
from checks.drift_verdict import Rule
from infdiag_tui.model import Axis, Bar, BarChart, CheckChart, Verdict


def charts_of(found: dict[str, Any], rule: Rule) -> tuple[CheckChart, ...]:
    """One bar a feature, drifted ones first, then by size, as the result has them."""
    features = [one for one in found["features"] if one["effect"] is not None]
    if not features:
        return ()
    bars = tuple(
        Bar(
            label=one["name"],
            values=(one["effect"],),
            limit=rule.min_effect,
            verdict=verdict_of(one),
            note=_note(one),
        )
        for one in features[:MOST_BARS]
    )
    return (
        BarChart(
            title="Drift by feature: 0 is alike, 1 wholly different",
            axis=Axis("distance"),
            bars=bars,
            limit_name=f"smallest that counts, {rule.min_effect:g}",
            left_out=len(features) - len(bars),
        ),
    )


def verdict_of(feature: dict[str, Any]) -> Verdict:
    """What the rule says of one feature."""
    if feature["drifted"]:
        return Verdict.FAIL if feature["severe"] else Verdict.WARN
    return Verdict.UNKNOWN if feature["too_small"] else Verdict.OK


def _note(feature: dict[str, Any]) -> str:
    """Why a feature drifted whose bar does not show it; else its PSI."""
    others = [reason for reason in feature["reasons"] if reason != "distribution"]
    return ", ".join(others) if others else "" if feature["psi"] is None else f"PSI {feature['psi']:.2g}"
