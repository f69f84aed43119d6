"""Stage times of live traffic, judged as the check judges them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.findings.known import Known
from infdiag_tui.model import SeriesView, Verdict
from infdiag_tui.servers.stages import limits_by
from tests.findings.scenes import TARGET, found, of, one, replies, scene, series, verdict


def stage(name: str, ms: float, *, rate: float = 10.0, total_ms: float | None = None) -> dict[str, SeriesView]:
    told = {f"stages.{name}_ms": series([ms] * 10), "server.request_rate": series([rate] * 10)}
    return told if total_ms is None else {**told, "server.request_ms": series([total_ms] * 10)}


@pytest.mark.parametrize(
    ("name", "ms", "expected"),
    [
        ("preprocess", 9.0, Verdict.OK),
        ("preprocess", 20.0, Verdict.WARN),
        ("preprocess", 31.0, Verdict.FAIL),
        ("inference", 99.0, Verdict.OK),
        ("inference", 150.0, Verdict.WARN),
        ("inference", 301.0, Verdict.FAIL),
        ("postprocess", 11.0, Verdict.WARN),
        ("serialization", 4.0, Verdict.OK),
        ("serialization", 16.0, Verdict.FAIL),
    ],
)
def test_the_protocols_typical_times(name: str, ms: float, expected: Verdict) -> None:
    evidence = one(scene(stage(name, ms)), f"stages.{name}")
    assert evidence.verdict is expected
    assert evidence.value == pytest.approx(ms)
    assert "diagnostic protocol" in evidence.threshold_source


@pytest.mark.parametrize(
    ("ms", "total_ms", "expected"),
    [
        (10.0, 100.0, Verdict.OK),
        (60.0, 100.0, Verdict.WARN),
        (80.0, 100.0, Verdict.FAIL),
        (0.9, 1.0, Verdict.OK),
        (60.0, None, Verdict.UNKNOWN),
    ],
)
def test_the_queue_by_its_share_of_the_whole(ms: float, total_ms: float | None, expected: Verdict) -> None:
    assert verdict(scene(stage("queue", ms, total_ms=total_ms)), "stages.queue") is expected


def test_the_baseline_and_the_checks_own_settings_come_before_the_protocol() -> None:
    baseline = Known(stages=limits_by({}, {"inference": 5.0}))
    assert verdict(scene(stage("inference", 12.0)), "stages.inference", known=baseline) is Verdict.FAIL
    set_higher = Known(stages=limits_by({"preprocess_max_ms": 50}, {}))
    evidence = one(scene(stage("preprocess", 40.0)), "stages.preprocess", known=set_higher)
    assert (evidence.verdict, evidence.threshold_source) == (Verdict.OK, "setting preprocess_max_ms")


def test_two_requests_are_not_judged_and_none_say_nothing() -> None:
    assert verdict(scene(stage("preprocess", 500.0, rate=0.06)), "stages.preprocess") is Verdict.UNKNOWN
    assert of(scene(stage("preprocess", 500.0, rate=0.0)), "stages.preprocess") == []
    assert found(scene({"stages.preprocess_ms": series([500.0] * 5)})) == []


def test_busy_intervals_count_more_than_quiet_ones() -> None:
    told = {
        "stages.inference_ms": series([500.0, 10.0, 10.0, 10.0]),
        "server.request_rate": series([0.2, 20.0, 20.0, 20.0]),
    }
    assert one(scene(told), "stages.inference").value == pytest.approx(10, rel=0.2)


def network(client_ms: float, server_ms: float, rate: float) -> Verdict | None:
    told = {"server.request_ms": series([server_ms] * 20), "server.request_rate": series([rate] * 20)}
    return verdict(scene(told, replies([client_ms] * 60)), "stages.network")


def test_the_network_is_what_is_left_of_the_same_requests() -> None:
    assert network(22.0, 20.0, 1.0) is Verdict.OK
    assert network(30.0, 20.0, 1.0) is Verdict.WARN
    assert network(60.0, 20.0, 1.0) is Verdict.FAIL


def test_times_of_other_peoples_requests_are_a_hint_at_most() -> None:
    assert network(22.0, 20.0, 30.0) is Verdict.UNKNOWN
    assert network(30.0, 20.0, 30.0) is Verdict.UNKNOWN
    assert network(300.0, 20.0, 30.0) is Verdict.WARN
    told = {"server.request_ms": series([20.0] * 20), "server.request_rate": series([30.0] * 20)}
    assert one(scene(told, replies([300.0] * 60)), "stages.network").subject == TARGET


@settings(max_examples=40, deadline=None)
@given(st.floats(0.001, 9.9), st.floats(1.0, 1000.0))
def test_stages_within_their_limits_never_fire(ms: float, rate: float) -> None:
    for name in ("preprocess", "inference", "postprocess"):
        assert verdict(scene(stage(name, ms, rate=rate)), f"stages.{name}") is Verdict.OK
