"""Evidence in, ranked hypotheses out: pure functions of what was observed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from infdiag_tui.diagnosis.facts import Facts, SignatureWeights
from infdiag_tui.diagnosis.next_check import next_checks
from infdiag_tui.diagnosis.symptom import inferred_symptom, onset_of, severity_of
from infdiag_tui.diagnosis.weighing import weigh
from infdiag_tui.knowledge.causes import Cause
from infdiag_tui.model import Diagnosis, Evidence, HypothesisStatus

__all__ = ["SignatureWeights", "diagnose"]


def diagnose(
    evidence: Sequence[Evidence],
    causes: Mapping[str, Cause],
    symptom: str = "",
    signatures: SignatureWeights | None = None,
    runnable: Callable[[str], bool] = lambda _: True,
) -> Diagnosis:
    """What the evidence says about the root cause.

    Args:
        evidence: all there is, the newest of each id and subject.
        causes: the knowledge, by id.
        symptom: what the operator named; empty: it is inferred.
        signatures: what each log signature speaks for.
        runnable: whether a check has the inputs it needs; only such are proposed.
    """
    facts = Facts(evidence, signatures or {})
    shown = symptom or inferred_symptom(evidence)
    hypotheses = weigh(facts, causes, shown)
    confirmed = [one for one in hypotheses if one.status is HypothesisStatus.CONFIRMED]
    root_causes = tuple(one for one in confirmed if not one.because_of)
    severity, rule = severity_of(evidence)
    onset_at, onset_source = onset_of(evidence, root_causes)
    conflicts = [f"{one.title}: {one.reason}" for one in hypotheses if one.reason.startswith("contradictory")]
    return Diagnosis(
        hypotheses=hypotheses,
        root_causes=root_causes,
        symptom=shown,
        symptom_inferred=not symptom and bool(shown),
        severity=severity,
        severity_rule=rule,
        onset_at=onset_at,
        onset_source=onset_source,
        next_checks=next_checks(hypotheses, facts, causes, runnable),
        conflict="; ".join(conflicts),
    )
