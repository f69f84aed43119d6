"""How busy each resource is, in a picture: the utilisation of the USE rows that have a limit to be measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from checks.chart_parts import MOST_BARS
from infdiag_tui.model import Axis, Bar, BarChart, CheckChart, Quantity

_SHARES = {"share": 1.0, "share of limit": 1.0, "percent": 0.01, "percent full": 0.01}
"""Units that are a part of a whole, and what makes a share of them."""


def use_charts(rows: Sequence[Mapping[str, Any]]) -> tuple[CheckChart, ...]:
    """The busiest resources first."""
    found = []
    for row in rows:
        cell = row["utilisation"]
        if cell is not None and cell["unit"] in _SHARES:
            found.append((f"{row['resource']} {row['subject']}", float(cell["value"]) * _SHARES[cell["unit"]]))
    found.sort(key=lambda one: -one[1])
    if not found:
        return ()
    bars = tuple(Bar(label, (share,)) for label, share in found[:MOST_BARS])
    axis = Axis("in use", Quantity.SHARE)
    return (BarChart("Use of each resource against its limit", axis, bars, left_out=len(found) - len(bars)),)
