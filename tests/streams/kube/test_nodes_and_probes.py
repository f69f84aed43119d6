"""Nodes' use where this user may read it, failed probes as running totals, and when pods became ready."""

from __future__ import annotations

from pathlib import Path

import pytest

from infdiag_tui.model import ClusterEvent, Sample, SeriesKey, SourceState
from infdiag_tui.streams.kube.parse import parse_pod
from infdiag_tui.streams.kube.probe_failures import ProbeFailures
from tests.streams.kube.fake_api import event, pod, usage
from tests.streams.kube.harness import served, watching
from tests.support import FakeClock

NODE = {"status": {"allocatable": {"cpu": "4", "memory": "8Gi"}}}


def node_usage(at: str = "2026-01-31T03:05:00Z", cpu: str = "3900m") -> dict[str, object]:
    return {"timestamp": at, "window": "15s", "usage": {"cpu": cpu, "memory": "2Gi"}}


async def test_a_nodes_use_is_told_as_shares_of_what_it_can_give(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.metrics = [usage("a")]
        api.nodes["gpu-node-1"] = NODE
        api.node_metrics["gpu-node-1"] = node_usage()
        async with watching(api, tmp_path) as watched:

            def last(metric: str) -> list[float]:
                return [one.value for one in watched.of(Sample) if one.key == SeriesKey(metric, "gpu-node-1")]

            await watched.until(lambda: last("node.memory_share"))
            assert last("node.cpu_share") == [pytest.approx(0.975)]
            assert last("node.cpu_cores") == [pytest.approx(3.9)]
            assert last("node.memory_share") == [pytest.approx(0.25)]
            api.node_metrics["gpu-node-1"] = node_usage("2026-01-31T03:05:15Z", "1")
            await watched.until(lambda: last("node.cpu_share")[-1] == pytest.approx(0.25))
            assert len(last("node.cpu_share")) == 2, "a figure is told once"


async def test_a_user_who_may_not_read_nodes_hears_nothing_of_it(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.metrics = [usage("a")]
        api.deny.add(("get", "nodes"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: api.count("get", "nodes"))
            await watched.until_state(SourceState.LIVE)
            assert not [one for one in watched.of(Sample) if one.key.metric.startswith("node.")]


async def test_failed_probes_are_counted_from_what_there_was_at_first_sight(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.put_event(event("old", "a", count=40))
        async with watching(api, tmp_path) as watched:

            def totals(metric: str = "pod.readiness_failures") -> list[float]:
                return [one.value for one in watched.of(Sample) if one.key == SeriesKey(metric, "ml/a")]

            await watched.until(totals)
            assert totals()[0] == 40
            await api.put_event(event("old", "a", count=43))
            await watched.until(lambda: totals()[-1] == 43)
            await api.put_event(event("start", "a", message="Startup probe failed: not yet"))
            await api.put_event(event("live", "a", message="Liveness probe failed: timeout", count=2))
            await watched.until(lambda: totals("pod.liveness_failures"))
            assert totals()[-1] == 43


def failing(uid: str, count: int, first_at: float, message: str = "Liveness probe failed") -> ClusterEvent:
    return ClusterEvent(uid, "ml", "Pod", "a", "Warning", "Unhealthy", message, count, first_at, first_at, first_at)


@pytest.mark.parametrize("set_by", [-3600.0, 0.0, 3600.0])
def test_the_first_failure_of_all_is_a_rise_from_nothing_however_the_clock_was_set(set_by: float) -> None:
    clock = FakeClock()
    failures = ProbeFailures(clock)
    clock.set_by = set_by

    def noted(uid: str, count: int, message: str = "Liveness probe failed") -> list[float]:
        clock.advance(10.0)
        return [one.value for one in failures.note(failing(uid, count, clock.wall(), message))]

    assert noted("u", 1) == [0.0, 1.0]
    assert noted("u", 4) == [4.0]
    assert noted("u", 4) == []
    assert noted("v", 2) == [6.0]
    assert noted("w", 1, "Back-off restarting") == []


def test_failures_from_before_anyone_looked_are_no_rise() -> None:
    clock = FakeClock()
    failures = ProbeFailures(clock)
    clock.advance(10.0)
    assert [one.value for one in failures.note(failing("u", 3, clock.wall() - 60.0))] == [3.0, 3.0]


async def test_readiness_is_a_series_of_when_it_came_and_went(tmp_path: Path) -> None:
    async with served() as api:
        raw = pod("a")
        raw["status"]["conditions"][0]["lastTransitionTime"] = "2026-01-31T03:01:00Z"
        await api.put_pod(raw)
        async with watching(api, tmp_path) as watched:

            def ready() -> list[float]:
                return [one.value for one in watched.of(Sample) if one.key == SeriesKey("pod.ready", "ml/a")]

            await watched.until(ready)
            first = next(one for one in watched.of(Sample) if one.key.metric == "pod.ready")
            assert first.at == pytest.approx(1769828460.0), "it became ready before anyone looked"
            raw = pod("a", conditions=[{"type": "Ready", "status": "False"}])
            await api.put_pod(raw)
            await watched.until(lambda: ready() == [1.0, 0.0])
            await api.put_pod(pod("a"))
            await watched.until(lambda: ready() == [1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("annotations", "ports", "place"),
    [
        ({"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}, [], ":9090/metrics"),
        (
            {"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "prometheus.io/path": "stats"},
            [],
            ":9090/stats",
        ),
        ({"prometheus.io/scrape": "false", "prometheus.io/port": "9090"}, [], ""),
        ({"prometheus.io/scrape": "true", "prometheus.io/port": "nine"}, [], ""),
        (
            {},
            [{"name": "http", "containerPort": 8000}, {"name": "http-metrics", "containerPort": 8002}],
            ":8002/metrics",
        ),
        ({}, [{"name": "http", "containerPort": 8000}], ""),
        ({}, [{"name": "metrics", "containerPort": "x"}], ""),
    ],
)
def test_where_a_pod_says_that_its_metrics_are(
    annotations: dict[str, str], ports: list[dict[str, object]], place: str
) -> None:
    raw = pod("a")
    raw["metadata"]["annotations"] = annotations
    raw["spec"]["containers"][0]["ports"] = ports
    assert parse_pod(raw, 1.0).metrics_at == place
