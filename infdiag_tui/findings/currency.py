"""Tells what is known now from what a silent source said last, which is no present fact."""

from __future__ import annotations

import dataclasses

from infdiag_tui.clock import utc_text
from infdiag_tui.model import Evidence, Snapshot, SourceState, Verdict

_LASTING = frozenset(
    {
        "gpu.ecc_uncorrected",
        "gpu.lost",
        "gpu.remap_failed",
        "gpu.xid",
        "pods.evicted",
        "pods.oom_killed",
        "pods.restarts",
        "process.restarts",
    },
)
"""Evidence of what happened, which stays true though nobody answers any more."""

_OWN_AGE = frozenset({"dcgm", "host", "nvml", "process"})
"""Sources whose evidence bears the time of the reading it was made from."""

_STREAMS = {"nvml": "gpu"}
"""Streams that go by another name than the evidence from them."""


def stream_of(source: str) -> str:
    """The name of the stream behind a provider or a source of evidence."""
    return _STREAMS.get(source, source)


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
        own_age = evidence.source in _OWN_AGE and evidence.id not in _LASTING
        outdated_at = snapshot.outdated_since(stream_of(evidence.source), evidence.at if own_age else None)
    if outdated_at is None:
        return evidence
    return dataclasses.replace(
        evidence,
        statement=f"as of {utc_text(outdated_at)[11:]}: {evidence.statement}",
        verdict=evidence.verdict if evidence.id in _LASTING else Verdict.UNKNOWN,
        at=min(evidence.at, outdated_at),
    )
