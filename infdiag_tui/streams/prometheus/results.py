"""What a PromQL query answers with, as values: series of labels and points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infdiag_tui.text import clean, one_line

MAX_WARNINGS = 5


class UnreadableError(ValueError):
    """The reply is no result of the Prometheus API: what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: its labels and its points as (Unix seconds, value), oldest first.

    Points that are no finite numbers are left out: NaN is what a quantile of nothing gives.
    """

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    native: tuple[float, float] | None = None
    """Count and sum of a native histogram, from an instant query."""

    @property
    def name(self) -> str:
        """The metric's name, empty for the result of a function."""
        return self.labels.get("__name__", "")


@dataclass(frozen=True, slots=True)
class Result:
    """All series of a reply, and what the server warns of: partial data, as a rule."""

    series: tuple[Series, ...]
    warnings: tuple[str, ...] = ()


def read_result(reply: Mapping[str, Any]) -> Result:
    """The result in a reply of `query` or `query_range`.

    Raises:
        UnreadableError: it is none.
    """
    if reply.get("status") != "success":
        raise UnreadableError(f"its status is {one_line(clean(str(reply.get('status'))), 40)!r}")
    data = reply.get("data")
    kind = data.get("resultType") if isinstance(data, Mapping) else None
    found = data.get("result") if isinstance(data, Mapping) else None
    if not isinstance(found, list) or kind not in ("vector", "matrix", "scalar"):
        raise UnreadableError(f"it holds {one_line(clean(str(kind)), 40)!r}, no vector or matrix")
    warnings = reply.get("warnings")
    texts = [one_line(clean(str(text)), 200) for text in warnings] if isinstance(warnings, list) else []
    if kind == "scalar":
        return Result((Series({}, _points([found])),), tuple(texts[:MAX_WARNINGS]))
    return Result(tuple(_series(one) for one in found), tuple(texts[:MAX_WARNINGS]))


def _series(raw: Any) -> Series:
    metric = raw.get("metric") if isinstance(raw, Mapping) else None
    if not isinstance(metric, Mapping):
        raise UnreadableError("a series of it has no labels")
    values = raw.get("values")
    if values is None:
        single = raw.get("value")
        values = [] if single is None else [single]
    if not isinstance(values, list):
        raise UnreadableError("a series of it has no list of values")
    return Series({str(name): str(text) for name, text in metric.items()}, _points(values), _native(raw))


def _native(raw: Mapping[str, Any]) -> tuple[float, float] | None:
    histogram = raw.get("histogram")
    if histogram is None:
        return None
    try:
        return float(histogram[1]["count"]), float(histogram[1]["sum"])
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise UnreadableError("a histogram of it has no count and sum") from error


def _points(values: list[Any]) -> tuple[tuple[float, float], ...]:
    found = []
    for pair in values:
        try:
            at, value = float(pair[0]), float(pair[1])
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise UnreadableError("a point of it is no pair of time and value") from error
        if math.isfinite(at) and math.isfinite(value):
            found.append((at, value))
    return tuple(found)
