"""Puts all findings together, worst first."""

from __future__ import annotations

from infdiag_tui.config import Endpoint, Thresholds
from infdiag_tui.findings import gpu, latency, logs, machine, pods
from infdiag_tui.findings.currency import as_known
from infdiag_tui.model import Evidence, Snapshot, Verdict

_ORDER = {Verdict.FAIL: 0, Verdict.WARN: 1, Verdict.UNKNOWN: 2, Verdict.OK: 3}


def assess(snapshot: Snapshot, thresholds: Thresholds, endpoint: Endpoint | None) -> tuple[Evidence, ...]:
    """All evidence in a snapshot, findings first.

    A measurement below its threshold is evidence as well (verdict ok); what was not measured yields none. What a source
    said last that is silent now is evidence without a verdict.
    """
    found: list[Evidence] = [
        *latency.assess(snapshot, thresholds, endpoint),
        *pods.assess(snapshot, thresholds),
        *gpu.assess(snapshot, thresholds),
        *machine.assess(snapshot, thresholds),
        *logs.assess(snapshot, thresholds),
    ]
    found = [as_known(one, snapshot) for one in found]
    return tuple(sorted(found, key=lambda one: _ORDER[one.verdict]))
