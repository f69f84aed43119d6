"""The dcgm-exporter stream against a real HTTP server: mapping, blanks, MIG, pods, Xids, faults and recovery."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.config import ModelConfig
from infdiag_tui.config.schema import Gpu
from infdiag_tui.model import ClockReason, GpuDevice, Observation, Sample, SourceState, Status
from infdiag_tui.streams import gpu_dcgm
from infdiag_tui.streams.base import SourceError, StreamContext
from infdiag_tui.streams.dcgm_text import parse
from infdiag_tui.streams.gpu_dcgm import GpuDcgmStream
from infdiag_tui.streams.gpus.account import XID_GAP_S, XidMemory

MIB = 1024 * 1024
LABELS = (
    'gpu="{gpu}",UUID="GPU-{gpu}",pci_bus_id="00000000:1{gpu}:00.0",device="nvidia{gpu}",'
    'modelName="NVIDIA H100 80GB HBM3",Hostname="node-7",DCGM_FI_DRIVER_VERSION="570.124.06"'
)
STOCK = {
    "DEV_SM_CLOCK": ("gauge", 1410),
    "DEV_MEM_CLOCK": ("gauge", 2619),
    "DEV_MEMORY_TEMP": ("gauge", 9223372036854775794),
    "DEV_GPU_TEMP": ("gauge", 71),
    "DEV_POWER_USAGE": ("gauge", 612.5),
    "DEV_TOTAL_ENERGY_CONSUMPTION": ("counter", 123456789),
    "DEV_PCIE_REPLAY_COUNTER": ("counter", 5),
    "DEV_GPU_UTIL": ("gauge", 97),
    "DEV_MEM_COPY_UTIL": ("gauge", 40),
    "DEV_XID_ERRORS": ("gauge", 0),
    "DEV_FB_FREE": ("gauge", 10959),
    "DEV_FB_USED": ("gauge", 70000),
    "DEV_FB_RESERVED": ("gauge", 600),
    "DEV_UNCORRECTABLE_REMAPPED_ROWS": ("counter", 2),
    "DEV_CORRECTABLE_REMAPPED_ROWS": ("counter", 1),
    "DEV_ROW_REMAP_FAILURE": ("gauge", 0),
    "PROF_GR_ENGINE_ACTIVE": ("gauge", 0.96),
    "PROF_PCIE_TX_BYTES": ("gauge", 1000000),
    "PROF_PCIE_RX_BYTES": ("gauge", 2500000),
}


def text(
    fields: dict[str, tuple[str, float]] = STOCK,
    labels: tuple[str, ...] = (LABELS.format(gpu=0),),
    **changed: float | None,
) -> str:
    """A reply as the exporter writes it; `changed` replaces values, None leaves the field out."""
    lines = []
    for name, (kind, stock) in fields.items():
        value = changed.get(name, stock)
        if value is not None:
            lines += [f"# HELP DCGM_FI_{name} Some words.", f"# TYPE DCGM_FI_{name} {kind}"]
            lines += [f"DCGM_FI_{name}{{{each}}} {value}" for each in labels]
    return "\n".join(lines) + "\n"


class Exporter:
    """What the server answers next."""

    def __init__(self) -> None:
        self.body = text().encode()
        self.status = 200
        self.requests: list[web.Request] = []
        self.release: asyncio.Event | None = None

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if self.release is not None:
            await self.release.wait()
        return web.Response(status=self.status, body=self.body, content_type="text/plain")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is on loopback whatever proxy this machine uses."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest.fixture
async def server(exporter: Exporter) -> AsyncIterator[BaseTestServer]:
    app = web.Application()
    app.router.add_get("/metrics", exporter.answer)
    async with TestServer(app, host="127.0.0.1") as running:
        yield running


def stream_of(server: BaseTestServer, timeout_s: float = 5.0, max_reply_bytes: int = 1_000_000) -> GpuDcgmStream:
    url = str(server.make_url("/metrics"))
    return GpuDcgmStream(url, 0.02, StreamContext(), timeout_s=timeout_s, max_reply_bytes=max_reply_bytes)


class Watching:
    def __init__(self, observations: AsyncIterator[Observation]) -> None:
        self._observations = observations
        self.seen: list[Observation] = []

    async def until(self, wanted: Callable[[Observation], bool]) -> Observation:
        async with asyncio.timeout(20):
            async for observation in self._observations:
                self.seen.append(observation)
                if wanted(observation):
                    return observation
        raise AssertionError("the stream ended")

    async def gpu(self, wanted: Callable[[GpuDevice], bool] = lambda _: True) -> GpuDevice:
        found = await self.until(lambda o: isinstance(o, GpuDevice) and wanted(o))
        assert isinstance(found, GpuDevice)
        return found


@asynccontextmanager
async def watching(stream: GpuDcgmStream) -> AsyncIterator[Watching]:
    async with aclosing(stream.observe()) as observations:
        yield Watching(observations)


async def failure(stream: GpuDcgmStream) -> SourceError:
    with pytest.raises(SourceError) as raised:
        async with watching(stream) as watch:
            await watch.until(lambda _: False)
    assert raised.value.remedy
    assert raised.value.state is SourceState.UNAVAILABLE
    return raised.value


async def test_the_stock_fields_of_a_card(server: BaseTestServer, exporter: Exporter) -> None:
    async with watching(stream_of(server)) as watch:
        gpu = await watch.gpu()
    assert gpu.at > 1.7e9
    assert replace(gpu, at=0.0) == GpuDevice(
        uuid="GPU-0",
        index=0,
        name="NVIDIA H100 80GB HBM3",
        at=0.0,
        provider="dcgm",
        host="node-7",
        driver="570.124.06",
        utilization_percent=97.0,
        memory_utilization_percent=40.0,
        memory_used_bytes=70000 * MIB,
        memory_total_bytes=81559 * MIB,
        memory_reserved_bytes=600 * MIB,
        temperature_c=71.0,
        power_w=612.5,
        sm_clock_mhz=1410,
        memory_clock_mhz=2619,
        remapped_rows=3,
        remap_failed=False,
        xid_watched=True,
        pcie_tx_bytes_per_s=1e6,
        pcie_rx_bytes_per_s=2.5e6,
        pcie_replays=5,
    )
    assert exporter.requests[0].headers["user-agent"] == "infdiag"


async def test_fields_that_are_off_by_default_are_read_where_they_are_told(
    server: BaseTestServer,
    exporter: Exporter,
) -> None:
    extra: dict[str, tuple[str, float]] = {
        "DEV_CLOCK_THROTTLE_REASONS": ("gauge", 0x44),
        "DEV_ECC_SBE_VOL_TOTAL": ("counter", 3),
        "DEV_ECC_DBE_VOL_TOTAL": ("counter", 1),
        "DEV_RETIRED_SBE": ("counter", 2),
        "DEV_RETIRED_DBE": ("counter", 1),
        "DEV_POWER_MGMT_LIMIT": ("gauge", 700),
        "DEV_MAX_SM_CLOCK": ("gauge", 1980),
        "DEV_PCIE_LINK_GEN": ("gauge", 4),
        "DEV_PCIE_MAX_LINK_GEN": ("gauge", 5),
        "DEV_PCIE_LINK_WIDTH": ("gauge", 8),
        "DEV_PCIE_MAX_LINK_WIDTH": ("gauge", 16),
        "DEV_ROW_REMAP_PENDING": ("gauge", 1),
    }
    exporter.body = text({**STOCK, **extra}).encode()
    async with watching(stream_of(server)) as watch:
        gpu = await watch.gpu()
    assert gpu.clock_reasons == (ClockReason.SW_POWER_CAP, ClockReason.HW_THERMAL_SLOWDOWN)
    assert (gpu.ecc_corrected, gpu.ecc_uncorrected, gpu.retired_pages) == (3, 1, 3)
    assert (gpu.power_limit_w, gpu.sm_clock_max_mhz) == (700.0, 1980)
    assert (gpu.pcie_generation, gpu.pcie_generation_max, gpu.pcie_width, gpu.pcie_width_max) == (4, 5, 8, 16)
    assert gpu.remap_pending is True


@pytest.mark.parametrize("blank", [9223372036854775794, 9223372036854775792, 140737488355328, float("nan")])
async def test_blank_values_are_absent_and_never_samples(
    server: BaseTestServer, exporter: Exporter, blank: float
) -> None:
    exporter.body = text(
        DEV_GPU_TEMP=blank,
        DEV_POWER_USAGE=blank,
        DEV_FB_USED=blank,
        DEV_SM_CLOCK=blank,
        DEV_XID_ERRORS=blank,
        DEV_ROW_REMAP_FAILURE=blank,
    ).encode()
    async with watching(stream_of(server)) as watch:
        gpu = await watch.gpu()
        await watch.gpu()
    assert (gpu.temperature_c, gpu.power_w, gpu.memory_used_bytes, gpu.memory_total_bytes) == (None,) * 4
    assert (gpu.sm_clock_mhz, gpu.xid, gpu.remap_failed) == (None, None, None)
    samples = {o.key: o.value for o in watch.seen if isinstance(o, Sample)}
    assert samples == {("gpu.utilization_percent", "GPU-0"): 97.0}


async def test_two_cards_and_their_pods(server: BaseTestServer, exporter: Exporter) -> None:
    idle = LABELS.format(gpu=1)
    held = LABELS.format(gpu=0) + ',container="server",namespace="prod",pod="scorer-5d9f"'
    exporter.body = text(labels=(idle, held)).encode()
    async with watching(stream_of(server)) as watch:
        gpus = [await watch.gpu(), await watch.gpu()]
    assert [(g.uuid, g.index, g.pod) for g in gpus] == [("GPU-0", 0, "prod/scorer-5d9f"), ("GPU-1", 1, "")]


async def test_a_card_shared_by_time_slicing_is_one_device_with_all_its_pods(
    server: BaseTestServer,
    exporter: Exporter,
) -> None:
    card = LABELS.format(gpu=0)
    exporter.body = text(labels=tuple(f'{card},namespace="prod",pod="scorer-{n}"' for n in (2, 1))).encode()
    async with watching(stream_of(server)) as watch:
        gpus = [await watch.gpu(), await watch.gpu()]
    assert {g.uuid for g in gpus} == {"GPU-0"}
    assert gpus[0].pod == "prod/scorer-1, prod/scorer-2"


async def test_mig_instances_are_devices_of_their_own_and_have_no_utilisation(
    server: BaseTestServer,
    exporter: Exporter,
) -> None:
    card = LABELS.format(gpu=0)
    exporter.body = text(
        labels=(f'{card},GPU_I_PROFILE="1g.10gb",GPU_I_ID="7"', f'{card},GPU_I_PROFILE="3g.40gb",GPU_I_ID="2"'),
        DEV_GPU_UTIL=None,
        PROF_GR_ENGINE_ACTIVE=None,
    ).encode()
    async with watching(stream_of(server)) as watch:
        gpus = [await watch.gpu(), await watch.gpu()]
    assert [(g.uuid, g.index, g.mig_profile, g.mig_enabled) for g in gpus] == [
        ("GPU-0/7", 0, "1g.10gb", True),
        ("GPU-0/2", 0, "3g.40gb", True),
    ]
    assert [g.utilization_percent for g in gpus] == [None, None]
    assert [g.memory_used_bytes for g in gpus] == [70000 * MIB] * 2


async def test_without_a_utilisation_field_the_engines_active_share_stands_for_it(
    server: BaseTestServer,
    exporter: Exporter,
) -> None:
    exporter.body = text(DEV_GPU_UTIL=None).encode()
    async with watching(stream_of(server)) as watch:
        assert (await watch.gpu()).utilization_percent == pytest.approx(96.0)


async def test_switches_and_other_metrics_are_no_gpus(server: BaseTestServer, exporter: Exporter) -> None:
    exporter.body = (
        text()
        + "# TYPE DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT gauge\n"
        + 'DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT{nvswitch="0"} 40\n'
        + '# TYPE go_goroutines gauge\ngo_goroutines{gpu="9"} 12\n'
    ).encode()
    async with watching(stream_of(server)) as watch:
        assert [(await watch.gpu()).uuid, (await watch.gpu()).uuid] == ["GPU-0", "GPU-0"]


async def test_an_xid_that_was_there_at_first_sight_has_no_time_and_a_new_one_has(
    server: BaseTestServer,
    exporter: Exporter,
) -> None:
    exporter.body = text(DEV_XID_ERRORS=31).encode()
    stream = stream_of(server)
    async with watching(stream) as watch:
        old = await watch.gpu()
        assert (old.xid, old.xid_at) == (31, None)
        again = await watch.gpu()
        assert (again.xid, again.xid_at) == (31, None)
        exporter.body = text(DEV_XID_ERRORS=79).encode()
        new = await watch.gpu(lambda g: g.xid == 79)
        assert new.xid_at is not None
        assert new.xid_at == new.at
        assert (await watch.gpu()).xid_at == new.xid_at
    async with watching(stream) as watch:
        assert (await watch.gpu()).xid_at == new.xid_at, "a restart of the stream forgets nothing"


def test_an_xid_that_came_while_nobody_looked_has_no_time() -> None:
    memory = XidMemory()
    assert memory.note("a", 0, 0.0) == (None, None)
    assert memory.note("a", 48, XID_GAP_S + 1) == (48, None)
    assert memory.note("a", 79, XID_GAP_S + 2) == (79, XID_GAP_S + 2)
    assert memory.note("a", None, XID_GAP_S + 3) == (None, None)
    assert memory.note("b", 79, XID_GAP_S + 3) == (79, None)


async def test_a_card_that_the_exporter_drops_stays_in_sight_as_lost_and_recovers(
    server: BaseTestServer,
    exporter: Exporter,
) -> None:
    both = (LABELS.format(gpu=0), LABELS.format(gpu=1))
    exporter.body = text(labels=both).encode()
    async with watching(stream_of(server)) as watch:
        await watch.gpu(lambda g: g.uuid == "GPU-1")
        exporter.body = text(labels=both[:1]).encode()
        lost = await watch.gpu(lambda g: bool(g.lost))
        assert (lost.uuid, lost.temperature_c) == ("GPU-1", 71.0)
        (status,) = [o for o in watch.seen if isinstance(o, Status)]
        assert (status.state, status.aspect) == (SourceState.DEGRADED, "GPU-1")
        assert "GPU 1 of node-7" in status.reason
        exporter.body = text(labels=both).encode()
        status_again = await watch.until(lambda o: isinstance(o, Status))
        assert isinstance(status_again, Status)
        assert (status_again.state, status_again.aspect) == (SourceState.LIVE, "GPU-1")
        assert (await watch.gpu(lambda g: g.uuid == "GPU-1")).lost == ""


@pytest.mark.parametrize("status", [302, 404, 500, 503])
async def test_another_status_than_200_is_named(server: BaseTestServer, exporter: Exporter, status: int) -> None:
    exporter.status = status
    error = await failure(stream_of(server))
    assert f"answers with status {status}" in error.reason
    assert "curl http://127.0.0.1" in error.remedy


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>Welcome to nginx!</body></html>\n", "not in Prometheus text format"),
        (b'DCGM_FI_DEV_GPU_UTIL{gpu="0 97\n', "not in Prometheus text format"),
        (b"\xff\xfe\x00 \x1b[31m\n", "not in Prometheus text format"),
        (b"# TYPE up gauge\nup 1\n", "tells of no GPU"),
        (b"", "tells of no GPU"),
    ],
)
async def test_a_reply_that_makes_no_sense_is_named(
    server: BaseTestServer,
    exporter: Exporter,
    body: bytes,
    words: str,
) -> None:
    exporter.body = body
    error = await failure(stream_of(server))
    assert words in error.reason
    assert "\x1b" not in error.reason
    assert ":9400/metrics" in error.remedy


async def test_a_reply_without_end_is_cut_off(server: BaseTestServer, exporter: Exporter) -> None:
    exporter.body = b"x" * 200_000
    assert "is larger than 0 MiB" in (await failure(stream_of(server, max_reply_bytes=100_000))).reason


async def test_a_server_that_does_not_answer_is_given_up(server: BaseTestServer, exporter: Exporter) -> None:
    exporter.release = asyncio.Event()
    error = await failure(stream_of(server, timeout_s=0.1))
    exporter.release.set()
    assert "does not answer within 0.1 s" in error.reason


async def test_a_server_that_goes_away_is_named_and_found_again(exporter: Exporter) -> None:
    app = web.Application()
    app.router.add_get("/metrics", exporter.answer)
    async with TestServer(app, host="127.0.0.1") as first:
        port = first.port
        assert port is not None
        stream = stream_of(first)
        async with watching(stream) as watch:
            await watch.gpu()
    assert "cannot be reached" in (await failure(stream)).reason
    again = web.Application()
    again.router.add_get("/metrics", exporter.answer)
    async with TestServer(again, host="127.0.0.1", port=port), watching(stream) as watch:
        assert (await watch.gpu()).uuid == "GPU-0"


@pytest.mark.parametrize("url", ["http://[::1/metrics", "ftp://node:9400/metrics", "node:9400"])
async def test_a_url_that_is_none_is_named(url: str) -> None:
    error = await failure(GpuDcgmStream(url, 1.0, StreamContext()))
    assert "cannot be reached" in error.reason


async def test_a_password_in_the_url_is_never_shown() -> None:
    error = await failure(GpuDcgmStream("http://user:hunter22@127.0.0.1:1/metrics", 1.0, StreamContext()))
    assert "hunter22" not in error.reason + error.remedy


async def test_labels_are_made_printable(server: BaseTestServer, exporter: Exporter) -> None:
    exporter.body = text(labels=('gpu="0",UUID="GPU-\x1b[31m0",modelName="H\x07100",Hostname="a\\nb"',)).encode()
    async with watching(stream_of(server)) as watch:
        gpu = await watch.gpu()
    assert (gpu.uuid, gpu.name, gpu.host) == ("GPU-0", "H100", "a b")


async def test_cancelling_leaves_no_thread_and_no_connection(server: BaseTestServer, exporter: Exporter) -> None:
    before = set(threading.enumerate())
    exporter.release = asyncio.Event()

    async def consume() -> None:
        async with watching(stream_of(server)) as watch:
            await watch.until(lambda _: False)

    task = asyncio.create_task(consume())
    async with asyncio.timeout(10):
        while not exporter.requests:
            await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.wait({task})
        exporter.release.set()
        while set(threading.enumerate()) - before or exporter.requests[0].transport is not None:
            await asyncio.sleep(0.005)
    assert task.cancelled()


_FRAGMENTS = st.sampled_from(
    [
        *'{}=",\\ \n1',
        "DCGM_FI_DEV_GPU_UTIL",
        'gpu="0"',
        'UUID="a"',
        "# TYPE ",
        "# HELP ",
        "gauge",
        "counter",
        "NaN",
        "9e99",
    ],
)


@given(st.lists(_FRAGMENTS, max_size=20).map("".join) | st.text())
def test_any_text_is_either_understood_or_refused(garbled: str) -> None:
    try:
        entities = parse(garbled)
    except ValueError:
        return
    for entity in entities:
        assert entity.uuid
        assert all(abs(value) < 2**47 for value in entity.values.values())


def test_only_a_config_with_a_url_builds_the_stream() -> None:
    assert gpu_dcgm.build(ModelConfig(), StreamContext()) == []
    (stream,) = gpu_dcgm.build(ModelConfig(gpu=Gpu(dcgm_url="http://node:9400/metrics")), StreamContext())
    assert stream.name == "dcgm"
