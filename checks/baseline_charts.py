"""What was saved as normal in pictures, beside what was normal before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infdiag_tui.model import Axis, Bar, BarChart, CheckChart, Quantity

MOST_TARGETS = 2
_NAMES = ("saved now", "saved before")
_QUANTILES = ("p50", "p95", "p99")


def charts_of(content: Mapping[str, Any], before: Mapping[str, Any]) -> tuple[CheckChart, ...]:
    """Latency by target and the stages of a request; `before` is the baseline that was replaced, empty without one."""
    found: list[CheckChart] = []
    for target, now in list(_mapping(content, "latency").items())[:MOST_TARGETS]:
        then = _mapping(_mapping(before, "latency"), target)
        values = {name: (now.get(f"{name}_ms"), then.get(f"{name}_ms")) for name in _QUANTILES}
        found += _chart(f"Latency of {target}", values)
    stages, old = _mapping(content, "stages"), _mapping(before, "stages")
    times = {name: (one.get("ms"), _mapping(old, name).get("ms")) for name, one in stages.items()}
    return (*found, *_chart("Mean time of each stage", times))


def _chart(title: str, values: Mapping[str, tuple[Any, Any]]) -> list[CheckChart]:
    known = {name: (_number(now), _number(then)) for name, (now, then) in values.items()}
    known = {name: pair for name, pair in known.items() if pair[0] is not None}
    if not known:
        return []
    compared = any(then is not None for _, then in known.values())
    bars = tuple(Bar(name, pair if compared else pair[:1]) for name, pair in known.items())
    return [BarChart(title, Axis("time", Quantity.MILLISECONDS), bars, _NAMES if compared else ())]


def _mapping(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a file that anybody may have written."""
    part = of.get(name)
    return part if isinstance(part, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
