"""CPU at its limit, and nodes whose CPU others take."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import PodUsage, Snapshot, Verdict
from tests.findings.scenes import MIB, NOW, of, one, pod, scene, series, verdict


def cpu(*cores: float) -> Verdict | None:
    told = {("pod.cpu_cores", "prod/m-1"): series(cores, every_s=15.0)}
    return verdict(scene(told, pods=(pod(),)), "pods.cpu_saturated")


@pytest.mark.parametrize(
    ("cores", "expected"),
    [
        ((2.0, 1.98, 1.97), Verdict.FAIL),
        ((1.85, 1.84, 1.86), Verdict.WARN),
        ((0.2, 2.0, 2.0), Verdict.UNKNOWN),
        ((0.5, 0.6, 1.5), Verdict.OK),
        ((2.0, 2.0), None),
    ],
)
def test_cpu_against_its_limit_over_three_readings(cores: tuple[float, ...], expected: Verdict | None) -> None:
    assert cpu(*cores) is expected


def test_a_pod_without_a_limit_cannot_be_at_it() -> None:
    free = pod(containers=(dataclasses.replace(pod().containers[0], cpu_limit_cores=None),))
    told = {("pod.cpu_cores", "prod/m-1"): series([9.0] * 5)}
    assert of(scene(told, pods=(free,)), "pods.cpu_saturated") == []


def node(share: float, ours_cores: float, readings: int = 3) -> Snapshot:
    told = {
        ("node.cpu_share", "n1"): series([share] * readings, every_s=15.0),
        ("node.cpu_cores", "n1"): series([share * 8] * readings, every_s=15.0),
    }
    usage = {"prod/m-1": PodUsage("prod", "m-1", NOW, 15.0, ours_cores, 100 * MIB)}
    return scene(told, pods=(pod(),), usage=usage)


@pytest.mark.parametrize(
    ("share", "ours", "expected"),
    [
        (0.99, 1.0, Verdict.FAIL),
        (0.99, 7.0, Verdict.WARN),
        (0.92, 1.0, Verdict.WARN),
        (0.87, 1.0, Verdict.UNKNOWN),
        (0.4, 1.0, Verdict.OK),
    ],
)
def test_a_full_node_is_contention_only_where_others_fill_it(share: float, ours: float, expected: Verdict) -> None:
    evidence = one(node(share, ours), "pods.node_contention")
    assert (evidence.verdict, evidence.subject) == (expected, "n1")


def test_nodes_that_may_not_be_read_say_nothing() -> None:
    assert of(scene(pods=(pod(),)), "pods.node_contention") == []
    assert of(node(0.99, 0.1, readings=2), "pods.node_contention") == []


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 1.5), st.integers(3, 40))
def test_constant_cpu_below_the_limit_never_fires(cores: float, readings: int) -> None:
    assert cpu(*[cores] * readings) is Verdict.OK
