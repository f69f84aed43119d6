"""The lab's replica and its GPU exporter, scraped by a real Prometheus, seen from a console that reaches neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import ModelConfig
from infdiag_tui.hub.hub import Hub
from infdiag_tui.lab import Lab, running
from infdiag_tui.model import SeriesKey, SourceState
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.registry import build_streams
from infdiag_tui.supervisor import Supervisor
from tests.lab.helpers import all_ready
from tests.streams.prometheus.real import RealPrometheus, prometheus
from tests.support import eventually, eventually_blocking


@dataclass
class Scraped:
    lab: Lab
    server: RealPrometheus
    pod: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scraped(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scraped]:
    async with running("healthy", overrides={"replicas": 1, "usage_interval_s": 1.0}) as lab:
        (replica,) = await all_ready(lab, 1)
        targets = {urlsplit(lab.dcgm_url).netloc: "dcgm", urlsplit(replica.url).netloc: "server"}
        labels = {"server": {"namespace": lab.namespace, "pod": replica.name}}
        folder = tmp_path_factory.mktemp("prometheus")
        context = prometheus(folder, targets, labels=labels)
        server = await asyncio.to_thread(context.__enter__)
        try:
            seen = 'count_over_time(up{job="server"}[1m]) > 1 and on() group(DCGM_FI_DEV_GPU_UTIL)'
            await asyncio.to_thread(eventually_blocking, lambda: server.ask(seen), 30)
            yield Scraped(lab, server, f"{lab.namespace}/{replica.name}")
        finally:
            await asyncio.to_thread(context.__exit__, None, None, None)


@pytest.mark.asyncio(loop_scope="module")
async def test_latency_load_and_gpu_are_known_through_prometheus_alone(scraped: Scraped) -> None:
    lab = scraped.lab
    config = ModelConfig.model_validate(
        {
            "kubernetes": {
                "kubeconfig": lab.kubeconfig_path,
                "namespace": lab.namespace,
                "selector": lab.selector,
                "logs": False,
            },
            "prometheus": {"url": scraped.server.url, "interval_s": 1},
            "metrics": {"enabled": False},
            "gpu": {"nvml": False},
            "host": {"enabled": False},
        }
    )
    hub, context = Hub(), StreamContext(user_agent="infdiag-test")
    supervisor = Supervisor(build_streams(config, context), hub.put, SystemClock())
    task = asyncio.create_task(supervisor.run())
    wanted = {
        SeriesKey(metric)
        for metric in ("server.p50_ms", "server.p99_ms", "server.request_rate", "server.request_ms", "server.in_flight")
    }
    try:
        await eventually(lambda: all(key in hub.series() and hub.series()[key].live for key in wanted), 30)
        await eventually(lambda: [gpu for gpu in hub.gpus if gpu.pod == scraped.pod], 30)
        assert {gpu.provider for gpu in hub.gpus} == {"prometheus"}
        series = hub.series()
        assert series[SeriesKey("server.request_rate")].values[-1] > 0
        assert 0 < series[SeriesKey("server.p50_ms")].values[-1] <= series[SeriesKey("server.p99_ms")].values[-1]
        health = supervisor.health(SystemClock().now())
        assert health["gpu-source"].state is SourceState.LIVE
        assert health["gpu-source"].reason == "from Prometheus"  # no exporter's pod in this cluster: nobody said so
        assert health["server_prometheus"].state is SourceState.LIVE
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
