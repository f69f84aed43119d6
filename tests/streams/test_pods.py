from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest
from aiohttp import web

from infdiag_tui.model import ClusterEvent, Heartbeat, Pod, PodGone, PodUsage, Sample, SeriesKey, SourceState
from tests.streams.kube.fake_api import FakeApi, event, pod, usage
from tests.streams.kube.harness import HURRIED, served, watching


async def test_lists_pods_with_all_that_the_panel_needs(tmp_path: Path) -> None:
    async with served() as api:
        raw = pod("a", restarts=2)
        raw["status"]["containerStatuses"][0]["lastState"] = {
            "terminated": {"reason": "OOMKilled", "exitCode": 137, "finishedAt": "2026-01-31T03:01:00Z"}
        }
        await api.put_pod(raw)
        async with watching(api, tmp_path) as watched:
            await watched.until_state(SourceState.DEGRADED, "metrics-server is not installed")
            (found,) = watched.of(Pod)
            assert (found.key, found.phase, found.ready, found.node) == ("ml/a", "Running", True, "gpu-node-1")
            assert found.owner == "ReplicaSet/fraud-scorer-5d8"
            (container,) = found.containers
            assert container.digest == "sha256:abc123"
            assert (container.cpu_limit_cores, container.memory_limit_bytes, container.gpu_limit) == (2.0, 2 * 2**30, 1)
            assert container.termination is not None
            assert (container.termination.reason, container.termination.exit_code) == ("OOMKilled", 137)
            told = [(sample.key, sample.value) for sample in watched.of(Sample)]
            assert told == [(SeriesKey("pod.restarts", "ml/a"), 2.0), (SeriesKey("pod.ready", "ml/a"), 1.0)]


async def test_reads_a_long_list_in_pages_and_survives_an_expired_page(tmp_path: Path) -> None:
    async with served() as api:
        for number in range(1201):
            await api.put_pod(pod(f"p{number}"))
        api.expire_continue_once = True
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: len(watched.table.current()) == 1201)
        lists = [asked for asked in api.asked if asked.resource == "pods" and asked.query.get("limit") == "500"]
        assert [asked.query.get("continue") for asked in lists] == [None, "500", None, "500", "1000"]


async def test_a_watch_brings_new_changed_and_deleted_pods(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: watched.of(Pod))
            await api.put_pod(pod("b"))
            await api.put_pod(pod("a", restarts=1))
            await api.delete_pod("b")
            await watched.until(lambda: watched.of(PodGone))
            assert [(one.name, one.restart_count) for one in watched.of(Pod)] == [("a", 0), ("b", 0), ("a", 1)]
            assert [one.key for one in watched.of(PodGone)] == ["ml/b"]
            assert set(watched.table.current()) == {"ml/a"}
        assert api.count("watch", "pods") == 1


async def test_a_cut_watch_resumes_without_relisting_or_repeating(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            lists = api.count("list", "pods")
            await api.cut("watch")
            await api.put_pod(pod("b"))
            await watched.until(lambda: len(watched.of(Pod)) == 2)
            assert [one.name for one in watched.of(Pod)] == ["a", "b"]
            long_lists = [
                asked for asked in api.asked if asked.query.get("limit") == "500" and asked.resource == "pods"
            ]
            assert len(long_lists) == 1
            assert lists >= 1
            assert watched.health().restarts == 0


@pytest.mark.parametrize("as_event", [False, True])
async def test_410_gone_leads_to_a_new_list_that_tells_what_vanished(tmp_path: Path, as_event: bool) -> None:
    async with served() as api:
        api.gone_as_event = as_event
        await api.put_pod(pod("a"))
        await api.put_pod(pod("b"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            api.deaf = True
            await api.delete_pod("a")
            await api.put_pod(pod("c"))
            api.compact()
            api.deaf = False
            await api.cut("watch")
            await watched.until(lambda: set(watched.table.current()) == {"ml/b", "ml/c"})
            assert [one.key for one in watched.of(PodGone)] == ["ml/a"]
            assert [one.name for one in watched.of(Pod)] == ["a", "b", "c"]
            assert watched.health().restarts == 0


async def test_a_bookmark_moves_the_position_on_and_counts_as_a_heartbeat(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        slow = HURRIED.__class__(pulse_s=60.0)
        async with watching(api, tmp_path, pace=slow) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            beats = len(watched.of(Heartbeat))
            await api.bookmark()
            await watched.until(lambda: len(watched.of(Heartbeat)) > beats)
            marked = api.version
            await api.cut("watch")
            await watched.until(lambda: api.count("watch", "pods") == 2)
            again = [asked for asked in api.asked if (asked.verb, asked.resource) == ("watch", "pods")][-1]
            assert again.query["resourceVersion"] == str(marked)


async def test_a_deaf_watch_is_found_out_and_replaced(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            api.deaf = True
            await api.put_pod(pod("a", restarts=5))
            await watched.until(lambda: watched.table.current()["ml/a"].restart_count == 5)
            assert watched.health().restarts == 0


async def test_a_frozen_server_is_noticed_and_recovered_from(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            api.frozen.clear()
            health = await watched.until_state(SourceState.UNAVAILABLE, "timed out")
            assert "kubectl get --raw /livez" in health.remedy
            assert "ml/a" in watched.table.current()
            api.frozen.set()
            await watched.until_state(SourceState.DEGRADED, "metrics-server")


async def test_a_killed_server_shows_at_once_and_its_return_is_found_on_the_same_port(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.put_pod(pod("b"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            await api.kill()
            health = await watched.until_state(SourceState.UNAVAILABLE, "connection refused")
            assert f"127.0.0.1:{api.port}" in health.reason
            assert set(watched.table.current()) == {"ml/a", "ml/b"}
            api.pods.pop("a")
            api.version = 7  # a rebuilt cluster counts from the start
            api.compact()
            await api.start()
            await watched.until(lambda: [one.key for one in watched.of(PodGone)] == ["ml/a"], deadline_s=3)
            await watched.until_state(SourceState.DEGRADED, "metrics-server")
            assert [one.name for one in watched.of(Pod)] == ["a", "b"]


async def test_usage_is_joined_and_told_only_when_its_own_time_is_new(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.metrics = [usage("a"), usage("of-another-model")]
        async with watching(api, tmp_path) as watched:
            await watched.until_state(SourceState.LIVE)
            await watched.until(lambda: watched.of(PodUsage))
            polls = api.count("list", "metrics")
            await watched.until(lambda: api.count("list", "metrics") > polls)
            api.metrics = [usage("a", at="2026-01-31T03:05:15Z", memory="1Gi")]
            await watched.until(lambda: len(watched.of(PodUsage)) == 2)
            first, second = watched.of(PodUsage)
            assert (first.key, first.memory_bytes, first.cpu_cores, first.window_s) == ("ml/a", 2**29, 0.25, 15.2)
            assert second.memory_bytes == 2**30
            memory = [one.value for one in watched.of(Sample) if one.key == SeriesKey("pod.memory_bytes", "ml/a")]
            assert memory == [2.0**29, 2.0**30]


async def test_metrics_server_absent_is_one_aspect_and_its_arrival_is_seen(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        async with watching(api, tmp_path) as watched:
            health = await watched.until_state(SourceState.DEGRADED, "metrics-server is not installed")
            assert "kubectl top pods" in health.remedy
            api.metrics_status = 503
            await watched.until_state(SourceState.DEGRADED, "metrics-server does not answer (HTTP 503")
            api.metrics = [usage("a")]
            await watched.until_state(SourceState.LIVE)


@pytest.mark.parametrize(
    ("verb", "resource", "reason", "rule"),
    [
        ("list", "metrics", "not allowed to list pods.metrics.k8s.io in namespace ml", 'apiGroups ["metrics.k8s.io"]'),
        ("list", "events", "no events: not allowed to list events in namespace ml", 'resources ["events"]'),
        ("watch", "pods", "instead of watched: not allowed to watch pods in namespace ml", 'verbs ["watch"]'),
        ("watch", "events", "instead of watched: not allowed to watch events in namespace ml", 'verbs ["watch"]'),
    ],
)
async def test_a_denied_verb_costs_its_aspect_alone_and_is_named(
    tmp_path: Path, verb: str, resource: str, reason: str, rule: str
) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.metrics = [usage("a")]
        api.deny.add((verb, resource))
        async with watching(api, tmp_path) as watched:
            health = await watched.until_state(SourceState.DEGRADED, reason)
            assert rule in health.remedy
            assert f"kubectl auth can-i {verb} " in health.remedy
            assert "--context lab -n ml" in health.remedy
            await api.put_pod(pod("b"))
            await watched.until(lambda: "ml/b" in watched.table.current())
            api.deny.clear()
            await watched.until_state(SourceState.LIVE)


async def test_listing_pods_denied_is_forbidden_as_a_whole_until_allowed(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.deny.add(("list", "pods"))
        async with watching(api, tmp_path) as watched:
            health = await watched.until_state(SourceState.FORBIDDEN, "not allowed to list pods in namespace ml")
            assert "kubectl auth can-i list pods --context lab -n ml" in health.remedy
            api.deny.clear()
            await watched.until(lambda: watched.of(Pod))
            await watched.until_state(SourceState.DEGRADED, "metrics-server")


async def test_429_is_obeyed(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.answers["list", "pods"].append((429, {"Retry-After": "1"}))
        async with watching(api, tmp_path) as watched:
            await watched.until_state(SourceState.DEGRADED, "asks to slow down (HTTP 429")
            loop = asyncio.get_running_loop()
            refused_at = loop.time()
            await watched.until(lambda: watched.of(Pod))
            assert loop.time() - refused_at > 0.8  # not sooner than it was asked to, less the time until we looked


async def test_a_server_error_is_named_and_recovered_from(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.answers["list", "pods"] += [(500, {})] * 3
        async with watching(api, tmp_path) as watched:
            await watched.until_state(SourceState.UNAVAILABLE, "answered HTTP 500 to list pods in namespace ml")
            await watched.until(lambda: watched.of(Pod))


async def test_events_of_the_pods_are_told_once_each_also_of_pods_just_gone(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        await api.put_event(event("e1", "a"))
        await api.put_event(event("other", "of-another-model"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: watched.of(ClusterEvent))
            await api.put_event(event("early", "b", reason="FailedScheduling"))  # before its pod is known
            await api.put_pod(pod("b"))
            await watched.until(lambda: len(watched.of(ClusterEvent)) == 2)
            await api.delete_pod("b")
            await watched.until(lambda: watched.of(PodGone))
            await api.put_event(event("late", "b", reason="Killing"))
            await watched.until(lambda: len(watched.of(ClusterEvent)) == 3)
            await api.cut("watch")
            await api.put_event(event("e1", "a", count=4))
            await watched.until(lambda: len(watched.of(ClusterEvent)) == 4)
            told = [(one.name, one.reason, one.count) for one in watched.of(ClusterEvent)]
            assert told == [
                ("a", "Unhealthy", 3),
                ("b", "FailedScheduling", 3),
                ("b", "Killing", 3),
                ("a", "Unhealthy", 4),
            ]


async def test_no_matching_pod_is_said_with_what_there_is_instead(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a", app="fraud-scorer-v2"))
        await api.put_pod(pod("z", app="billing"))
        async with watching(api, tmp_path) as watched:
            health = await watched.until_state(
                SourceState.DEGRADED, "no pods match selector app=fraud-scorer in namespace ml"
            )
            assert "labels there: app=fraud-scorer-v2, app=billing" in health.reason
            assert "kubectl get pods -A -l 'app=fraud-scorer'" in health.remedy
            api.metrics = []
            await api.put_pod(pod("b"))
            await watched.until_state(SourceState.LIVE)


async def test_a_name_finds_pods_by_label_or_by_the_start_of_their_name(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("x1", app="churn"))
        await api.put_pod(pod("churn-abc", app="something"))
        kserve = pod("x2", app="something")
        kserve["metadata"]["labels"]["serving.kserve.io/inferenceservice"] = "churn"
        await api.put_pod(kserve)
        await api.put_pod(pod("y", app="churn-not"))
        async with watching(api, tmp_path, selector="", name_hint="churn") as watched:
            await watched.until(lambda: set(watched.table.current()) == {"ml/x1", "ml/x2", "ml/churn-abc"})
            relabelled = pod("x1", app="other")
            await api.put_pod(relabelled)
            await watched.until(lambda: [one.key for one in watched.of(PodGone)] == ["ml/x1"])


async def test_a_new_pod_of_the_same_name_is_another_pod(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("scorer-0", uid="first"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            await api.delete_pod("scorer-0")
            await api.put_pod(pod("scorer-0", uid="second"))
            await watched.until(lambda: len(watched.of(Pod)) == 2)
            assert [one.uid for one in watched.of(PodGone)] == ["first"]
            assert watched.table.current()["ml/scorer-0"].uid == "second"


async def test_an_answer_that_is_no_kubernetes_object_is_named(tmp_path: Path) -> None:
    class LoginPage(FakeApi):
        async def _collection(self, request: web.Request) -> web.StreamResponse:
            return web.Response(text="<html>log in</html>", content_type="text/html")

    api = LoginPage()
    await api.start()
    try:
        async with watching(api, tmp_path) as watched:
            health = await watched.until_state(SourceState.UNAVAILABLE, "no Kubernetes object")
            assert "login page or proxy" in health.remedy
    finally:
        await api.stop()


async def test_a_wide_watch_event_passes(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        async with watching(api, tmp_path) as watched:
            await watched.until(lambda: api.open_watches >= 2)
            wide = pod("b")
            wide["metadata"]["annotations"] = {"big": "x" * 5_000_000}
            await api.put_pod(wide)
            await watched.until(lambda: "ml/b" in watched.table.current())


async def test_figures_that_metrics_server_no_longer_renews_are_called_old(tmp_path: Path) -> None:
    async with served() as api:
        await api.put_pod(pod("a"))
        api.metrics = [usage("a")]
        pace = dataclasses.replace(HURRIED, usage_overdue_s=0.4)
        async with watching(api, tmp_path, pace=pace) as watched:
            await watched.until_state(SourceState.LIVE)
            health = await watched.until_state(SourceState.DEGRADED, "no new CPU and memory figures for 0.4 s")
            assert "logs deploy/metrics-server" in health.remedy
            api.metrics = [usage("a", at="2026-01-31T03:06:00Z")]
            await watched.until_state(SourceState.LIVE)
