"""Tells what is known now from what a silent source said last, which is no present fact."""

from __future__ import annotations

import dataclasses

from infdiag_tui.clock import utc_text
from infdiag_tui.knowledge.causes import evidence_kinds
from infdiag_tui.model import Evidence, Snapshot, SourceState, Verdict

_OWN_AGE = frozenset({"dcgm", "host", "nvidia-smi", "nvml", "process", "prometheus"})
"""Sources whose evidence bears the time of the reading it was made from."""

_STREAMS = {
    "nvml": ("gpu", "gpu-source"),
    "dcgm": ("dcgm", "dcgm-cluster", "gpu-source"),
    "prometheus": ("gpu-prometheus", "gpu-source"),
    "nvidia-smi": ("nvidia-smi", "gpu-source"),
    "server_metrics": ("server_metrics", "server_prometheus"),
}
"""Streams that may bring what evidence calls by one name: alone, chosen among several, or one where another fails."""
_NOTHING = (SourceState.OFF, SourceState.UNAVAILABLE, SourceState.FORBIDDEN)


def stream_of(source: str, snapshot: Snapshot) -> str:
    """The name of the stream behind a provider or a source of evidence."""
    there = [name for name in _STREAMS.get(source, ()) if name in snapshot.sources]
    telling = [name for name in there if snapshot.sources[name].state not in _NOTHING]
    return next(iter((*telling, *there)), source)


def _is_lasting(evidence: Evidence) -> bool:
    """True for what happened, which stays true though nobody answers any more; that it has not is no such thing."""
    kind = evidence_kinds().get(evidence.id)
    return kind is not None and kind.lasting and evidence.verdict is not Verdict.OK


def as_known(evidence: Evidence, snapshot: Snapshot) -> Evidence:
    """`evidence`, or, where its source has fallen silent, the same with the time it was true and without a verdict.

    What happened keeps its verdict, and what was not in sight says nothing new.
    """
    if evidence.source == "latency":
        # Refused and failed requests are news as well: only a probe that stands still has none.
        health = snapshot.source("latency")
        outdated_at = health.last_data_at if health.state is SourceState.STALE else None
        if evidence.id == "latency.reachable":
            return evidence
    else:
        own_age = evidence.source in _OWN_AGE and not _is_lasting(evidence)
        outdated_at = snapshot.outdated_since(stream_of(evidence.source, snapshot), evidence.at if own_age else None)
    if outdated_at is None:
        return evidence
    return dataclasses.replace(
        evidence,
        statement=f"as of {utc_text(outdated_at)[11:]}: {evidence.statement}",
        verdict=evidence.verdict if _is_lasting(evidence) else Verdict.UNKNOWN,
        at=min(evidence.at, outdated_at),
    )
