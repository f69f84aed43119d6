"""A way to the server that is not the direct one: nobody is blamed for what it adds."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.config import Endpoint
from infdiag_tui.model import ErrorKind, Evidence, Phases, Reply, SourceHealth, SourceState, Verdict
from tests.findings.scenes import BAD, NOW, TARGET, failed, replies, scene
from tests.findings.scenes import found as judged

WAY = "SSH host jump"


def by_way(totals: list[float], tunnel_ms: float | None) -> list[Reply]:
    phases = Phases(tunnel_ms=tunnel_ms, wait_ms=1.0)
    return replies(totals, phases=phases, through=WAY)


def of(found: list[Evidence], name: str) -> Evidence:
    (one,) = [evidence for evidence in found if evidence.id == name]
    return one


def endpoint(p99_ms: float) -> Endpoint:
    return Endpoint(url=TARGET, objective_p99_ms=p99_ms)


def test_over_the_objective_only_by_the_way_withholds_the_verdict_and_says_why() -> None:
    found = judged(scene(replies=by_way([300.0] * 400, 280.0)), endpoint=endpoint(100.0))

    assert of(found, "latency.p99").verdict is Verdict.UNKNOWN
    assert of(found, "latency.p50").verdict is Verdict.UNKNOWN
    assert "up to 280.0 ms of it are added by SSH host jump" in of(found, "latency.p99").statement


def test_over_the_objective_whatever_the_way_adds_fails() -> None:
    found = judged(scene(replies=by_way([300.0] * 400, 50.0)), endpoint=endpoint(100.0))

    assert of(found, "latency.p99").verdict is Verdict.FAIL


def test_over_the_objective_by_a_way_that_is_not_measured_is_not_judged() -> None:
    found = judged(scene(replies=by_way([300.0] * 400, None)), endpoint=endpoint(100.0))

    assert of(found, "latency.p99").verdict is Verdict.UNKNOWN
    assert "is not known yet" in of(found, "latency.p99").statement


def test_below_the_objective_in_spite_of_the_way_is_well() -> None:
    found = judged(scene(replies=by_way([90.0] * 400, 50.0)), endpoint=endpoint(100.0))

    assert of(found, "latency.p99").verdict is Verdict.OK


def test_the_clients_network_is_not_judged_by_another_way() -> None:
    found = judged(scene(replies=by_way([300.0] * 60, 280.0)))

    share = of(found, "latency.network_share")
    assert (share.verdict, share.value) == (Verdict.UNKNOWN, None)
    assert "280.0 ms" in share.statement


@pytest.mark.parametrize(("tunnel_ms", "rises"), [(200.0, False), (1.0, True)])
def test_a_rise_is_the_servers_only_without_the_ways_own(tunnel_ms: float, rises: bool) -> None:
    before = by_way([20.0] * 60, 1.0)
    after = by_way([220.0] * 40, tunnel_ms)
    shifted = [dataclasses.replace(one, at=one.at - 40, scheduled_at=one.scheduled_at - 40) for one in before]

    found = judged(scene(replies=[*shifted, *after]))

    assert (of(found, "latency.change").verdict in BAD) is rises


def test_jitter_of_the_way_is_none_of_the_servers() -> None:
    steady = by_way([20.0] * 380, 5.0) + by_way([200.0] * 20, 185.0)
    shaky = by_way([20.0] * 380, 5.0) + by_way([200.0] * 20, 5.0)

    assert of(judged(scene(replies=steady)), "latency.jitter").verdict is Verdict.OK
    assert of(judged(scene(replies=shaky)), "latency.jitter").verdict is Verdict.WARN


def test_a_way_that_fails_says_nothing_of_the_server() -> None:
    gone = failed(30, ErrorKind.TUNNEL, through=WAY, error_text="the SSH connection to jump broke")
    health = SourceHealth("latency", SourceState.UNAVAILABLE, since=NOW, reason="the SSH connection to jump broke")
    found = judged(scene(replies=gone, sources={"latency": health}))

    assert of(found, "latency.reachable").verdict is Verdict.UNKNOWN
    assert [one.id for one in found if one.source == "latency" and one.verdict in BAD] == []
