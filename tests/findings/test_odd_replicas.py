"""One replica unlike its equals, by the servers' metrics or by replies that name who answered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import ErrorKind, Reply, SeriesView, Verdict
from tests.findings.scenes import NOW, TARGET, found, of, one, scene, series, verdict


def replicas(*ms: float, rate: float = 5.0, failing: tuple[float, ...] = ()) -> dict[tuple[str, str], SeriesView]:
    told: dict[tuple[str, str], SeriesView] = {}
    for n, each in enumerate(ms):
        told["server.request_rate", f"ml/r{n}"] = series([rate] * 19)
        told["server.request_ms", f"ml/r{n}"] = series([each] * 19)
        if failing:
            told["server.error_share", f"ml/r{n}"] = series([failing[n]] * 19)
    return told


@pytest.mark.parametrize(
    ("ms", "expected"),
    [
        ((50.0, 52.0, 49.0, 160.0), Verdict.FAIL),
        ((50.0, 52.0, 49.0, 85.0), Verdict.WARN),
        ((50.0, 52.0, 49.0, 58.0), Verdict.OK),
        ((20.0, 45.0, 80.0, 150.0), Verdict.OK),
        ((1.0, 1.0, 1.0, 4.0), Verdict.OK),
    ],
)
def test_slower_than_its_equals(ms: tuple[float, ...], expected: Verdict) -> None:
    evidence = one(scene(replicas(*ms)), "replicas.slow")
    assert evidence.verdict is expected
    assert evidence.subject == ("ml/r3" if expected is not Verdict.OK else "")


@pytest.mark.parametrize(
    ("ms", "rate", "expected"),
    [
        ((50.0, 180.0), 5.0, Verdict.FAIL),
        ((50.0, 120.0), 5.0, Verdict.WARN),
        ((50.0, 80.0), 5.0, Verdict.OK),
        ((50.0, 180.0), 0.3, None),
    ],
)
def test_of_two_only_a_great_difference_over_many_requests_counts(
    ms: tuple[float, ...], rate: float, expected: Verdict | None
) -> None:
    assert verdict(scene(replicas(*ms, rate=rate)), "replicas.slow") is expected


def test_a_replica_that_was_slow_only_right_after_its_start_is_not_odd() -> None:
    told = replicas(20.0, 20.0, 20.0)
    told["server.request_ms", "ml/r2"] = series([3000.0, *[20.0] * 9])
    told["server.request_rate", "ml/r2"] = series([5.0] * 10)
    assert verdict(scene(told), "replicas.slow") is Verdict.OK
    told["server.request_ms", "ml/r2"] = series([3000.0, 20.0])
    told["server.request_rate", "ml/r2"] = series([5.0, 5.0])
    assert verdict(scene(told), "replicas.slow") is Verdict.OK


def test_failing_more_than_the_others() -> None:
    odd = one(scene(replicas(20.0, 20.0, 20.0, failing=(0.0, 0.0, 0.4))), "replicas.failing")
    assert (odd.verdict, odd.subject) == (Verdict.FAIL, "ml/r2")
    alike = scene(replicas(20.0, 20.0, 20.0, failing=(0.4, 0.4, 0.4)))
    assert verdict(alike, "replicas.failing") is Verdict.OK
    slightly = scene(replicas(20.0, 20.0, 20.0, failing=(0.0, 0.0, 0.009)))
    assert verdict(slightly, "replicas.failing") is Verdict.OK


def test_one_replica_has_no_equals_and_one_that_is_gone_is_not_compared() -> None:
    assert of(scene(replicas(500.0)), "replicas.slow") == []
    told = replicas(20.0, 20.0, 20.0, 400.0)
    told["server.request_rate", "ml/r3"] = series([5.0] * 19, end=NOW - 300)
    assert verdict(scene(told), "replicas.slow") is Verdict.OK


def test_replies_that_name_who_answered_do_as_well() -> None:
    made = []
    for n in range(90):
        name = f"r{n % 3}"
        made.append(
            Reply(TARGET, NOW - 90 + n, NOW - 90 + n, 200.0 if name == "r1" else 20.0, status=200, replica=name)
        )
    evidence = one(scene(replies=made), "replicas.slow")
    assert (evidence.verdict, evidence.subject, evidence.source) == (Verdict.FAIL, "r1", "latency")


def test_a_replica_whose_replies_fail() -> None:
    made = []
    for n in range(90):
        bad = n % 3 == 1 and n % 2 == 0
        error = ErrorKind.HTTP_STATUS if bad else None
        made.append(
            Reply(
                TARGET, NOW - 90 + n, NOW - 90 + n, 20.0, status=500 if bad else 200, error=error, replica=f"r{n % 3}"
            )
        )
    evidence = one(scene(replies=made), "replicas.failing")
    assert (evidence.verdict, evidence.subject) == (Verdict.FAIL, "r1")


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 1e4), st.integers(2, 8))
def test_equal_replicas_never_fire(ms: float, count: int) -> None:
    assert {one.verdict for one in of(scene(replicas(*[ms] * count)), "replicas.slow")} == {Verdict.OK}


def test_replicas_that_differ_by_chance_fire_seldom() -> None:
    rng = np.random.default_rng(19)
    fired = 0
    for _ in range(300):
        told = replicas(*(rng.lognormal(4, 0.15, 5)).tolist())
        fired += any(each.verdict is Verdict.FAIL for each in of(scene(told), "replicas.slow"))
    assert fired == 0


@settings(max_examples=30, deadline=None)
@given(st.floats(1.0, 20.0))
def test_the_unit_does_not_matter(factor: float) -> None:
    ms = (50.0, 52.0, 49.0, 120.0)
    told = scene(replicas(*(each * factor for each in ms)))
    assert one(told, "replicas.slow").value == pytest.approx(120 / 50, rel=0.01)
    assert found(told)
