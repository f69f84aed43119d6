"""What single replies say: where the time goes, how connections fare, numbers, versions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import ErrorKind, Phases, Reply, Verdict
from tests.findings.scenes import NOW, TARGET, failed, in_order, of, one, replies, scene, verdict


def served(count: int, *, end: float = NOW, **fields: Any) -> list[Reply]:
    return replies([20.0] * count, end=end, **fields)


@pytest.mark.parametrize("kind", [ErrorKind.CONNECT, ErrorKind.DISCONNECT, ErrorKind.TLS])
def test_connections_that_fail(kind: ErrorKind) -> None:
    id_ = "latency.connection_errors"
    assert verdict(scene(replies=served(60)), id_) is Verdict.OK
    several = in_order(served(57, end=NOW - 0.5), failed(3, kind, error_text="refused"))
    evidence = one(scene(replies=several), id_)
    assert evidence.verdict is Verdict.FAIL
    assert evidence.statement.endswith("the last: refused")
    assert verdict(scene(replies=in_order(served(50, end=NOW - 0.5), failed(1, kind))), id_) is Verdict.WARN
    assert verdict(scene(replies=served(5)), id_) is Verdict.UNKNOWN


def test_other_failures_are_no_matter_of_connections() -> None:
    mixed = in_order(served(40, end=NOW - 0.5), failed(10, ErrorKind.HTTP_STATUS, status=500))
    assert verdict(scene(replies=mixed), "latency.connection_errors") is Verdict.OK
    assert verdict(scene(replies=mixed), "latency.rejected") is Verdict.OK


@pytest.mark.parametrize("status", [429, 503])
def test_requests_that_are_turned_away(status: int) -> None:
    mixed = in_order(served(40, end=NOW - 0.5), failed(10, ErrorKind.HTTP_STATUS, status=status))
    evidence = one(scene(replies=mixed), "latency.rejected")
    assert evidence.verdict is Verdict.FAIL
    assert evidence.value == pytest.approx(0.2)


def test_what_was_not_sent_did_not_fail() -> None:
    mixed = in_order(served(30, end=NOW - 0.5), failed(30, ErrorKind.OVERRUN))
    assert one(scene(replies=mixed), "latency.connection_errors").sample_size == 30


def test_a_minute_ago_is_not_now() -> None:
    old = in_order(failed(20, ErrorKind.CONNECT, end=NOW - 70), served(60))
    assert verdict(scene(replies=old), "latency.connection_errors") is Verdict.OK


def test_numbers_that_are_missing() -> None:
    id_ = "latency.nan_replies"
    assert verdict(scene(replies=served(30, has_nan=False)), id_) is Verdict.OK
    assert verdict(scene(replies=served(3, has_nan=False)), id_) is Verdict.UNKNOWN
    assert of(scene(replies=served(30)), id_) == [], "replies without numbers tell nothing"
    once = in_order(served(30, end=NOW - 0.5, has_nan=False), served(1, has_nan=True))
    assert verdict(scene(replies=once), id_) is Verdict.WARN
    twice = in_order(served(30, end=NOW - 0.5, has_nan=False), served(2, has_nan=True))
    assert verdict(scene(replies=twice), id_) is Verdict.FAIL
    refused = failed(2, ErrorKind.BAD_REPLY, has_nan=True)
    assert verdict(scene(replies=in_order(served(30, end=NOW - 3, has_nan=False), refused)), id_) is Verdict.FAIL


def versions(*names: str) -> list[Reply]:
    return [
        Reply(TARGET, at := NOW - len(names) + n, at, 20.0, status=200, model_version=name)
        for n, name in enumerate(names)
    ]


def test_versions_side_by_side_are_skew_and_one_after_the_other_a_deployment() -> None:
    id_ = "latency.version_skew"
    assert verdict(scene(replies=versions(*["1"] * 20)), id_) is Verdict.OK
    assert verdict(scene(replies=versions(*["1"] * 10, *["2"] * 10)), id_) is Verdict.UNKNOWN
    mixed = one(scene(replies=versions(*["1", "2", "1"] * 6)), id_)
    assert (mixed.verdict, mixed.value) == (Verdict.FAIL, "1, 2")
    assert of(scene(replies=versions("1", "2", "1")), id_) == []
    assert of(scene(replies=served(50)), id_) == [], "replies that name no version tell nothing"


def way(total_ms: float, **phases: float) -> list[Reply]:
    return replies([total_ms] * 40, phases=Phases(**phases))


def test_where_the_time_goes() -> None:
    id_ = "latency.network_share"
    local = way(50, connect_ms=0.2, send_ms=0.1, wait_ms=49, receive_ms=0.2)
    assert verdict(scene(replies=local), id_) is Verdict.OK
    far = way(100, connect_ms=30, tls_ms=30, wait_ms=35, receive_ms=5)
    evidence = one(scene(replies=far), id_)
    assert evidence.verdict is Verdict.FAIL
    assert evidence.value == pytest.approx(0.95)
    half = way(100, connect_ms=18, wait_ms=60, receive_ms=4)
    assert verdict(scene(replies=half), id_) is Verdict.WARN
    assert of(scene(replies=local[:10]), id_) == []


def test_a_fast_reply_that_is_mostly_network_is_no_slow_network() -> None:
    quick = way(1.0, connect_ms=0.4, wait_ms=0.5, receive_ms=0.1)
    assert verdict(scene(replies=quick), "latency.network_share") is Verdict.OK


def test_the_round_trip_of_reused_connections_is_that_of_the_connects_that_were_seen() -> None:
    def opened(count: int) -> list[Reply]:
        return replies([120.0] * count, end=NOW - 41, phases=Phases(connect_ms=50.0, wait_ms=60.0, receive_ms=1.0))

    reused = way(70, wait_ms=60, receive_ms=10)
    evidence = one(scene(replies=in_order(opened(3), reused)), "latency.network_share")
    assert evidence.verdict is Verdict.FAIL
    assert evidence.value == pytest.approx(60 / 70, rel=0.02)
    alone = one(scene(replies=in_order(opened(1), reused)), "latency.network_share")
    assert alone.verdict is Verdict.OK, "a single connect may have met a busy machine"


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 5000.0), st.integers(20, 80))
def test_constant_healthy_replies_never_fire(ms: float, count: int) -> None:
    steady = replies([ms] * count, phases=Phases(wait_ms=ms), has_nan=False, model_version="1")
    for id_ in ("connection_errors", "rejected", "nan_replies", "version_skew", "network_share"):
        assert verdict(scene(replies=steady), f"latency.{id_}") in (Verdict.OK, None)
