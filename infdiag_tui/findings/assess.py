"""Puts all findings together, worst first."""

from __future__ import annotations

from collections.abc import Iterable

from infdiag_tui.config import Endpoint, Thresholds
from infdiag_tui.findings import (
    gpu,
    gpu_load,
    latency,
    latency_change,
    latency_onset,
    latency_pattern,
    latency_replies,
    logs,
    machine,
    pods,
    pods_usage,
    replicas,
    server,
    server_concurrency,
    server_load,
    signatures,
    stages,
)
from infdiag_tui.findings.currency import as_known
from infdiag_tui.findings.known import Known
from infdiag_tui.model import Evidence, Snapshot, Verdict

_ORDER = {Verdict.FAIL: 0, Verdict.WARN: 1, Verdict.UNKNOWN: 2, Verdict.OK: 3}


def assess(
    snapshot: Snapshot, thresholds: Thresholds, endpoint: Endpoint | None, known: Known | None = None
) -> tuple[Evidence, ...]:
    """All evidence in a snapshot, findings first.

    A measurement below its threshold is evidence as well (verdict ok); what was not measured yields none. What a source
    said last that is silent now is evidence without a verdict. `known` holds what else is compared with, by default the
    protocol's typical times alone, and what was computed before.
    """
    known = known or Known()
    known.memo.begin()
    found: list[Evidence] = [
        *latency.assess(snapshot, thresholds, endpoint, known),
        *latency_change.assess(snapshot, known),
        *latency_onset.assess(snapshot, known),
        *latency_pattern.assess(snapshot, known),
        *latency_replies.assess(snapshot, thresholds, known),
        *replicas.assess(snapshot, thresholds, known),
        *server.assess(snapshot, thresholds, endpoint),
        *server_load.assess(snapshot, known),
        *server_concurrency.assess(snapshot),
        *stages.assess(snapshot, known),
        *pods.assess(snapshot, thresholds),
        *pods_usage.assess(snapshot, known),
        *gpu.assess(snapshot, thresholds),
        *gpu_load.assess(snapshot),
        *machine.assess(snapshot, thresholds, known),
        *logs.assess(snapshot, thresholds),
        *signatures.assess(snapshot),
    ]
    found = [as_known(one, snapshot) for one in found]
    return worst_first(found)


def worst_first(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Failures, warnings, what is unclear and what is well, each in the order given."""
    return tuple(sorted(evidence, key=lambda one: _ORDER[one.verdict]))
