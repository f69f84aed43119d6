"""GPUs from a real Prometheus: joined to the model's pods, dated by their scrapes, NVIDIA's and AMD's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from infdiag_tui.clock import SteadyClock, SystemClock
from infdiag_tui.config import Prometheus
from infdiag_tui.model import SourceState
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.gpu_dcgm import GpuDcgmStream
from infdiag_tui.streams.gpus.account import XidMemory
from infdiag_tui.streams.gpus.choice import Candidate, ChosenGpuStream
from infdiag_tui.streams.gpus.prometheus import GpuPrometheusStream, read_cards
from infdiag_tui.streams.prometheus.results import Series
from tests.streams.gpus.helpers import Pods, card, dcgm_page, pod, watching
from tests.streams.prometheus.fake import saying
from tests.streams.prometheus.real import Exporter, RealPrometheus, prometheus
from tests.support import eventually_blocking

MIB = 2**20
AMD = """\
# TYPE amd_gpu_gfx_activity gauge
amd_gpu_gfx_activity{gpu_id="1",serial_number="692251001124",card_model="MI300X",hostname="amd-1",pod="scorer-9",namespace="ml"} 83
amd_gpu_used_vram{gpu_id="1",serial_number="692251001124",card_model="MI300X",hostname="amd-1",pod="scorer-9",namespace="ml"} 2048
amd_gpu_total_vram{gpu_id="1",serial_number="692251001124",card_model="MI300X",hostname="amd-1",pod="scorer-9",namespace="ml"} 196592
amd_gpu_edge_temperature{gpu_id="1",serial_number="692251001124",card_model="MI300X",hostname="amd-1"} 0
amd_gpu_junction_temperature{gpu_id="1",serial_number="692251001124",card_model="MI300X",hostname="amd-1"} 61
amd_gpu_package_power{gpu_id="1",serial_number="692251001124",card_model="MI300X",hostname="amd-1"} 412
"""  # noqa: E501
BLANK = 9223372036854775794.0
MIG = (
    'DCGM_FI_DEV_FB_USED{gpu="2",UUID="GPU-mig",GPU_I_ID="7",GPU_I_PROFILE="1g.10gb",Hostname="node-1"} 512\n'
    'DCGM_FI_DEV_MEMORY_TEMP{gpu="2",UUID="GPU-mig",GPU_I_ID="7",GPU_I_PROFILE="1g.10gb",Hostname="node-1"} 40\n'
)


@dataclass
class Fleet:
    """A Prometheus, and the pages that it scrapes by job."""

    server: RealPrometheus
    pages: dict[str, Exporter]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    mine, others = card(0, holder="scorer-0"), card(1, holder="someone-else")
    pages = {
        "plain": Exporter(dcgm_page(mine, others, DEV_XID_ERRORS=0.0, DEV_POWER_USAGE=BLANK, extra=MIG)),
        "operator": Exporter(
            dcgm_page(card(0, "node-2", "scorer-1"), card(1, "node-2")),
        ),
        "amd": Exporter(AMD),
        "fading": Exporter(dcgm_page(card(0, "node-3"), card(1, "node-3"))),
    }
    with ExitStack() as stack:
        for page in pages.values():
            stack.callback(page.close)
        own = {
            "operator": {"namespace": "gpu-operator", "pod": "nvidia-dcgm-exporter-x1", "container": "dcgm-exporter"}
        }
        targets = {page.address: job for job, page in pages.items()}
        server = stack.enter_context(prometheus(tmp_path_factory.mktemp("prometheus"), targets, labels=own))
        eventually_blocking(lambda: len(server.ask('{__name__=~"DCGM_FI_DEV_GPU_UTIL|amd_gpu_gfx_activity"}')) == 7, 20)
        yield Fleet(server, pages)


def stream(url: str, job: str, *pods: Any) -> GpuPrometheusStream:
    settings = Prometheus(url=url, gpu_matchers={"job": job} if job else {})
    hurried = settings.model_copy(update={"interval_s": 0.1})
    return GpuPrometheusStream(hurried, Pods(*pods) if pods else None, SystemClock(), "infdiag-test")


async def test_the_models_card_is_found_by_its_pod_and_its_figures_are_nvmls(fleet: Fleet) -> None:
    async with watching(stream(fleet.server.url, "plain", pod("scorer-0"))) as watched:
        await watched.until(lambda: watched.gpus)
        gpu = watched.gpus["GPU-node-1-0"]
        assert list(watched.gpus) == ["GPU-node-1-0"]
        assert (gpu.provider, gpu.host, gpu.pod, gpu.name) == ("prometheus", "node-1", "ml/scorer-0", "NVIDIA L4")
        assert (gpu.utilization_percent, gpu.memory_used_bytes) == (40, 1000 * MIB)
        assert gpu.power_w is None  # DCGM's blank is no figure
        assert gpu.xid_watched
        assert gpu.xid is None
        assert gpu.at <= time.time()
        assert watched.health.state is SourceState.LIVE


async def test_a_reading_is_as_old_as_it_is_though_the_machines_clock_was_set_back(fleet: Fleet) -> None:
    clock = SteadyClock(time.time, time.monotonic, origin=time.time() + 3600.0 - time.monotonic())
    made = stream(fleet.server.url, "plain", pod("scorer-0"))
    made._clock = clock
    async with watching(made) as watched:
        await watched.until(lambda: watched.gpus)
        assert clock.now() - 30.0 < watched.gpus["GPU-node-1-0"].at <= clock.now()


async def test_an_xid_that_comes_is_dated_by_the_scrape_that_showed_it(fleet: Fleet) -> None:
    mine, others = card(0, holder="scorer-0"), card(1, holder="someone-else")
    async with watching(stream(fleet.server.url, "plain", pod("scorer-0"))) as watched:
        await watched.until(lambda: watched.gpus)
        came = time.time()
        fleet.pages["plain"].page = dcgm_page(mine, others, DEV_XID_ERRORS=79.0)
        await watched.until(lambda: watched.gpus["GPU-node-1-0"].xid == 79)
        at = watched.gpus["GPU-node-1-0"].xid_at
        assert at is not None
        assert came - 0.1 <= at <= came + 5
        first = watched.gpus["GPU-node-1-0"].at
        await watched.until(lambda: watched.gpus["GPU-node-1-0"].at > first)
        assert watched.gpus["GPU-node-1-0"].xid_at == at  # the gauge is sticky, the error is not
    async with watching(stream(fleet.server.url, "plain", pod("scorer-0"))) as later:
        await later.until(lambda: later.gpus)
        known = later.gpus["GPU-node-1-0"].xid_at
        assert known == pytest.approx(at, abs=0.01)  # the points of the past minutes tell it to who comes later


async def test_a_mig_instance_has_no_utilisation_made_up(fleet: Fleet) -> None:
    async with watching(stream(fleet.server.url, "plain")) as watched:
        await watched.until(lambda: "GPU-mig/7" in watched.gpus)
        instance = watched.gpus["GPU-mig/7"]
        assert instance.utilization_percent is None
        assert instance.mig_profile == "1g.10gb"
        assert instance.memory_used_bytes == 512 * MIB


async def test_exported_labels_name_the_holder_and_the_exporters_own_pod_is_none(fleet: Fleet) -> None:
    async with watching(stream(fleet.server.url, "operator")) as watched:
        await watched.until(lambda: len(watched.gpus) == 2)
        assert watched.gpus["GPU-node-2-0"].pod == "ml/scorer-1"
        assert watched.gpus["GPU-node-2-1"].pod == ""
    async with watching(stream(fleet.server.url, "operator", pod("scorer-1", "node-2"))) as watched:
        await watched.until(lambda: watched.gpus)
        assert list(watched.gpus) == ["GPU-node-2-0"]


async def test_amds_cards_have_the_figures_that_they_share(fleet: Fleet) -> None:
    async with watching(stream(fleet.server.url, "amd", pod("scorer-9", "amd-1"))) as watched:
        await watched.until(lambda: watched.gpus)
        gpu = watched.gpus["692251001124"]
        assert (gpu.index, gpu.name, gpu.host, gpu.pod) == (1, "MI300X", "amd-1", "ml/scorer-9")
        assert (gpu.utilization_percent, gpu.temperature_c, gpu.power_w) == (83, 61, 412)
        assert (gpu.memory_used_bytes, gpu.memory_total_bytes) == (2048 * MIB, 196592 * MIB)
        assert gpu.sm_clock_mhz is None
        assert gpu.clock_reasons is None


async def test_a_card_that_is_no_longer_scraped_grows_old_and_is_never_told_as_new(fleet: Fleet) -> None:
    async with watching(stream(fleet.server.url, "fading")) as watched:
        await watched.until(lambda: len(watched.gpus) == 2)
        fleet.pages["fading"].page = dcgm_page(card(0, "node-3"))
        last = watched.gpus["GPU-node-3-1"].at
        await watched.until(lambda: watched.gpus["GPU-node-3-0"].at > last + 2.5)
        assert watched.gpus["GPU-node-3-1"].at <= last + 1.5


async def test_a_prometheus_without_gpus_says_so(fleet: Fleet) -> None:
    async with watching(stream(fleet.server.url, "nowhere")) as watched:
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert 'Prometheus knows no GPU with {job="nowhere"}' in watched.health.reason
    async with saying() as says, watching(stream(says.url, "")) as watched:
        await watched.until(lambda: watched.health.state is SourceState.OFF)


async def test_partial_data_is_told(fleet: Fleet) -> None:
    labels = '"__name__":"DCGM_FI_DEV_GPU_UTIL","gpu":"0","UUID":"GPU-x","Hostname":"n"'
    async with saying() as says, watching(stream(says.url, "")) as watched:
        says.body = (
            '{"status":"success","warnings":["store 10.0.0.9 is out of reach"],"data":{"resultType":"matrix",'
            f'"result":[{{"metric":{{{labels}}},"values":[[{time.time():.3f},"7"]]}}]}}}}'
        )
        await watched.until(lambda: watched.health.state is SourceState.DEGRADED)
        assert "store 10.0.0.9 is out of reach" in watched.health.reason
        assert watched.gpus["GPU-x"].utilization_percent == 7


def test_a_series_that_ended_with_its_pod_says_nothing_of_the_card_now() -> None:
    def util(value: float, at: float, holder: str) -> Series:
        labels = {"__name__": "DCGM_FI_DEV_GPU_UTIL", **card(0, holder=holder)}
        return Series(labels, ((at, value),))

    (gpu,) = read_cards((util(99, 100.0, "gone"), util(5, 130.0, "present")), XidMemory())
    assert (gpu.utilization_percent, gpu.pod, gpu.at) == (5, "ml/present", 130.0)


async def test_an_exporter_that_fails_is_replaced_by_prometheus_and_returned_to(fleet: Fleet) -> None:
    exporter = Exporter(dcgm_page(card(0, "node-2")))
    context = StreamContext()
    direct = GpuDcgmStream(f"http://{exporter.address}/metrics", 0.02, context)
    both = [Candidate(direct, "dcgm-exporter"), Candidate(stream(fleet.server.url, "operator"), "Prometheus")]
    try:
        async with watching(ChosenGpuStream(both, context.clock, trial_every_s=0.1)) as watched:
            await watched.until(lambda: watched.health.reason == "from dcgm-exporter")
            exporter.page = "<html>moved</html>"
            await watched.until(lambda: "GPU-node-2-1" in watched.gpus)
            assert watched.gpus["GPU-node-2-0"].provider == "prometheus"
            assert watched.health.reason.startswith("from Prometheus, because dcgm-exporter fails: the reply of http")
            exporter.page = dcgm_page(card(0, "node-2"))
            await watched.until(lambda: watched.health.reason == "from dcgm-exporter")
            await watched.until(lambda: watched.gpus["GPU-node-2-0"].provider == "dcgm")
    finally:
        exporter.close()
