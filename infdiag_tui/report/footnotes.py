"""Where the report's figures come from: source, window, sample size and time, a footnote for each measured line."""

from __future__ import annotations

from collections.abc import Iterable

from infdiag_tui.clock import utc_text
from infdiag_tui.model import Evidence, Snapshot

NOTED = ("utilization", "memory", "latency", "requests", "inference_time", "evidence")
"""Slots with a footnote."""


def notes_of(snapshot: Snapshot) -> dict[str, str]:
    """The footnotes' texts by slot; a slot about which nothing is known has none."""
    at = f"as of {utc_text(snapshot.at)[11:]}"
    notes: dict[str, str] = {}
    gpus = sorted({gpu.provider for gpu in snapshot.gpus})
    usage = [f"metrics.k8s.io over {one.window_s:.0f} s" for one in list(snapshot.usage.values())[:1]]
    process = ["psutil of the server's process"] if snapshot.processes else []
    host = ["psutil of this machine"] if snapshot.host is not None else []
    if sources := [*gpus, *usage, *process, *host]:
        notes["utilization"] = f"{', '.join(sources)}; last readings, {at}"
    if sources := [*gpus, *usage, *process]:
        notes["memory"] = f"{', '.join(sources)}; last readings, {at}"
    if snapshot.latency:
        watched_s = max(0.0, snapshot.at - snapshot.incident.started_at)
        words = f"latency probe on a fixed schedule, time counted from the scheduled send, over {watched_s:.0f} s, {at}"
        notes["latency"] = f"{words}; quantiles with rank confidence intervals"
        notes["requests"] = words
    if stages := _origin(one for one in snapshot.evidence if one.id == "stages.inference"):
        notes["inference_time"] = stages
    roots = snapshot.diagnosis.root_causes
    if said := _origin(argument.evidence for one in roots for argument in one.evidence_for[:3]):
        notes["evidence"] = said
    return notes


def origin(one: Evidence) -> str:
    """Where one measurement comes from: `latency.p99: latency, 60 s, n=58, 02:13:05Z`."""
    parts = [one.source]
    if one.window_s is not None:
        parts.append(f"window {one.window_s:.0f} s")
    if one.sample_size is not None:
        parts.append(f"n={one.sample_size}")
    if one.threshold_source:
        parts.append(f"threshold: {one.threshold_source}")
    return f"{one.id}: {', '.join(parts)}, at {utc_text(one.at)[11:]}"


def _origin(evidence: Iterable[Evidence]) -> str:
    return "; ".join(dict.fromkeys(origin(one) for one in evidence))
