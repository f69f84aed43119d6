"""dcgm-exporter found in a cluster and read through the API server: real sockets, the lab's exporter behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Kubernetes
from infdiag_tui.lab.dialects import dialects
from infdiag_tui.lab.gpu import GpuExporter, Gpus
from infdiag_tui.lab.processes import free_port
from infdiag_tui.model import SourceState
from infdiag_tui.streams.gpus.cluster import GpuClusterStream
from infdiag_tui.streams.kube.client import KubeClient
from tests.streams.gpus.helpers import Pods, card, dcgm_page, pod, watching
from tests.streams.kube.harness import kubeconfig
from tests.support import serving_app

Answer = tuple[int, dict[str, Any]]


def raw_pod(name: str, node: str, *, namespace: str = "gpu-operator", phase: str = "Running", port: int = 9400) -> Any:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "nvidia-dcgm-exporter"}},
        "spec": {
            "nodeName": node,
            "containers": [
                {"name": "sidecar", "ports": [{"name": "health", "containerPort": 1}]},
                {"name": "exporter", "ports": [{"name": "metrics", "containerPort": port}]},
            ],
        },
        "status": {"phase": phase},
    }


class Api:
    """An API server with exporters' pods; `pages` holds what each of them serves, text or the URL to fetch it from."""

    def __init__(self) -> None:
        self.pods: list[Any] = []
        self.pages: dict[str, str] = {}
        self.denied: set[str] = set()
        """Namespaces whose pods may not be listed; empty for the whole cluster's; "proxy" for that."""
        self.asked: list[str] = []
        self.url = ""

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/v1/pods", self._list)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods", self._list)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/proxy/metrics", self._proxy)
        return app

    async def _list(self, request: web.Request) -> web.Response:
        namespace = request.match_info.get("namespace", "")
        self.asked.append(request.path)
        if namespace in self.denied:
            return web.json_response({"message": f"pods is forbidden in {namespace or 'the cluster'}"}, status=403)
        items = []
        if request.query["labelSelector"].startswith("app in"):
            items = [one for one in self.pods if namespace in ("", one["metadata"].get("namespace"))]
        return web.json_response({"kind": "PodList", "items": items})

    async def _proxy(self, request: web.Request) -> web.Response:
        if "proxy" in self.denied:
            return web.json_response({"message": 'pods/proxy is forbidden: cannot get "pods/proxy"'}, status=403)
        page = self.pages.get(request.match_info["pod"])
        if page is None:
            return web.json_response({"message": "error trying to reach service: dial tcp: refused"}, status=503)
        if page.startswith("http"):
            async with aiohttp.ClientSession() as session, session.get(page) as reply:
                page = await reply.text()
        return web.Response(text=page)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    one = Api()
    async with serving_app(one.application()) as url:
        one.url = url
        yield one


def stream(api: Api, folder: Path, *pods: Any, asked_for: bool = True) -> GpuClusterStream:
    file = folder / "kubeconfig"
    file.write_text(kubeconfig(int(api.url.rpartition(":")[2])))
    client = KubeClient(Kubernetes(kubeconfig=file, namespace="ml"), SystemClock(), "infdiag-test")
    roster = Pods(*(pods or (pod("scorer-0"), pod("scorer-1", "node-2"))))
    return GpuClusterStream(client, roster, SystemClock(), interval_s=0.02, pod_wait_s=0.1, asked_for=asked_for)


@asynccontextmanager
async def lab_exporter() -> AsyncIterator[GpuExporter]:
    names = dialects()[0]
    exporter = GpuExporter(Gpus(names, list, lambda name: Path("/nowhere") / name), "127.0.0.1", free_port())
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.stop()


async def test_the_labs_exporter_is_found_and_read_through_the_api(api: Api, tmp_path: Path) -> None:
    async with lab_exporter() as exporter:
        api.pods = [raw_pod("dcgm-a", "node-1", port=9999)]
        api.pages["dcgm-a:9999"] = exporter.url
        async with watching(stream(api, tmp_path)) as watched:
            await watched.until(lambda: watched.gpus)
            gpu = watched.hub.gpus[0]
            assert (gpu.name, gpu.provider, gpu.temperature_c) == ("NVIDIA L4", "dcgm", 36)
            await watched.until(lambda: watched.health.state is SourceState.LIVE)


async def test_only_the_models_nodes_are_asked_and_only_its_cards_shown(api: Api, tmp_path: Path) -> None:
    api.pods = [raw_pod(f"dcgm-{node}", f"node-{node}") for node in (1, 2)]
    api.pages = {"dcgm-1:9400": dcgm_page(card(0, holder="scorer-0"), card(1, holder="someone-else"))}
    async with watching(stream(api, tmp_path, pod("scorer-0"))) as watched:
        await watched.until(lambda: watched.gpus)
        assert list(watched.gpus) == ["GPU-node-1-0"]
        # The pod is gone and its card with it from the labels: it is still the model's.
        api.pages["dcgm-1:9400"] = dcgm_page(card(0), card(1, holder="someone-else"), DEV_GPU_UTIL=0.0)
        await watched.until(lambda: watched.gpus["GPU-node-1-0"].utilization_percent == 0.0)
        assert list(watched.gpus) == ["GPU-node-1-0"]
    assert not any("node-2" in gpu for gpu in watched.gpus)


async def test_while_no_card_names_a_pod_of_the_model_all_of_its_nodes_are_shown(api: Api, tmp_path: Path) -> None:
    api.pods = [raw_pod("dcgm-1", "node-1")]
    api.pages = {"dcgm-1:9400": dcgm_page(card(0), card(1))}
    async with watching(stream(api, tmp_path, pod("scorer-0"))) as watched:
        await watched.until(lambda: len(watched.gpus) == 2)


async def test_who_may_not_list_the_cluster_looks_where_it_usually_is(api: Api, tmp_path: Path) -> None:
    api.denied = {"", "ml", "kube-system"}
    api.pods = [raw_pod("dcgm-1", "node-1", namespace="monitoring")]
    api.pages = {"dcgm-1:9400": dcgm_page(card(0))}
    async with watching(stream(api, tmp_path)) as watched:
        await watched.until(lambda: watched.gpus)
    assert "/api/v1/namespaces/gpu-operator/pods" in api.asked


@pytest.mark.parametrize(("asked_for", "state"), [(True, SourceState.UNAVAILABLE), (False, SourceState.OFF)])
async def test_none_is_a_fault_only_where_one_was_asked_for(
    api: Api, tmp_path: Path, asked_for: bool, state: SourceState
) -> None:
    api.denied = {""}
    api.pods = [raw_pod("dcgm-1", "node-9"), raw_pod("dcgm-2", "node-1", phase="Pending"), {"metadata": {}, "spec": 7}]
    async with watching(stream(api, tmp_path, pod("scorer-0"), asked_for=asked_for)) as watched:
        await watched.until(lambda: watched.health.state is state)
        assert "no dcgm-exporter was found on the nodes of the model's pods" in watched.health.reason
        assert "not allowed to list pods" in watched.health.reason
        assert "gpu.dcgm_url" in watched.health.remedy


async def test_a_proxy_that_may_not_be_used_is_told_with_the_role_it_needs(api: Api, tmp_path: Path) -> None:
    api.pods = [raw_pod("dcgm-1", "node-1")]
    api.denied = {"proxy"}
    async with watching(stream(api, tmp_path)) as watched:
        await watched.until(lambda: watched.health.state is SourceState.FORBIDDEN)
        assert "pods/proxy" in watched.health.remedy
        api.denied = set()
        api.pages = {"dcgm-1:9400": dcgm_page(card(0))}
        await watched.until(lambda: watched.gpus)
        await watched.until(lambda: watched.health.state is SourceState.LIVE)


async def test_one_exporter_that_fails_leaves_the_others_cards_current(api: Api, tmp_path: Path) -> None:
    api.pods = [raw_pod("dcgm-1", "node-1"), raw_pod("dcgm-2", "node-2")]
    api.pages = {"dcgm-1:9400": dcgm_page(card(0)), "dcgm-2:9400": dcgm_page(card(0, node="node-2"))}
    async with watching(stream(api, tmp_path)) as watched:
        await watched.until(lambda: len(watched.gpus) == 2)
        api.pages["dcgm-2:9400"] = "<html>no metrics</html>"
        await watched.until(lambda: watched.gpus["GPU-node-2-0"].lost)
        await watched.until(lambda: watched.health.state is SourceState.DEGRADED)
        assert "1 of 2 exporters cannot be read; dcgm-2" in watched.health.reason
        assert not watched.gpus["GPU-node-1-0"].lost


async def test_while_the_models_pods_are_not_known_no_card_is_shown(api: Api, tmp_path: Path) -> None:
    api.pods = [raw_pod("dcgm-1", "node-1")]
    api.pages = {"dcgm-1:9400": dcgm_page(card(0))}
    one = stream(api, tmp_path)
    roster = Pods()
    one._roster = roster
    async with watching(one) as watched:
        await watched.until(lambda: watched.health.state is SourceState.OFF, 15)
        assert "not which GPUs are its own" in watched.health.reason
        assert not watched.gpus
        roster.pods = {one.key: one for one in (pod("scorer-0"),)}
        await watched.until(lambda: watched.gpus)
