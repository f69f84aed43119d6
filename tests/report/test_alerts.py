"""Alert rules: thresholds from what was measured, whatever text comes along, and Prometheus' own opinion of them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from checks import baseline_parts
from infdiag_tui.knowledge.causes import Alert, Cause, causes, evidence_kinds
from infdiag_tui.model import Diagnosis, Evidence, Hypothesis, HypothesisStatus, IncidentInfo, Snapshot, Verdict
from infdiag_tui.report.alerts import (
    Healthy,
    healthy_baseline,
    healthy_evidence,
    incident_rules,
    limit_of,
    read_baseline,
    rule_file,
)
from tests.support import need_tool

AT = 1_700_000_000.0
WITH_ALERT = {name: one for name, one in causes().items() if one.prevention and one.prevention.alert}


def alert_of(cause_id: str) -> Alert:
    prevention = causes()[cause_id].prevention
    assert prevention is not None
    assert prevention.alert is not None
    return prevention.alert


def healthy(evidence_id: str, value: float, **more: Any) -> dict[str, Healthy]:
    fields = {"low": value, "high": value, "unit": evidence_kinds()[evidence_id].unit, "source": "the probe", **more}
    return {evidence_id: Healthy(**fields)}


def rules(text: str) -> list[dict[str, Any]]:
    document = yaml.safe_load(text)
    assert set(document) == {"groups"}
    [group] = document["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    words = [need_tool("promtool", "prometheus"), "check", "rules", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def test_most_causes_have_an_alert_and_each_a_name_of_its_own() -> None:
    assert len(WITH_ALERT) >= 30
    assert len({alert_of(name).name for name in WITH_ALERT}) == len(WITH_ALERT)


def test_every_rule_has_what_a_rule_needs() -> None:
    found = rules(rule_file(causes(), {}, "fraud-scorer"))
    assert len(found) == len(WITH_ALERT)
    for rule, (name, cause) in zip(found, WITH_ALERT.items(), strict=True):
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["alert"] == alert_of(name).name
        assert "{threshold}" not in rule["expr"]
        assert f"{alert_of(name).default:.6g}" in rule["expr"]
        assert rule["for"] == alert_of(name).hold
        assert rule["labels"] == {
            "severity": alert_of(name).severity,
            "cause": name,
            "component": cause.component,
            "model": "fraud-scorer",
        }
        assert set(rule["annotations"]) == {"summary", "description", "first_check"}
        assert rule["annotations"]["summary"] == f"{cause.title} of fraud-scorer"


def test_a_cause_without_an_alert_makes_no_file() -> None:
    without = {name: one for name, one in causes().items() if name not in WITH_ALERT}
    assert without
    assert rule_file(without, {}) == ""
    assert rule_file({}, {}) == ""


def test_prometheus_accepts_all_rules_by_default(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(rule_file(causes(), {}, "fraud-scorer"))
    done = checked(path)
    assert done.returncode == 0, done.stderr
    assert f"{len(WITH_ALERT)} rules found" in done.stdout


def test_prometheus_accepts_all_rules_with_measured_thresholds_and_hostile_names(tmp_path: Path) -> None:
    measured = {
        name: Healthy(0.001, 3.25e9, kind.unit, 'the "probe" {{ query "up" }}: #', 7)
        for name, kind in evidence_kinds().items()
    }
    path = tmp_path / "rules.yml"
    path.write_text(rule_file(causes(), measured, "x\"': {{ .Labels }} {{{end}}\n- y: &a *b \x1b[31m \u2028 # é 模型"))
    done = checked(path)
    assert done.returncode == 0, done.stderr


def test_promtool_would_notice_a_broken_rule(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(rule_file(causes(), {}).replace("sum by", "sum bye", 1))
    assert checked(path).returncode != 0


def test_the_threshold_is_the_healthy_value_times_the_factor_in_the_alerts_unit() -> None:
    limit = limit_of(alert_of("preprocessing-slow"), healthy("stages.preprocess", 8.0, sample_size=412))
    assert limit.value == pytest.approx(0.016)
    assert limit.text == "0.016 s"
    assert limit.words == "2 times the healthy 8 ms of stages.preprocess (the probe, n=412)"
    [rule] = rules(
        rule_file({"preprocessing-slow": causes()["preprocessing-slow"]}, healthy("stages.preprocess", 8.0), "m")
    )
    assert rule["expr"].endswith("> 0.016")
    assert "the threshold is 0.016 s (2 times the healthy 8 ms" in rule["annotations"]["description"]


def test_without_a_healthy_value_the_default_stands_and_says_so() -> None:
    limit = limit_of(alert_of("preprocessing-slow"), healthy("stages.inference", 8.0))
    assert limit.value == alert_of("preprocessing-slow").default
    assert limit.words.startswith("a default, for no healthy value of stages.preprocess")


def test_what_does_not_depend_on_a_baseline_is_called_fixed() -> None:
    limit = limit_of(alert_of("crash-loop"), {})
    assert (limit.value, limit.text) == (0, "0")
    assert limit.words.startswith("fixed")


@pytest.mark.parametrize(("usual", "threshold"), [(0.0, 0.005), (0.01, 0.03), (0.5, 0.2)])
def test_a_baseline_of_nearly_nothing_makes_no_alarm_that_never_rests(usual: float, threshold: float) -> None:
    limit = limit_of(alert_of("race-condition"), healthy("latency.error_rate", usual))
    assert limit.value == pytest.approx(threshold)
    assert ("sensible" in limit.words) == (threshold != 0.03)


def test_an_alert_that_fires_below_takes_the_lowest_of_the_healthy_values() -> None:
    measured = healthy("labels.accuracy", 0.0, low=0.9, high=0.97)
    assert limit_of(alert_of("concept-drift"), measured).value == pytest.approx(0.95 * 0.9)
    assert alert_of("concept-drift").below
    measured = healthy("server.gc_pause", 0.0, low=0.01, high=0.03)
    assert limit_of(alert_of("gc-pauses"), measured).value == pytest.approx(3 * 0.03)
    assert not alert_of("gc-pauses").below


def test_a_value_in_a_unit_that_cannot_be_turned_gives_the_default() -> None:
    limit = limit_of(alert_of("preprocessing-slow"), healthy("stages.preprocess", 8.0, unit="bytes"))
    assert limit.value == alert_of("preprocessing-slow").default
    assert "not measured in s" in limit.words


def evidence(value: float | str | bool | None, verdict: Verdict = Verdict.OK, subject: str = "") -> Evidence:
    return Evidence("pods.memory_share", "x", verdict, "pods", AT, value, "share", subject, sample_size=3)


def test_only_numbers_that_were_well_are_healthy() -> None:
    found = healthy_evidence(
        [
            evidence(0.5, subject="a"),
            evidence(0.3, subject="b"),
            evidence(0.99, Verdict.FAIL, subject="c"),
            evidence(0.1, Verdict.UNKNOWN, subject="d"),
            evidence(True, subject="e"),
            evidence("much", subject="f"),
            evidence(None, subject="g"),
            evidence(float("nan"), subject="h"),
        ]
    )
    assert found == {"pods.memory_share": Healthy(0.3, 0.5, "share", "pods, 2023-11-14 22:13:20Z", 3)}


def test_a_saved_baseline_gives_its_figures(tmp_path: Path) -> None:
    content = {
        "saved_at": AT,
        "latency": {"a": {"p50_ms": 12.0, "p99_ms": None, "error_rate": 0.0, "sample_size": 500}},
        "stages": {"preprocess": {"ms": 4.0, "sample_size": 20}, "unheard-of": {"ms": 1.0}},
        "checks": {
            "infrastructure": {
                "result": {
                    "evidence": [
                        {"id": "infrastructure.cpu_throttled", "value": 0.02, "sample_size": None},
                        {"id": "moon.phase", "value": 1},
                    ]
                }
            }
        },
    }
    path = tmp_path / "m.json"
    baseline_parts.write(path, content)
    found = healthy_baseline(json.loads(path.read_text()))
    source = "the baseline of 2023-11-14 22:13:20Z"
    assert found == {
        "latency.p50": Healthy(12.0, 12.0, "ms", source, 500),
        "latency.error_rate": Healthy(0.0, 0.0, "share", source, 500),
        "stages.preprocess": Healthy(4.0, 4.0, "ms", source, 20),
        "infrastructure.cpu_throttled": Healthy(0.02, 0.02, "share", source, None),
    }


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"saved_at": 1e300, "latency": [], "stages": 3, "checks": None},
        {"latency": {"a": 1}, "stages": {"queue": None}, "checks": {"x": {"result": {"evidence": {"id": 1}}}}},
        {"predictions": {"evidence": [1, {"id": None, "value": "x"}, {"id": "latency.p50", "value": True}]}},
    ],
)
def test_a_baseline_that_is_not_as_it_should_be_gives_nothing(content: dict[str, Any]) -> None:
    assert healthy_baseline(content) == {}


def incident(*evidence: Evidence, root: str = "") -> Snapshot:
    found = Hypothesis(root, root, "Infrastructure", HypothesisStatus.CONFIRMED, 3.0, "x")
    diagnosis = Diagnosis(hypotheses=(found,), root_causes=(found,) if root else ())
    return Snapshot(AT, 1, IncidentInfo("scorer", "", AT), evidence=evidence, diagnosis=diagnosis)


def test_an_incidents_rules_are_those_of_its_root_cause_with_thresholds_from_the_replicas_that_are_well() -> None:
    shown = (evidence(0.99, Verdict.FAIL, "ml/a"), evidence(0.6, subject="ml/b"))
    [rule] = rules(incident_rules(incident(*shown, root="memory-limit-exceeded"), causes(), {}))
    assert rule["labels"]["cause"] == "memory-limit-exceeded"
    assert rule["labels"]["model"] == "scorer"
    assert rule["expr"].endswith("> 0.78")
    assert "healthy 0.6 share of pods.memory_share (pods, 2023" in rule["annotations"]["description"]
    assert incident_rules(incident(*shown), causes(), {}) == "", "nothing is confirmed"


def test_a_saved_baseline_goes_before_what_the_incident_shows(tmp_path: Path) -> None:
    kept = {"checks": {"memory": {"result": {"evidence": [{"id": "pods.memory_share", "value": 0.65}]}}}}
    path = tmp_path / "m.json"
    baseline_parts.write(path, kept)
    shown = incident(evidence(0.6, subject="ml/b"), root="memory-limit-exceeded")
    [rule] = rules(incident_rules(shown, causes(), read_baseline(path)))
    assert rule["expr"].endswith("> 0.845")


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000, "\xff"])
def test_a_baseline_that_cannot_be_read_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    assert read_baseline(path) == {}
    path.write_text(text, encoding="latin-1")
    assert read_baseline(path) == {}


@settings(deadline=None)  # a loaded machine is no failure
@given(st.text(), st.text(), st.text())
def test_no_text_from_elsewhere_breaks_out_of_its_place(model: str, source: str, title: str) -> None:
    cause = causes()["preprocessing-slow"].model_copy(update={"title": title})
    measured = {"stages.preprocess": Healthy(8.0, 8.0, "ms", source, 3)}
    [rule] = rules(rule_file({"preprocessing-slow": cause}, measured, model))
    assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
    assert set(rule["labels"]) <= {"severity", "cause", "component", "model"}
    for text in (*rule["labels"].values(), *rule["annotations"].values()):
        # What remains of Prometheus' templates is the one that we wrote.
        assert text.replace("{{ $value | humanizeDuration }}", "").count("{{") == 0
    assert isinstance(cause, Cause)
