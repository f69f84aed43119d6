"""Every reference in the knowledge leads somewhere, and every cause of the vocabulary is there."""

from __future__ import annotations

from checks.registry import BUILT_IN
from infdiag_tui.knowledge import SYMPTOMS
from infdiag_tui.knowledge.causes import Cause, Rule, causes, evidence_kinds, impacts, problems

DESIGN = {
    "Infrastructure": """gpu-throttled gpu-fault gpu-saturated gpu-unused gpu-memory-exhausted cpu-throttled
        memory-limit-exceeded memory-leak crash-loop unschedulable evicted probe-failure bad-replica resource-contention
        server-unreachable cold-start gc-pauses queueing connection-exhaustion network-slow dependency-failure
        race-condition""",
    "Model": """model-compute-bound no-batching batch-too-large wrong-model-version replica-version-skew
        model-file-mismatch stale-model nan-outputs""",
    "Data": "data-drift concept-drift label-drift upstream-data-change",
    "Pipeline": "preprocessing-mismatch preprocessing-slow postprocessing-slow serialization-slow",
}


def test_every_cause_of_the_vocabulary_is_known_with_its_component() -> None:
    wanted = {cause: component for component, ids in DESIGN.items() for cause in ids.split()}
    assert {name: cause.component for name, cause in causes().items()} == wanted


def test_every_reference_leads_somewhere() -> None:
    assert problems(causes(), SYMPTOMS, BUILT_IN) == []


def test_a_reference_that_leads_nowhere_is_told() -> None:
    rule = Rule.model_validate({"evidence": "moon.phase", "weight": 1, "because": "tides", "with": ["sun|slow"]})
    broken = Cause(
        title="x",
        component="Data",
        symptoms={"ennui": 1.0},
        effects=("a", "b"),
        first_check="horoscope",
        supports=(rule,),
    )
    said = "\n".join(problems({"a": broken}, SYMPTOMS, BUILT_IN))
    for name in ("moon.phase", "sun", "ennui", "'b'", "horoscope", "effect of itself"):
        assert name in said


def test_every_cause_can_be_both_supported_and_refuted_and_says_why() -> None:
    for name, cause in causes().items():
        assert cause.supports, name
        assert cause.refutes, name
        assert all(rule.because for rule in (*cause.supports, *cause.refutes)), name
        assert any(rule.decisive for rule in cause.supports), name


def test_every_symptom_has_causes_and_signs() -> None:
    kinds = evidence_kinds()
    for name, symptom in SYMPTOMS.items():
        assert any(name in cause.symptoms for cause in causes().values()), name
        assert symptom.signs, name
        assert set(symptom.signs) <= set(kinds), name


def test_every_kind_of_evidence_is_measured_by_somebody() -> None:
    for name, kind in evidence_kinds().items():
        assert kind.title, name
        assert kind.streams or kind.checks, name
        assert set(kind.checks) <= set(BUILT_IN), name


def test_every_impact_has_evidence() -> None:
    assert all(impacts().values())
