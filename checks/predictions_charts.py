"""Predictions in a picture: the outputs of now and the historical ones, by class or as two histograms."""

from __future__ import annotations

from typing import Any

from checks.chart_parts import MOST_PAIRS
from infdiag_tui.model import Axis, Bar, BarChart, CheckChart, Curve, LineChart, Quantity, Stroke

_NOW, _BEFORE = "now", "historical"


def charts_of(found: dict[str, Any]) -> tuple[CheckChart, ...]:
    """Shares of all outputs."""
    classes, bins = found["classes"], found["histogram"]
    axis = Axis("share of outputs", Quantity.SHARE)
    if classes:
        bars = tuple(
            Bar(str(one["name"]), (one["current_share"], one["historical_share"])) for one in classes[:MOST_PAIRS]
        )
        title = f"Share of each output of {found['column']}"
        return (BarChart(title, axis, bars, (_NOW, _BEFORE), left_out=len(classes) - len(bars)),)
    if bins:
        middles = [(one["low"] + one["high"]) / 2 for one in bins]
        curves = tuple(
            Curve(name, tuple((at, one[key]) for at, one in zip(middles, bins, strict=True)), stroke)
            for name, key, stroke in (
                (_NOW, "current_share", Stroke.LINE),
                (_BEFORE, "historical_share", Stroke.DOTTED),
            )
        )
        return (LineChart(f"Where the outputs of {found['column']} lie", Axis(found["column"]), axis, curves),)
    return ()
