"""Pictures of what a check measured, as values: a check says what is in them, a widget decides how they look."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from infdiag_tui.model.evidence import Verdict


class Quantity(StrEnum):
    """What the numbers along an axis are, and with it how they are written."""

    NUMBER = "number"
    MILLISECONDS = "ms"
    SECONDS = "s"
    BYTES = "bytes"
    SHARE = "share"
    """From 0 to 1, written in percent."""
    RATE = "1/s"
    TIME = "time"
    """Unix seconds (UTC)."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a chart.

    `from_zero`: a value axis begins at zero, so that lengths compare; else it covers the values closely. `ticks` are
    positions with names in place of numbers.
    """

    name: str
    quantity: Quantity = Quantity.NUMBER
    from_zero: bool = True
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """A value to compare with: a limit, a baseline."""

    value: float
    name: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A position along the x axis with a name: the moment of a change, a knee."""

    at: float
    name: str


class Stroke(StrEnum):
    """How a curve is drawn; never by colour alone."""

    LINE = "line"
    DOTTED = "dotted"
    """What the line is compared with: a fit, an earlier time."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x, y) by rising x, joined by straight lines; a few hundred at most, for a screen shows no more."""

    name: str
    points: tuple[tuple[float, float], ...]
    stroke: Stroke = Stroke.LINE


@dataclass(frozen=True, slots=True)
class LineChart:
    """Values over x. `note` is a remark that the reader needs, such as that the run was invalid."""

    title: str
    x: Axis
    y: Axis
    curves: tuple[Curve, ...]
    levels: tuple[Level, ...] = ()
    marks: tuple[Mark, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """One thing with its value, and a second one to compare with where the chart has two `names`.

    Values are 0 or more; None is not known. `limit` is this bar's own, `verdict` what the value means, `note` a few
    words beside it.
    """

    label: str
    values: tuple[float | None, ...]
    limit: float | None = None
    verdict: Verdict = Verdict.UNKNOWN
    note: str = ""


@dataclass(frozen=True, slots=True)
class BarChart:
    """Bars from zero, in the order in which they are to be read; a histogram's bars are its bins.

    `names` tell the values of a bar apart (now, before); empty where there is one. `limit_name` says what the bars'
    limits are. `left_out` counts further bars that are not in the picture.
    """

    title: str
    axis: Axis
    bars: tuple[Bar, ...]
    names: tuple[str, ...] = ()
    limit_name: str = ""
    left_out: int = 0
    note: str = ""


CheckChart = LineChart | BarChart
"""Any picture of a check."""
