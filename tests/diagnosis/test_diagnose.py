"""What evidence confirms, refutes and leaves open, and in which order causes are named."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.diagnosis import SignatureWeights, diagnose
from infdiag_tui.knowledge.causes import SIGNATURE, WELL, Cause, Rule, causes, evidence_kinds, impacts
from infdiag_tui.model import Diagnosis, Evidence, Hypothesis, HypothesisStatus, Verdict

KINDS = sorted(evidence_kinds())
OOM_LINE: SignatureWeights = {"oom-line": (("gpu-memory-exhausted", 2.0, False, "an allocation failed"),)}


def evidence(id_: str, verdict: str | Verdict = "fail", subject: str = "", **more: object) -> Evidence:
    return Evidence(id_, f"{id_} of {subject or 'all'}", Verdict(verdict), "test", 100.0, subject=subject, **more)  # type: ignore[arg-type]


def of(diagnosis: Diagnosis, cause: str) -> Hypothesis:
    return next(one for one in diagnosis.hypotheses if one.cause == cause)


def satisfying(rule: Rule) -> list[Evidence]:
    """The least evidence that meets a rule."""
    found = [evidence(rule.evidence, "fail" if rule.verdict == "bad" else rule.verdict)]
    for condition in rule.with_:
        name = condition.split("|")[0]
        if name.endswith(WELL):
            found.append(evidence(name.removesuffix(WELL), "ok"))
            continue
        if name.startswith(SIGNATURE):
            found.append(evidence("logs.signature", subject="oom-line"))
            continue
        members = sorted(impacts().get(name, {name}) - set(rule.without))
        found += [evidence(members[0])] if members[0] != rule.evidence else []
    return found


@pytest.mark.parametrize("name", sorted(causes()))
def test_decisive_evidence_confirms_its_cause_and_no_innocent_one(name: str) -> None:
    for rule in causes()[name].supports:
        if not rule.decisive or rule.verdict == "warn":
            continue
        diagnosis = diagnose(satisfying(rule), causes(), signatures=OOM_LINE)
        assert of(diagnosis, name).status is HypothesisStatus.CONFIRMED, rule.evidence
        assert of(diagnosis, name).reason == rule.because
        roots = {one.cause for one in diagnosis.root_causes}
        assert name in roots or of(diagnosis, name).because_of in roots


def test_nothing_is_confirmed_because_nothing_was_looked_at() -> None:
    diagnosis = diagnose((), causes(), "slow-inference")
    assert diagnosis.root_cause is None
    assert {one.status for one in diagnosis.hypotheses} == {HypothesisStatus.UNTESTED}
    assert diagnosis.next_checks
    assert diagnosis.severity == ""
    assert diagnosis.onset_at is None


@given(st.sets(st.sampled_from(KINDS)))
def test_a_system_in_which_all_is_well_gets_no_cause(ids: set[str]) -> None:
    diagnosis = diagnose([evidence(one, "ok") for one in ids], causes())
    assert not diagnosis.root_causes
    assert {one.status for one in diagnosis.hypotheses} <= {HypothesisStatus.UNTESTED, HypothesisStatus.REFUTED}
    assert diagnosis.symptom == ""
    assert diagnosis.severity == ""


@given(st.dictionaries(st.sampled_from(KINDS), st.sampled_from(["ok", "warn", "fail", "unknown"])), st.randoms())
def test_the_order_in_which_evidence_comes_changes_nothing(found: dict[str, str], chance: random.Random) -> None:
    given_evidence = [evidence(id_, verdict, subject) for id_, verdict in found.items() for subject in ("a", "b")]
    shuffled = list(given_evidence)
    chance.shuffle(shuffled)
    assert diagnose(given_evidence, causes()) == diagnose(shuffled, causes())


@given(st.dictionaries(st.sampled_from(KINDS), st.sampled_from(["ok", "warn", "fail", "unknown"])))
def test_every_score_is_its_prior_and_its_arguments(found: dict[str, str]) -> None:
    diagnosis = diagnose([evidence(id_, verdict) for id_, verdict in found.items()], causes(), "oom")
    bare = {one.cause: one.score for one in diagnose((), causes(), "oom").hypotheses}
    for one in diagnosis.hypotheses:
        weights = sum(argument.weight for argument in (*one.evidence_for, *one.evidence_against))
        assert one.score == pytest.approx(bare[one.cause] + weights, abs=0.002)
        assert all(argument.weight > 0 for argument in one.evidence_for)
        assert all(argument.weight < 0 for argument in one.evidence_against)
        if one.status is HypothesisStatus.CONFIRMED:
            assert any(argument.decisive for argument in one.evidence_for)
            assert not any(argument.decisive for argument in one.evidence_against)


@given(st.dictionaries(st.sampled_from(KINDS), st.sampled_from(["warn", "fail"]), max_size=8))
def test_unknown_evidence_says_nothing(found: dict[str, str]) -> None:
    known = [evidence(id_, verdict) for id_, verdict in found.items()]
    unknown = [evidence(id_, "unknown", "elsewhere") for id_ in KINDS]
    before, after = (diagnose(one, causes()).hypotheses for one in (known, [*known, *unknown]))
    assert {(one.cause, one.score, one.status) for one in before} == {
        (one.cause, one.score, one.status) for one in after
    }


def test_contradictory_evidence_confirms_nothing_and_says_so() -> None:
    both = [
        evidence("memory.leak"),
        evidence("pods.memory_slope"),
        evidence("stages.preprocess", "fail", "metrics"),
        evidence("latency.p99"),
        evidence("profile.cpu_fallback", "fail"),
        evidence("gpu.idle_under_load", "ok"),
    ]
    diagnosis = diagnose(both, causes())
    assert of(diagnosis, "gpu-unused").status is not HypothesisStatus.CONFIRMED
    assert "contradictory" in of(diagnosis, "gpu-unused").reason
    assert causes()["gpu-unused"].title in diagnosis.conflict


def test_a_kill_that_a_leak_explains_is_the_leaks_effect() -> None:
    found = [
        evidence("pods.oom_killed", subject="ml/a"),
        evidence("pods.memory_slope", subject="ml/a", since=40.0),
        evidence("pods.restarts", "warn", "ml/a"),
    ]
    diagnosis = diagnose(found, causes())
    assert diagnosis.root_cause is not None
    assert diagnosis.root_cause.cause == "memory-leak"
    assert of(diagnosis, "memory-limit-exceeded").because_of == "memory-leak"
    assert (diagnosis.onset_at, diagnosis.onset_source) == (40.0, "pods.memory_slope")


def test_two_faults_are_both_named() -> None:
    found = [evidence(one) for one in ("latency.p99", "stages.preprocess", "version.replica_skew")]
    diagnosis = diagnose(found, causes())
    assert {one.cause for one in diagnosis.root_causes} == {"preprocessing-slow", "replica-version-skew"}


def test_what_the_evidence_excludes_is_refuted_with_the_reason() -> None:
    diagnosis = diagnose([evidence("gpu.throttled", "ok"), evidence("latency.p99")], causes(), "slow-inference")
    excluded = of(diagnosis, "gpu-throttled")
    assert excluded.status is HypothesisStatus.REFUTED
    assert excluded.reason == "no clock is held back for heat or power"
    assert diagnosis.hypotheses[-1].status is HypothesisStatus.REFUTED


def test_seven_cool_cards_do_not_excuse_the_eighth() -> None:
    cards = [evidence("gpu.throttled", "ok", f"GPU-{number}") for number in range(7)]
    diagnosis = diagnose([*cards, evidence("gpu.throttled", "fail", "GPU-7"), evidence("latency.p99")], causes())
    assert diagnosis.root_cause is not None
    assert diagnosis.root_cause.cause == "gpu-throttled"
    assert diagnosis.root_cause.evidence_for[0].evidence.subject == "GPU-7"


def test_on_equal_evidence_the_model_is_blamed_last() -> None:
    rule = Rule(evidence="latency.p99", weight=3.0, because="it is slow")
    twins = {
        component: Cause(title=component, component=component, supports=(rule,))
        for component in ("Model", "Infrastructure", "Data", "Pipeline")
    }
    order = [one.component for one in diagnose([evidence("latency.p99")], twins).hypotheses]
    assert order[0] == "Infrastructure"
    assert order[-1] == "Model"


def test_a_check_that_cannot_run_is_not_proposed() -> None:
    every = diagnose((), causes(), "accuracy-drop").next_checks
    able = diagnose((), causes(), "accuracy-drop", runnable=lambda name: name != every[0].check).next_checks
    assert [one.check for one in able] == [one.check for one in every[1:]]


def test_a_check_that_was_run_is_not_proposed_again() -> None:
    before = {one.check for one in diagnose((), causes(), "accuracy-drop").next_checks}
    assert "drift" in before
    done = [evidence("drift.features", "ok"), evidence("drift.columns", "ok")]
    assert "drift" not in {one.check for one in diagnose(done, causes(), "accuracy-drop").next_checks}


@pytest.mark.parametrize(
    ("ids", "symptom"),
    [
        (["latency.p50", "latency.p99"], "slow-inference"),
        (["labels.accuracy"], "accuracy-drop"),
        (["latency.jitter"], "latency-variance"),
        (["pods.oom_killed", "pods.restarts"], "oom"),
        (["latency.error_rate"], "intermittent-failures"),
        (["reproduce.wrong", "reproduce.failed"], "wrong-predictions"),
        (["reproduce.failed", "latency.error_rate"], "intermittent-failures"),
    ],
)
def test_the_symptom_is_inferred_when_none_was_given(ids: list[str], symptom: str) -> None:
    diagnosis = diagnose([evidence(one) for one in ids], causes())
    assert (diagnosis.symptom, diagnosis.symptom_inferred) == (symptom, True)
    assert diagnose([evidence(one) for one in ids], causes(), "oom").symptom == "oom"


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        ([evidence("latency.reachable")], "Critical"),
        ([evidence("latency.error_rate", value=0.2)], "Critical"),
        ([evidence("latency.error_rate", value=0.02)], "High"),
        ([evidence("pods.ready", "warn", value=1.0, sample_size=3)], "Critical"),
        ([evidence("pods.ready", "warn", value=2.0, sample_size=3)], "Medium"),
        (
            [
                evidence("latency.p99", threshold=100.0, threshold_source="configured objective"),
                evidence("latency.p50", low=150.0),
            ],
            "Critical",
        ),
        ([evidence("latency.p99", threshold=100.0, threshold_source="configured objective")], "High"),
        ([evidence("latency.jitter", "warn")], "Medium"),
    ],
)
def test_severity_follows_the_impact_and_names_its_rule(found: list[Evidence], severity: str) -> None:
    diagnosis = diagnose(found, causes())
    assert diagnosis.severity == severity
    assert diagnosis.severity_rule


def test_the_incident_began_when_the_series_changed_not_when_it_was_seen() -> None:
    found = [
        evidence("latency.p99", since=500.0),
        evidence("latency.change", since=420.0),
        evidence("stages.preprocess"),
    ]
    diagnosis = diagnose(found, causes())
    assert (diagnosis.onset_at, diagnosis.onset_source) == (420.0, "latency.change")


def test_a_trifling_drift_does_not_explain_a_loss_of_accuracy() -> None:
    lost = [evidence("labels.change"), evidence("labels.accuracy")]
    found = diagnose([*lost, evidence("drift.features", "warn")], causes())
    assert of(found, "concept-drift").status is HypothesisStatus.CONFIRMED
    found = diagnose([*lost, evidence("drift.features", "fail")], causes())
    assert of(found, "concept-drift").status is not HypothesisStatus.CONFIRMED
