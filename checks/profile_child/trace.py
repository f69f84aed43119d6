"""Reads a Chrome trace of torch.profiler: when the device was busy, what was copied, and which operator did it.

Times are microseconds. The categories (`kernel`, `gpu_memcpy`, `gpu_memset`, `cpu_op`, `user_annotation`) and the
argument `External id`, which joins a device event with the operator that launched it, are those that Kineto writes.
"""

from __future__ import annotations

import bisect
import statistics
from typing import Any, Dict, Iterable, Tuple  # noqa: UP035 - the container's Python may be 3.8

ITERATION = "infdiag.iteration"
"""The annotation around each profiled call of the model."""

DEVICE_CATEGORIES = frozenset({"kernel", "gpu_memcpy", "gpu_memset"})
Event = Dict[str, Any]  # noqa: UP006
Span = Tuple[float, float]  # noqa: UP006


def union_us(spans: Iterable[Span], within: Iterable[Span]) -> float:
    """Length of what `spans` cover together inside `within` (which do not overlap each other)."""
    merged: list[list[float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    total = 0.0
    for low, high in within:
        total += sum(max(0.0, min(end, high) - max(start, low)) for start, end in merged)
    return total


def analyse(events: list[Event]) -> dict[str, Any]:
    """What the trace says of the profiled calls.

    Returns:
        `iteration_us` (one duration per call), `annotations` (names of the model's own regions), `typical_shares`
        (operator to its share of all operators' own time on the device, or on the host where there is no device),
        `outside_operators` (share of the calls' time in which no operator ran on the host: Python, other libraries,
        waiting), `device_events` (None where nothing ran on a device, else `busy_us`, `window_us`, `idle_share` and
        `kernels`) and `copies` (between host and device, by operator; None where nothing ran on a device).
    """
    complete = [event for event in events if event.get("ph") == "X" and "dur" in event]
    marks = [event for event in complete if event.get("cat") == "user_annotation" and event.get("name") == ITERATION]
    calls = [_span(mark) for mark in marks]
    threads = {mark.get("tid") for mark in marks}
    operators = [event for event in complete if event.get("cat") == "cpu_op"]
    on_thread = [_span(event) for event in operators if event.get("tid") in threads]
    window_us = sum(end - start for start, end in calls)
    device = [event for event in complete if event.get("cat") in DEVICE_CATEGORIES and _inside(event, calls)]
    outside = 1.0 - union_us(on_thread, calls) / window_us if window_us else None
    return {
        "iteration_us": [end - start for start, end in calls],
        "annotations": sorted({str(event["name"]) for event in complete if event.get("cat") == "user_annotation"}),
        "outside_operators": outside,
        "typical_shares": typical_shares(_own_times(operators, device, calls, threads)),
        "device_events": _device(device, calls, window_us) if device and window_us else None,
        "copies": _copies(device, operators) if device else None,
    }


def typical_shares(per_call: list[dict[str, float]]) -> dict[str, float]:
    """Each operator's median share over the calls, so that one disturbed call does not name the wrong operator."""
    names = sorted({name for own in per_call for name in own})
    busy = [(own, sum(own.values())) for own in per_call]
    return {
        name: statistics.median(own.get(name, 0.0) / total if total else 0.0 for own, total in busy) for name in names
    }


def _own_times(
    operators: list[Event], device: list[Event], calls: list[Span], threads: set[Any]
) -> list[dict[str, float]]:
    """By call, each operator's own time: of the device's work that it launched, else on the calling thread."""
    starts = [start for start, _ in calls]
    own: list[dict[str, float]] = [{} for _ in calls]

    def add(name: str, at: float, us: float) -> None:
        number = bisect.bisect_right(starts, at) - 1
        if number >= 0:
            own[number][name] = own[number].get(name, 0.0) + us

    if device:
        by_id = {event.get("args", {}).get("External id"): str(event["name"]) for event in operators}
        for event in device:
            launched = by_id.get(event.get("args", {}).get("External id"), str(event["name"]))
            add(launched, float(event["ts"]), float(event["dur"]))
        return own
    inside = [event for event in operators if event.get("tid") in threads and _inside(event, calls)]
    around: list[Event] = []
    for event in sorted(inside, key=lambda one: (float(one["ts"]), -float(one["dur"]))):
        while around and _span(around[-1])[1] <= float(event["ts"]):
            around.pop()
        add(str(event["name"]), float(event["ts"]), float(event["dur"]))
        if around:
            add(str(around[-1]["name"]), float(event["ts"]), -float(event["dur"]))
        around.append(event)
    return own


def _span(event: Event) -> Span:
    start = float(event["ts"])
    return start, start + float(event["dur"])


def _inside(event: Event, calls: list[Span]) -> bool:
    start, end = _span(event)
    return any(start < high and end > low for low, high in calls)


def _device(device: list[Event], calls: list[Span], window_us: float) -> dict[str, Any]:
    busy_us = union_us((_span(event) for event in device), calls)
    kernels: dict[str, list[float]] = {}
    for event in device:
        kernels.setdefault(str(event["name"]), []).append(float(event["dur"]))
    rows = [{"name": name, "calls": len(times), "device_us": sum(times)} for name, times in kernels.items()]
    rows.sort(key=lambda row: -float(str(row["device_us"])))
    return {
        "busy_us": busy_us,
        "window_us": window_us,
        "idle_share": max(0.0, 1.0 - busy_us / window_us),
        "kernels": rows,
    }


def _copies(device: list[Event], operators: list[Event]) -> dict[str, Any]:
    """Copies between host and device: counts, bytes, time, and the outermost operator around each."""
    by_id = {event.get("args", {}).get("External id"): event for event in operators}
    outer = _Outermost(operators)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    total_us = sum(float(event["dur"]) for event in device)
    for event in device:
        direction = _direction(event)
        if not direction:
            continue
        arguments = event.get("args", {})
        launched = by_id.get(arguments.get("External id"))
        operator = outer.of(launched) if launched else "unknown"
        row = rows.setdefault(
            (direction, operator), {"direction": direction, "operator": operator, "count": 0, "bytes": 0, "us": 0.0}
        )
        row["count"] += 1
        row["us"] += float(event["dur"])
        row["bytes"] += int(arguments.get("bytes") or 0)
    found = sorted(rows.values(), key=lambda row: -row["us"])
    copied_us = sum(row["us"] for row in found)
    return {
        "count": sum(row["count"] for row in found),
        "bytes": sum(row["bytes"] for row in found),
        "us": copied_us,
        "share_of_device_time": copied_us / total_us if total_us else 0.0,
        "operators": found,
    }


def _direction(event: Event) -> str:
    name = str(event["name"])
    if event.get("cat") != "gpu_memcpy":
        return ""
    return "host to device" if "HtoD" in name else "device to host" if "DtoH" in name else ""


class _Outermost:
    """Finds the operator that the model called around an inner one: `aten::item` for its `_local_scalar_dense`."""

    def __init__(self, operators: list[Event]) -> None:
        self._by_thread: dict[Any, tuple[list[float], list[Event]]] = {}
        for event in sorted(operators, key=lambda one: (float(one["ts"]), -float(one["dur"]))):
            starts, tops = self._by_thread.setdefault(event.get("tid"), ([], []))
            if tops and float(event["ts"]) < _span(tops[-1])[1]:
                continue
            starts.append(float(event["ts"]))
            tops.append(event)

    def of(self, event: Event) -> str:
        starts, tops = self._by_thread[event.get("tid")]
        return str(tops[bisect.bisect_right(starts, float(event["ts"])) - 1]["name"])
