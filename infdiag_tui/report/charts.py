"""The charts of an incident as plain data: what was measured over time, small enough to be kept with the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infdiag_tui.model import SeriesKey, Snapshot
from infdiag_tui.model.latency import LatencyView

POINTS = 240
"""Points of a line; more are not told apart on a page. Each stands for several and keeps the extremes."""
_LINES = 8

_CHARTS = (
    ("GPU utilisation", "percent", "gpu.utilization_percent"),
    ("GPU memory in use", "bytes", "gpu.memory_used_bytes"),
    ("GPU SM clock", "MHz", "gpu.sm_clock_mhz"),
    ("Memory of the pods", "bytes", "pod.memory_bytes"),
    ("CPU of the pods", "cores", "pod.cpu_cores"),
    ("Memory of the server's process", "bytes", "process.rss_bytes"),
    ("CPU of this machine", "percent", "host.cpu_percent"),
)


def charts(snapshot: Snapshot) -> list[dict[str, Any]]:
    """A chart per metric that was measured: title, unit, lines (name, times, values), limits and events.

    Times are Unix seconds. At most eight lines a chart, those with the highest last values.
    """
    return [chart for chart in _all(snapshot) if chart["lines"]]


def _all(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    yield {
        "title": "Latency",
        "unit": "ms",
        "lines": [_replies(view) for view in snapshot.latency if view.recent],
        "limits": _limits(snapshot, "latency.p99"),
        "events": _events(snapshot),
    }
    for title, unit, metric in _CHARTS:
        found = [key for key in snapshot.series if key.metric == metric and len(snapshot.series[key].times) > 1]
        found.sort(key=lambda key: (-snapshot.series[key].values[-1], key.entity))
        yield {
            "title": title,
            "unit": unit,
            "lines": [_line(snapshot, key) for key in found[:_LINES]],
            "limits": _limits(snapshot, "pods.memory_limit") if metric == "pod.memory_bytes" else [],
            "events": _events(snapshot),
        }


def _replies(view: LatencyView) -> dict[str, Any]:
    points = [(at, total_ms) for at, total_ms in view.recent if total_ms is not None]
    return {"name": view.target, "points": _thinned(points)}


def _line(snapshot: Snapshot, key: SeriesKey) -> dict[str, Any]:
    series = snapshot.series[key]
    return {
        "name": key.entity or "this machine",
        "points": _thinned(list(zip(series.times, series.values, strict=True))),
    }


def _thinned(points: list[tuple[float, float]]) -> list[list[float]]:
    """At most `POINTS` points: of each stretch the lowest and the highest, in their order."""
    if len(points) <= POINTS:
        return [[at, value] for at, value in points]
    stretch = -(-len(points) * 2 // POINTS)
    kept: list[list[float]] = []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        low, high = min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])
        kept += [[at, value] for at, value in sorted({low, high})]
    return kept


def _limits(snapshot: Snapshot, of: str) -> list[dict[str, Any]]:
    if of == "pods.memory_limit":
        known = {pod.memory_limit_bytes for pod in snapshot.pods if pod.memory_limit_bytes}
        return [{"value": float(limit), "name": "memory limit"} for limit in sorted(known)]
    found = {one.threshold: one.threshold_source for one in snapshot.evidence if one.id == of and one.threshold}
    return [{"value": value, "name": name} for value, name in sorted(found.items())]


def _events(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Moments worth a mark: the onset, ends of containers, checks."""
    marks = []
    if snapshot.diagnosis.onset_at is not None:
        marks.append({"at": snapshot.diagnosis.onset_at, "name": f"onset ({snapshot.diagnosis.onset_source})"})
    for pod in snapshot.pods:
        end = pod.last_termination
        if end is not None and end.finished_at is not None:
            marks.append({"at": snapshot.steady(end.finished_at), "name": f"{pod.name}: {end.reason}"})
    marks += [{"at": run.started_at, "name": f"check {run.name}"} for run in snapshot.checks]
    return sorted(marks, key=lambda mark: mark["at"])
