"""What is going on, how bad it is and since when, from the evidence alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infdiag_tui.diagnosis.facts import BAD
from infdiag_tui.diagnosis.weighing import WARNING_SHARE
from infdiag_tui.knowledge.symptoms import SYMPTOMS
from infdiag_tui.model import Evidence, Hypothesis, Verdict

CRITICAL_ERROR_RATE = 0.10
"""From this share of failed requests on, an incident is critical."""
CRITICAL_READY_SHARE = 0.5
"""Below this share of ready replicas an incident is critical."""

Severity = tuple[str, str]
"""The severity, and the rule by which it is that."""


def inferred_symptom(evidence: Iterable[Evidence]) -> str:
    """The symptom that the evidence shows most plainly, empty when it shows none.

    Each symptom's signs are in symptoms.toml, with weights; a warning counts half.
    """
    bad: dict[str, float] = {}
    for one in evidence:
        if one.verdict in BAD:
            share = 1.0 if one.verdict is Verdict.FAIL else WARNING_SHARE
            bad[one.id] = max(bad.get(one.id, 0.0), share)
    scores = {
        name: sum(weight * bad.get(sign, 0.0) for sign, weight in symptom.signs.items())
        for name, symptom in SYMPTOMS.items()
    }
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0 else ""


def severity_of(evidence: Iterable[Evidence]) -> Severity:
    """The incident's severity by its impact, with the rule that gave it; two empty strings when nothing is wrong."""
    found = sorted((one for one in evidence if one.verdict in BAD), key=lambda one: (one.id, one.subject))
    objective_ms = next((one.threshold for one in found if _is_objective(one)), None)
    for one in found:
        rule = _critical(one, objective_ms)
        if rule:
            return "Critical", rule
    worst = next((one for one in found if one.verdict is Verdict.FAIL), None)
    if worst is not None:
        return "High", f"a finding fails: {worst.id}"
    return ("Medium", f"a finding warns: {found[0].id}") if found else ("", "")


def _is_objective(one: Evidence) -> bool:
    return one.id == "latency.p99" and one.verdict is Verdict.FAIL and one.threshold_source == "configured objective"


def _critical(one: Evidence, objective_ms: float | None) -> str:
    value = one.value if isinstance(one.value, float) else None
    if one.id == "latency.reachable":
        return "no request is answered"
    if one.id == "pods.none_ready":
        return "no replica is ready"
    if one.id in ("latency.error_rate", "server.error_rate") and value is not None and value >= CRITICAL_ERROR_RATE:
        return f"{value:.0%} of the requests fail, {CRITICAL_ERROR_RATE:.0%} or more"
    if one.id == "latency.p50" and objective_ms is not None and one.low is not None and one.low > objective_ms:
        return f"the median is above the p99 objective of {objective_ms:g} ms: half of all requests break the promise"
    if one.id == "pods.ready" and value is not None and one.sample_size and one.sample_size > 1:
        share = value / one.sample_size
        if share < CRITICAL_READY_SHARE:
            return f"{share:.0%} of the replicas are ready, less than {CRITICAL_READY_SHARE:.0%}"
    return ""


def onset_of(evidence: Sequence[Evidence], root_causes: Sequence[Hypothesis]) -> tuple[float | None, str]:
    """When the incident began and by what that is known; None and empty while nothing is wrong.

    The moment at which a series changed comes first; else what the root cause rests on; else the earliest finding. None
    of them is when the console was opened: each is when the thing itself began, as far as the sources tell.
    """
    changes = [one for one in evidence if one.id.endswith(".change") and one.verdict in BAD and one.since is not None]
    dated = [(one.since, one) for one in changes] or [
        (argument.evidence.since, argument.evidence) for cause in root_causes for argument in cause.evidence_for
    ]
    known = [(since, one) for since, one in dated if since is not None]
    known = known or [(one.since, one) for one in evidence if one.verdict in BAD and one.since is not None]
    if not known:
        return None, ""
    since, one = min(known, key=lambda item: (item[0], item[1].id))
    return since, one.id
