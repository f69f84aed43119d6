"""Labels in a picture: accuracy or error over time, the baseline, and the moment from which it was worse."""

from __future__ import annotations

from typing import Any

from infdiag_tui.clock import utc_text
from infdiag_tui.model import Axis, CheckChart, Curve, Level, LineChart, Mark, Quantity


def charts_of(found: dict[str, Any]) -> tuple[CheckChart, ...]:
    """The windows' metric, over the rows where no time is known."""
    windows = found["windows"]
    if len(windows) < 2:
        return ()
    accuracy, timed = found["metric"] == "accuracy", windows[0]["time"] is not None
    name = "accuracy" if accuracy else "mean absolute error"
    change, baseline = found["change"], found["baseline"]
    key = "time" if timed else "row"
    marks: tuple[Mark, ...] = ()
    if change is not None:
        when = utc_text(change["time"]) if timed else f"row {change['row'] + 1:,}"
        marks = (Mark(float(change[key]), f"worse from {when}"),)
    return (
        LineChart(
            title=f"{name.capitalize()} over {len(windows)} windows of equal rows",
            x=Axis("time", Quantity.TIME) if timed else Axis("row"),
            y=Axis(name, Quantity.SHARE if accuracy else Quantity.NUMBER, from_zero=False),
            curves=(Curve(name, tuple((float(one[key]), one["value"]) for one in windows)),),
            levels=() if baseline is None else (Level(baseline, "baseline"),),
            marks=marks,
        ),
    )
