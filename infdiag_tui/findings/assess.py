"""Puts all findings together, worst first, and derives the incident's severity from them."""

from __future__ import annotations

from collections.abc import Iterable

from infdiag_tui.config import Endpoint, Thresholds
from infdiag_tui.findings import gpu, latency, logs, machine, pods
from infdiag_tui.findings.currency import as_known
from infdiag_tui.model import Evidence, Snapshot, Verdict

_ORDER = {Verdict.FAIL: 0, Verdict.WARN: 1, Verdict.UNKNOWN: 2, Verdict.OK: 3}

CRITICAL_ERROR_RATE = 0.10
"""From this share of failed requests on, an incident is critical."""


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


def severity_of(evidence: Iterable[Evidence]) -> str:
    """The incident's severity by its impact.

    Critical: the endpoint cannot be reached, a tenth of the requests fail, or no replica is ready. High: any other
    finding that fails. Medium: a warning. Empty: nothing wrong was seen.
    """
    found = [one for one in evidence if one.verdict in (Verdict.WARN, Verdict.FAIL)]
    for one in found:
        if one.id in ("latency.reachable", "pods.none_ready"):
            return "Critical"
        if one.id == "latency.error_rate" and isinstance(one.value, float) and one.value >= CRITICAL_ERROR_RATE:
            return "Critical"
    if any(one.verdict is Verdict.FAIL for one in found):
        return "High"
    return "Medium" if found else ""
