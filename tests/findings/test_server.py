"""Findings from the server's own metrics: either side of each threshold, and silence without figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.config import Endpoint
from infdiag_tui.model import SeriesView, Verdict
from tests.findings.scenes import BAD, NOW, found, of, one, scene, series, verdict


def shares(metric: str, share: float, *, rate: float = 20.0, readings: int = 13) -> dict[str, SeriesView]:
    return {metric: series([share] * readings), "server.request_rate": series([rate] * readings)}


@pytest.mark.parametrize(
    ("id_", "metric"),
    [("server.error_rate", "server.error_share"), ("server.rejected", "server.rejected_share")],
)
def test_shares_of_requests_against_the_allowed_one(id_: str, metric: str) -> None:
    assert verdict(scene(shares(metric, 0.0)), id_) is Verdict.OK
    assert verdict(scene(shares(metric, 0.012)), id_) is Verdict.WARN, "its interval reaches below the limit"
    evidence = one(scene(shares(metric, 0.05)), id_)
    assert (evidence.verdict, evidence.sample_size) == (Verdict.FAIL, 1300)
    assert verdict(scene(shares(metric, 1.0, rate=0.02)), id_) is Verdict.UNKNOWN
    assert of(scene(), id_) == []


def test_figures_of_long_ago_say_nothing() -> None:
    old = {
        name: SeriesView(tuple(t - 600 for t in view.times), view.values)
        for name, view in shares("server.error_share", 0.5).items()
    }
    assert found(scene(old)) == []


def gc(share: float, pause_ms: float | None, entity: str = "") -> dict[tuple[str, str], SeriesView]:
    told = {("server.gc_share", entity): series([share] * 12)}
    return told if pause_ms is None else {**told, ("server.gc_pause_ms", entity): series([pause_ms] * 12)}


@pytest.mark.parametrize(
    ("share", "pause_ms", "expected"),
    [
        (0.002, 5.0, Verdict.OK),
        (0.02, 500.0, Verdict.UNKNOWN),
        (0.04, 2.0, Verdict.UNKNOWN),
        (0.04, 50.0, Verdict.WARN),
        (0.04, 300.0, Verdict.FAIL),
        (0.10, None, Verdict.FAIL),
        (0.04, None, Verdict.UNKNOWN),
    ],
)
def test_pauses(share: float, pause_ms: float | None, expected: Verdict) -> None:
    assert verdict(scene(gc(share, pause_ms)), "server.gc_pause") is expected


def test_one_replica_that_pauses_is_named_and_the_others_do_not_hide_it() -> None:
    told = {**gc(0.10, 400.0), **gc(0.001, 1.0, "ml/a"), **gc(0.10, 400.0, "ml/b")}
    evidence = one(scene(told), "server.gc_pause")
    assert (evidence.subject, evidence.verdict) == ("ml/b", Verdict.FAIL)
    assert evidence.statement.startswith("b is paused")


def test_two_readings_are_too_few_for_pauses() -> None:
    assert of(scene({"server.gc_share": series([0.5, 0.5])}), "server.gc_pause") == []


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        ([1.0, 1.0, 1.0], Verdict.FAIL),
        ([0.95, 0.92, 1.0], Verdict.WARN),
        ([0.2, 1.0, 1.0], Verdict.UNKNOWN),
        ([0.3, 0.4, 0.5], Verdict.OK),
    ],
)
def test_connections(newest: list[float], expected: Verdict) -> None:
    assert verdict(scene({"server.connections_share": series(newest)}), "server.connections") is expected


def test_connections_are_judged_by_three_readings() -> None:
    assert of(scene({"server.connections_share": series([1.0, 1.0])}), "server.connections") == []


def calls(ms: float, per_s: float, failing: float = 0.0, request_ms: float = 100.0) -> dict[str, SeriesView]:
    return {
        "server.dependency_ms": series([ms] * 13),
        "server.dependency_rate": series([per_s] * 13),
        "server.dependency_error_share": series([failing] * 13),
        "server.request_ms": series([request_ms] * 13),
        "server.request_rate": series([10.0] * 13),
    }


def test_calls_of_the_server_that_fail() -> None:
    id_ = "server.dependency_errors"
    assert verdict(scene(calls(5, 20)), id_) is Verdict.OK
    assert verdict(scene(calls(5, 20, failing=0.2)), id_) is Verdict.FAIL
    assert of(scene(shares("server.error_share", 0.0)), id_) == []


@pytest.mark.parametrize(
    ("ms", "per_s", "request_ms", "expected"),
    [
        (5.0, 10.0, 100.0, Verdict.OK),
        (30.0, 10.0, 100.0, Verdict.UNKNOWN),
        (60.0, 10.0, 100.0, Verdict.WARN),
        (30.0, 20.0, 100.0, Verdict.WARN),
        (80.0, 10.0, 100.0, Verdict.FAIL),
        (4.0, 10.0, 5.0, Verdict.OK),
    ],
)
def test_calls_of_the_server_that_take_most_of_a_request(
    ms: float, per_s: float, request_ms: float, expected: Verdict
) -> None:
    assert verdict(scene(calls(ms, per_s, request_ms=request_ms)), "server.dependency_ms") is expected


def test_cache_outputs_and_loading() -> None:
    assert verdict(scene({"server.kv_cache_share": series([0.5, 0.99, 0.99, 0.99])}), "server.kv_cache") is Verdict.WARN
    assert verdict(scene({"server.kv_cache_share": series([0.99, 0.5])}), "server.kv_cache") is Verdict.OK
    assert verdict(scene({"server.nan_outputs": series([0, 0, 0])}), "server.nan_outputs") is Verdict.OK
    assert verdict(scene({"server.nan_outputs": series([0, 2, 0])}), "server.nan_outputs") is Verdict.FAIL
    patient = Endpoint(url="http://m/p", timeout_s=60)
    loading = scene({"server.model_load_s": series([20.0])})
    assert verdict(loading, "server.model_load") is Verdict.WARN
    assert verdict(loading, "server.model_load", endpoint=patient) is Verdict.OK


# --- load ---


def queue(depths: Sequence[float], rate: float = 10.0, request_ms: float = 100.0) -> dict[str, SeriesView]:
    return {
        "server.queue_depth": series(depths),
        "server.request_rate": series([rate] * len(depths)),
        "server.request_ms": series([request_ms] * len(depths)),
    }


@pytest.mark.parametrize(
    ("depth", "rate", "expected"),
    [(0.0, 10.0, Verdict.OK), (1.0, 50.0, Verdict.OK), (1.0, 15.0, Verdict.WARN), (20.0, 10.0, Verdict.FAIL)],
)
def test_waiting_requests_by_how_long_they_wait(depth: float, rate: float, expected: Verdict) -> None:
    assert verdict(scene(queue([depth] * 13, rate)), "server.queue_depth") is expected


def test_a_queue_before_a_server_that_serves_nobody_is_a_failure() -> None:
    assert verdict(scene(queue([5.0] * 13, 0.0)), "server.queue_depth") is Verdict.FAIL
    assert verdict(scene({"server.queue_depth": series([5.0] * 13)}), "server.queue_depth") is Verdict.UNKNOWN


def test_a_queue_that_grows() -> None:
    id_ = "server.queue_growth"
    growing = one(scene(queue([n * 3.0 for n in range(30)])), id_)
    assert growing.verdict is Verdict.FAIL
    assert growing.value == pytest.approx(36, rel=0.01)
    assert verdict(scene(queue([3.0, 8.0] * 15)), id_) is Verdict.OK
    assert verdict(scene(queue(list(range(90, 60, -1)))), id_) is Verdict.OK
    assert of(scene(queue([0, 10, 20, 30])), id_) == []


def test_a_queue_of_noise_grows_no_more_often_than_claimed() -> None:
    rng = np.random.default_rng(13)
    fired = sum(
        verdict(scene(queue(rng.poisson(8, 30).astype(float).tolist())), "server.queue_growth") in BAD
        for _ in range(300)
    )
    assert fired <= 3


@pytest.mark.parametrize(
    ("size", "waiting", "expected"),
    [
        (1.0, [6.0] * 13, Verdict.WARN),
        (1.0, [0.0] * 13, Verdict.OK),
        (6.0, [6.0] * 13, Verdict.OK),
        (1.0, [], Verdict.UNKNOWN),
    ],
)
def test_requests_taken_one_by_one_though_several_wait(size: float, waiting: list[float], expected: Verdict) -> None:
    told = {"server.batch_size": series([size] * 13), "server.queue_depth": series(waiting)}
    assert verdict(scene(told), "server.batch_size") is expected


def test_batches_that_grew_are_dated() -> None:
    rng = np.random.default_rng(2)
    sizes = [*rng.normal(4, 0.2, 40), *rng.normal(16, 1, 12)]
    evidence = one(scene({"server.batch_size": series(sizes)}), "server.batch_growth")
    assert evidence.verdict is Verdict.FAIL
    assert evidence.since == pytest.approx(NOW - 55, abs=1)
    assert verdict(scene({"server.batch_size": series([4.0] * 40)}), "server.batch_growth") is Verdict.OK
    assert of(scene({"server.batch_size": series([4.0] * 6)}), "server.batch_growth") == []


def test_traffic_that_rose_is_never_more_than_a_warning() -> None:
    rates = [10.0, 11.0, 9.0, 10.5] * 6 + [40.0, 42.0, 39.0, 41.0] * 3
    evidence = one(scene({"server.request_rate": series(rates)}), "server.traffic_change")
    assert evidence.verdict is Verdict.WARN
    assert evidence.value == pytest.approx(4, rel=0.1)
    quiet = [0.0, 0.1] * 10 + [0.3, 0.4] * 4
    assert verdict(scene({"server.request_rate": series(quiet)}), "server.traffic_change") is Verdict.OK


def test_traffic_at_random_moments_rises_no_more_often_than_claimed() -> None:
    rng = np.random.default_rng(17)
    fired = sum(
        verdict(scene({"server.request_rate": series((rng.poisson(40, 60) / 5).tolist())}), "server.traffic_change")
        in BAD
        for _ in range(300)
    )
    assert fired <= 1


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 500.0), st.integers(12, 60))
def test_constant_load_never_fires(value: float, readings: int) -> None:
    told = {
        "server.request_rate": series([value] * readings),
        "server.batch_size": series([value] * readings),
        "server.queue_depth": series([0.0] * readings),
        "server.request_ms": series([20.0] * readings),
        "server.error_share": series([0.0] * readings),
    }
    assert [each.id for each in found(scene(told)) if each.verdict in BAD] == []


def test_a_queue_that_settled_at_a_higher_level_grows_no_more() -> None:
    rng = np.random.default_rng(5)
    told = 0
    for _ in range(100):
        depth = [*rng.poisson(0.3, 10), *rng.poisson(9, 22)]
        told += verdict(scene(queue([float(one) for one in depth])), "server.queue_growth") in BAD
    assert told <= 5
