"""Replicas that are probed in turn, and the odd one among them."""

from __future__ import annotations

import dataclasses

from infdiag_tui.hub.replies_in_turn import GONE_AFTER_S, MAX_REPLICAS, RepliesInTurn
from infdiag_tui.model import ErrorKind, LatencyView, Phases, Reply, Verdict
from tests.findings.scenes import BAD, NOW, failed, noisy, replies, scene
from tests.findings.scenes import of as of_id


def in_turn(**by_name: list[Reply]) -> tuple[LatencyView, ...]:
    held = RepliesInTurn()
    for name, told in by_name.items():
        for one in told:
            held.add(dataclasses.replace(one, replica=f"ml/{name}", in_turn=True))
    return held.views(NOW)


def test_the_slow_one_of_three_is_named() -> None:
    views = in_turn(
        a=replies(noisy(20, 25), every_s=3),
        b=replies(noisy(21, 25, seed=2), every_s=3),
        c=replies([80.0] * 25, every_s=3),
    )

    (found,) = of_id(scene(by_replica=views), "replicas.slow")

    assert (found.verdict, found.subject, found.source) == (Verdict.FAIL, "ml/c", "latency_replicas")


def test_what_the_way_adds_makes_no_replica_odd() -> None:
    far = replies([80.0] * 25, every_s=3, phases=Phases(tunnel_ms=60.0), through="SSH host jump")
    near = replies([22.0] * 25, every_s=3, phases=Phases(tunnel_ms=2.0), through="SSH host jump")

    found = of_id(scene(by_replica=in_turn(a=near, b=near, c=far)), "replicas.slow")

    assert [one.verdict for one in found if one.verdict in BAD] == []


def test_the_failing_one_is_named_and_a_broken_way_is_no_failure() -> None:
    well = replies([20.0] * 25, every_s=3)
    broken = [*well, *failed(20, ErrorKind.TUNNEL, every_s=3)]
    views = in_turn(a=well, b=broken, c=failed(25, ErrorKind.CONNECT, every_s=3))

    found = of_id(scene(by_replica=views), "replicas.failing")

    assert [one.subject for one in found if one.verdict in BAD] == ["ml/c"]


def test_too_few_probes_of_each_say_nothing() -> None:
    views = in_turn(a=replies([20.0] * 5), b=replies([90.0] * 5))

    assert of_id(scene(by_replica=views), "replicas.slow") == []


def test_probes_of_single_replicas_are_none_of_the_services() -> None:
    views = in_turn(a=replies([20.0] * 25), b=replies([900.0] * 25))

    assert of_id(scene(by_replica=views), "latency.p99") == []


def test_a_replica_that_is_no_longer_probed_is_forgotten_and_their_number_is_bounded() -> None:
    held = RepliesInTurn()
    (old,) = replies([1.0], end=NOW - GONE_AFTER_S - 10)
    held.add(dataclasses.replace(old, replica="ml/old", in_turn=True))
    (new,) = replies([1.0])
    for number in range(MAX_REPLICAS + 1):
        held.add(dataclasses.replace(new, replica=f"ml/{number:04}", in_turn=True))

    assert len(held.views(NOW)) == MAX_REPLICAS
    assert "ml/old" not in {view.target for view in held.views(NOW)}
