"""The NVML stream through the real pynvml on a stand-in driver library: figures, faults, recovery, clean ending."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pynvml
import pytest

from infdiag_tui.config import ModelConfig
from infdiag_tui.config.schema import Gpu
from infdiag_tui.model import ClockReason, SourceState
from infdiag_tui.streams import gpu_nvml
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.nvml_calls import start_failure
from infdiag_tui.streams.nvml_clock_reasons import clock_reasons
from tests.nvml.driver import Driver, compile_standin, watching

MIB = 1024 * 1024
IN_FIRST_PID_NAMESPACE = str(Path("/proc/self/ns/pid").readlink()) == "pid:[4026531836]"


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_standin(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def old_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_standin(tmp_path_factory.mktemp("nvml-old"), "-DOLD_DRIVER")


@pytest.fixture
def driver(library: Path, tmp_path: Path) -> Driver:
    return Driver(tmp_path, library)


def busy(driver: Driver, index: int = 0) -> None:
    """A working card with every figure that the stand-in has."""
    figures = {
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": f"GPU-{index}",
        "util": 97,
        "memutil": 40,
        "mem_total": 81559 * MIB,
        "mem_used": 70000 * MIB,
        "mem_reserved": 600 * MIB,
        "temp": 71,
        "power": 612_000,
        "power_limit": 700_000,
        "sm": 1410,
        "memclk": 2619,
        "reasons": "0x44",
        "ecc_corr": 3,
        "ecc_uncorr": 1,
        "retired_sbe": 2,
        "retired_dbe": 1,
        "remap_corr": 1,
        "remap_uncorr": 2,
        "remap_pending": 1,
        "pcie_tx": 1000,
        "pcie_rx": 2500,
        "pcie_gen": 4,
        "pcie_width": 8,
        "pcie_replay": 5,
        "mig": 0,
    }
    driver.set(**{f"gpu{index}.{key}": value for key, value in figures.items()})


async def test_every_figure_of_a_busy_card(driver: Driver) -> None:
    busy(driver)
    driver.set(**{"gpu0.proc0": f"{os.getpid()} 1000 C", "gpu0.proc1": "999999 5000 G", "gpu0.proc2": "999999 4000 C"})
    async with watching(driver) as watch:
        gpu = await watch.gpu()
    processes = gpu.pop("processes")
    at = gpu.pop("at")
    host = gpu.pop("host")
    assert at > 1.7e9
    assert host
    assert gpu == {
        "kind": "GpuDevice",
        "uuid": "GPU-0",
        "index": 0,
        "name": "NVIDIA H100 80GB HBM3",
        "provider": "nvml",
        "driver": "570.124.06",
        "mig_profile": "",
        "mig_enabled": False,
        "utilization_percent": 97.0,
        "memory_utilization_percent": 40.0,
        "memory_used_bytes": 70000 * MIB,
        "memory_total_bytes": 81559 * MIB,
        "memory_reserved_bytes": 600 * MIB,
        "temperature_c": 71.0,
        "power_w": pytest.approx(612.0),
        "power_limit_w": pytest.approx(700.0),
        "sm_clock_mhz": 1410,
        "sm_clock_max_mhz": 1980,
        "memory_clock_mhz": 2619,
        "memory_clock_max_mhz": 2619,
        "clock_reasons": [ClockReason.SW_POWER_CAP, ClockReason.HW_THERMAL_SLOWDOWN],
        "ecc_corrected": 3,
        "ecc_uncorrected": 1,
        "retired_pages": 3,
        "remapped_rows": 3,
        "remap_pending": True,
        "remap_failed": False,
        "pcie_generation": 4,
        "pcie_generation_max": 5,
        "pcie_width": 8,
        "pcie_width_max": 16,
        "pcie_tx_bytes_per_s": 1e6,
        "pcie_rx_bytes_per_s": 2.5e6,
        "pcie_replays": 5,
        "xid_watched": True,
        "xid": None,
        "xid_at": None,
        "pod": "",
        "lost": "",
    }
    assert [(p["pid"], p["memory_bytes"], p["kind"]) for p in processes] == [
        (999999, 5000, "compute+graphics"),
        (os.getpid(), 1000, "compute"),
    ]
    own_name = Path("/proc/self/comm").read_text().strip() if IN_FIRST_PID_NAMESPACE else ""
    assert [p["name"] for p in processes] == ["", own_name]


async def test_samples_bear_the_uuid_and_only_figures_that_exist(driver: Driver) -> None:
    busy(driver)
    driver.set(gpu0__util=None)
    async with watching(driver) as watch:
        reading = await watch.reading()
    samples = {tuple(o["key"]): o["value"] for o in reading if o["kind"] == "Sample"}
    assert samples == {
        ("gpu.memory_used_bytes", "GPU-0"): 70000 * MIB,
        ("gpu.temperature_c", "GPU-0"): 71.0,
        ("gpu.power_w", "GPU-0"): pytest.approx(612.0),
        ("gpu.sm_clock_mhz", "GPU-0"): 1410.0,
    }


ABSENT = {
    "nvmlDeviceGetUtilizationRates": ("utilization_percent", "memory_utilization_percent"),
    "nvmlDeviceGetPowerUsage": ("power_w",),
    "nvmlDeviceGetClockInfo": ("sm_clock_mhz", "memory_clock_mhz"),
    "nvmlDeviceGetTotalEccErrors": ("ecc_corrected", "ecc_uncorrected"),
    "nvmlDeviceGetRetiredPages": ("retired_pages",),
    "nvmlDeviceGetRemappedRows": ("remapped_rows", "remap_pending", "remap_failed"),
    "nvmlDeviceGetCurrPcieLinkGeneration": ("pcie_generation",),
    "nvmlDeviceGetCurrPcieLinkWidth": ("pcie_width",),
    "nvmlDeviceGetPcieThroughput": ("pcie_tx_bytes_per_s", "pcie_rx_bytes_per_s"),
    "nvmlDeviceGetPcieReplayCounter": ("pcie_replays",),
    "nvmlDeviceGetMigMode": ("mig_enabled",),
}


@pytest.mark.parametrize("code", [3, 4, 6, 999], ids=["not-supported", "no-permission", "not-found", "unknown"])
async def test_what_a_card_refuses_is_absent_and_the_rest_stays(driver: Driver, code: int) -> None:
    busy(driver)
    driver.set(**{f"gpu0.ret.{function}": code for function in ABSENT})
    async with watching(driver) as watch:
        gpu = await watch.gpu()
    absent = {field for fields in ABSENT.values() for field in fields}
    assert {field for field in absent if gpu[field] is not None} == set()
    assert (gpu["temperature_c"], gpu["lost"], gpu["memory_used_bytes"]) == (71.0, "", 70000 * MIB)


async def test_temperature_clock_reasons_and_processes_may_be_absent_too(driver: Driver) -> None:
    busy(driver)
    refused = (
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetTemperatureV",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        *(
            f"nvmlDeviceGet{kind}RunningProcesses_v{v}"
            for kind in ("Compute", "Graphics", "MPSCompute")
            for v in (2, 3)
        ),
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetMemoryInfo_v2",
    )
    driver.set(**{f"gpu0.ret.{function}": 3 for function in refused})
    async with watching(driver) as watch:
        gpu = await watch.gpu()
    assert (gpu["temperature_c"], gpu["clock_reasons"], gpu["processes"]) == (None, None, None)
    assert (gpu["memory_used_bytes"], gpu["memory_total_bytes"]) == (None, None)
    assert gpu["utilization_percent"] == 97.0


async def test_a_card_that_nothing_slows_and_nobody_uses_says_so_instead_of_being_absent(driver: Driver) -> None:
    busy(driver)
    driver.set(gpu0__reasons=0, gpu0__util=0)
    async with watching(driver) as watch:
        gpu = await watch.gpu()
    assert (gpu["clock_reasons"], gpu["processes"], gpu["utilization_percent"]) == ([], [], 0.0)


async def test_an_old_driver_is_asked_by_the_old_names(old_library: Path, tmp_path: Path) -> None:
    driver = Driver(tmp_path, old_library)
    busy(driver)
    driver.set(**{"gpu0.proc0": "4242 1000 C", "gpu0.proc1": "4343 10 G"})
    async with watching(driver) as watch:
        gpu = await watch.gpu()
    assert gpu["memory_used_bytes"] == 70600 * MIB, "version 1 counts what the driver reserves as used"
    assert gpu["memory_reserved_bytes"] is None
    assert gpu["clock_reasons"] == [ClockReason.SW_POWER_CAP, ClockReason.HW_THERMAL_SLOWDOWN]
    assert [(p["pid"], p["kind"]) for p in gpu["processes"]] == [(4242, "compute"), (4343, "graphics")]


async def test_one_lost_card_keeps_its_last_figures_while_the_other_goes_on(driver: Driver) -> None:
    driver.set(count=2)
    busy(driver, 0)
    busy(driver, 1)
    async with watching(driver) as watch:
        before = await watch.gpu(1)
        driver.set(gpu1__lost=1, gpu0__temp=90)
        status = await watch.until("Status")
        assert (status["state"], status["aspect"]) == ("degraded", "GPU 1")
        assert "GPU 1 no longer answers: GPU is lost" in status["reason"]
        assert "Xid 79" in status["remedy"]
        lost = await watch.gpu(1)
        assert lost["lost"] == "GPU is lost"
        assert lost["temperature_c"] == 71.0
        assert lost["at"] >= before["at"]
        frozen_at = lost["at"]
        assert (await watch.gpu(0, lambda o: o["temperature_c"] == 90.0))["lost"] == ""
        reading = await watch.reading()
        assert [o["at"] for o in reading if o["kind"] == "GpuDevice" and o["index"] == 1] == [frozen_at]
        assert {o["key"][1] for o in reading if o["kind"] == "Sample"} == {"GPU-0"}, "old figures are no new samples"
        assert not [o for o in reading if o["kind"] == "Status"], "said once"

        driver.set(gpu1__lost=0)
        status = await watch.until("Status")
        assert (status["state"], status["aspect"]) == ("live", "GPU 1")
        assert (await watch.gpu(1))["lost"] == ""


async def test_a_card_that_answers_nothing_but_errors_is_lost(driver: Driver) -> None:
    busy(driver)
    async with watching(driver) as watch:
        await watch.gpu()
        driver.set(all_ret=999)
        gpu = await watch.gpu(0, lambda o: bool(o["lost"]))
    assert gpu["lost"] == "it answers nothing: Unknown Error"


async def test_a_card_that_never_opens_is_named_and_the_others_are_read(driver: Driver) -> None:
    driver.set(count=2, gpu1__handle_ret=15)
    busy(driver, 0)
    async with watching(driver) as watch:
        status = await watch.until("Status")
        assert "GPU 1 no longer answers: GPU is lost" in status["reason"]
        reading = await watch.reading()
    assert [o["index"] for o in reading if o["kind"] == "GpuDevice"] == [0]


async def test_a_card_lost_before_its_first_reading_is_listed_without_figures(driver: Driver) -> None:
    busy(driver)
    driver.set(**{"gpu0.ret.nvmlDeviceGetUtilizationRates": 15})
    async with watching(driver) as watch:
        gpu = await watch.gpu()
    assert (gpu["uuid"], gpu["lost"], gpu["temperature_c"]) == ("GPU-0", "GPU is lost", None)


async def test_a_card_that_was_reset_is_back_after_the_driver_was_opened_anew(driver: Driver) -> None:
    driver.set(count=2, gpu1__handle_ret=15)
    busy(driver, 0)
    busy(driver, 1)
    async with watching(driver, reopen_s=0.2) as watch:
        assert (await watch.until("Status"))["aspect"] == "GPU 1"
        driver.set(gpu1__handle_ret=0)
        status = await watch.until("Status")
        assert (status["state"], status["aspect"]) == ("live", "GPU 1")
        assert (await watch.gpu(1))["lost"] == ""
        assert await watch.end() == []
    assert not [o for o in watch.seen if o["kind"] == "SourceError"]
    calls = driver.calls()
    once = ["nvmlInit", "nvmlEventSetCreate", "nvmlEventSetFree", "nvmlShutdown"]
    assert len(calls) >= 2 * len(once)
    assert calls == once * (len(calls) // len(once))


async def test_no_card_that_opens_is_a_failure_of_the_source(driver: Driver) -> None:
    driver.set(gpu0__handle_ret=999)
    async with watching(driver) as watch:
        error = await watch.until("SourceError")
        assert "opens none of its GPUs (GPU 0: Unknown Error)" in error["reason"]
        driver.set(gpu0__handle_ret=0)
        await watch.gpu()


@pytest.mark.parametrize(("asked_for", "state"), [(False, "off"), (True, "unavailable")])
async def test_no_driver_library_is_a_fault_only_where_it_was_asked_for(
    tmp_path: Path, asked_for: bool, state: str
) -> None:
    async with watching(Driver(tmp_path, None), asked_for=asked_for) as watch:
        error = await watch.until("SourceError")
        assert error["reason"] == "no NVIDIA driver on this machine"
        assert "gpu.dcgm_url" in error["remedy"]
        assert ("gpu.nvml = true" in error["remedy"]) is asked_for
        assert (error["state"], error["retry_after_s"]) == (state, 30.0)
        await watch.until("SourceError")
        assert await watch.end() == []


@pytest.mark.parametrize(
    ("code", "state", "words"),
    [
        (9, "unavailable", "the NVIDIA driver is not loaded on this machine"),
        (4, "forbidden", "this user may not open the NVIDIA driver"),
        (18, "unavailable", "the NVIDIA library and the loaded kernel module have different versions"),
        (999, "unavailable", "the NVIDIA driver does not start: Unknown Error"),
        (20, "unavailable", "the NVIDIA driver does not start: Insufficient Memory"),
    ],
)
async def test_a_driver_that_does_not_start_is_named_and_found_once_it_does(
    driver: Driver,
    code: int,
    state: str,
    words: str,
) -> None:
    busy(driver)
    driver.set(init_ret=code)
    async with watching(driver) as watch:
        error = await watch.until("SourceError")
        assert (error["reason"], error["state"]) == (words, state)
        assert error["remedy"]
        assert error["retry_after_s"] == 30.0
        driver.set(init_ret=0)
        await watch.gpu()


def test_a_driver_that_was_there_and_is_gone_is_a_fault_though_nobody_asked_for_it() -> None:
    missing = pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    lost = start_failure(missing, seen_before=True, asked_for=False)

    assert (lost.state, lost.reason) == (SourceState.UNAVAILABLE, "no NVIDIA driver on this machine any more")
    assert lost.retry_after_s == 3.0


async def test_a_driver_without_gpus_says_so(driver: Driver) -> None:
    driver.set(count=0)
    async with watching(driver) as watch:
        assert "sees no GPU" in (await watch.until("SourceError"))["reason"]


@pytest.mark.parametrize("code", [1, 9, 18])
async def test_a_driver_lost_in_mid_flight_is_named_opened_anew_and_soon_retried(driver: Driver, code: int) -> None:
    busy(driver)
    async with watching(driver) as watch:
        await watch.gpu()
        driver.set(all_ret=code, init_ret=9)
        error = await watch.until("SourceError")
        assert error["reason"].startswith("the NVIDIA driver went away: ")
        assert error["retry_after_s"] == 3.0
        error = await watch.until("SourceError")
        assert error["reason"] == "the NVIDIA driver is not loaded on this machine any more"
        assert error["retry_after_s"] == 3.0
        driver.set(all_ret=0, init_ret=0, gpu0__temp=50)
        assert (await watch.gpu())["temperature_c"] == 50.0
        assert await watch.end() == []
    assert driver.calls() == ["nvmlInit", "nvmlEventSetCreate", "nvmlEventSetFree", "nvmlShutdown"] * 2


async def test_a_hung_driver_is_reported_without_piling_up_threads_and_recovers(driver: Driver) -> None:
    busy(driver)
    async with watching(driver, read_timeout_s=0.3) as watch:
        await watch.gpu()
        driver.set(hang=1)
        errors = [await watch.until("SourceError") for _ in range(10)]
        assert errors[0]["reason"].startswith("the NVIDIA driver does not answer: a call has been waiting for")
        assert "nvidia-smi" in errors[0]["remedy"]
        assert errors[0]["state"] == "unavailable"
        assert {tuple(error["threads"]) for error in errors} == {("nvml", "nvml xid")}
        driver.set(hang=0, gpu0__temp=44)
        gpu = await watch.gpu()
        assert gpu["temperature_c"] == 44.0
        assert await watch.end() == []


async def test_a_driver_that_hangs_while_opening_is_reported(driver: Driver) -> None:
    driver.set(hang=1)
    async with watching(driver, open_timeout_s=0.3) as watch:
        assert "does not answer" in (await watch.until("SourceError"))["reason"]
        driver.set(hang=0)
        await watch.gpu()


async def test_an_xid_event_is_kept_with_its_time_and_outlives_the_card(driver: Driver) -> None:
    driver.set(count=2)
    busy(driver, 0)
    busy(driver, 1)
    async with watching(driver) as watch:
        first = await watch.gpu(1)
        assert (first["xid"], first["xid_at"]) == (None, None)
        driver.set(xid="1 1 79", gpu1__lost=1)
        gpu = await watch.gpu(1, lambda o: o["xid"] is not None)
        assert gpu["xid"] == 79
        assert gpu["xid_at"] >= first["at"]
        assert (await watch.gpu(1, lambda o: bool(o["lost"])))["xid"] == 79
        assert (await watch.gpu(0))["xid"] is None
        driver.set(all_ret=9)  # the driver goes away and comes back: the Xid was seen and stays known
        await watch.until("SourceError")
        driver.set(all_ret=0, gpu1__lost=0)
        assert (await watch.gpu(1))["xid"] == 79


async def test_failing_waits_for_events_cost_only_the_xids(driver: Driver) -> None:
    busy(driver)
    async with watching(driver) as watch:
        await watch.gpu()
        driver.set(wait_ret=999)
        status = await watch.until("Status")
        assert (status["state"], status["aspect"]) == ("degraded", "xid")
        assert "dmesg" in status["remedy"]
        assert (await watch.gpu())["lost"] == ""
        driver.set(wait_ret=0)
        assert (await watch.until("Status"))["state"] == "live"
        driver.set(xid="1 0 31")
        await watch.gpu(0, lambda o: o["xid"] == 31)


async def test_a_driver_without_events_is_read_all_the_same(driver: Driver) -> None:
    busy(driver)
    driver.set(**{"gpu0.ret.nvmlDeviceRegisterEvents": 3})
    async with watching(driver) as watch:
        await watch.reading()
        assert not [o for o in watch.seen if o["kind"] == "Status"]
        assert await watch.end() == []
    assert driver.calls() == ["nvmlInit", "nvmlEventSetCreate", "nvmlEventSetFree", "nvmlShutdown"]


async def test_mig_instances_are_listed_with_their_memory_and_without_utilisation(driver: Driver) -> None:
    busy(driver)
    driver.set(gpu0__mig=1, gpu0__migs=2, gpu0__util=None)
    for number, profile in enumerate(("1g.10gb", "3g.40gb")):
        driver.set(
            **{
                f"gpu0.mig{number}.uuid": f"MIG-{number}",
                f"gpu0.mig{number}.name": f"NVIDIA H100 80GB HBM3 MIG {profile}",
                f"gpu0.mig{number}.mem_total": 10 * MIB,
                f"gpu0.mig{number}.mem_used": (number + 1) * MIB,
                f"gpu0.mig{number}.proc0": f"{100 + number} 512 C",
            },
        )
    async with watching(driver) as watch:
        reading = [o for o in await watch.reading() if o["kind"] == "GpuDevice"]
        assert [(o["uuid"], o["mig_profile"], o["mig_enabled"]) for o in reading] == [
            ("GPU-0", "", True),
            ("MIG-0", "1g.10gb", True),
            ("MIG-1", "3g.40gb", True),
        ]
        assert [o["index"] for o in reading] == [0, 0, 0]
        assert [o["memory_used_bytes"] for o in reading[1:]] == [MIB, 2 * MIB]
        assert [o["processes"][0]["pid"] for o in reading[1:]] == [100, 101]
        assert [o["utilization_percent"] for o in reading] == [None, None, None]
        assert [o["temperature_c"] for o in reading] == [71.0, None, None]

        driver.set(gpu0__migs=1)
        gone = await watch.gpu(0, lambda o: o["uuid"] == "MIG-1" and bool(o["lost"]))
        assert gone["lost"] == "this MIG instance no longer exists"
        driver.set(gpu0__lost=1)
        await watch.gpu(0, lambda o: o["uuid"] == "MIG-0" and o["lost"] == "GPU is lost")


async def test_ending_leaves_no_thread_and_closes_the_driver(driver: Driver) -> None:
    busy(driver)
    async with watching(driver) as watch:
        await watch.reading()
        assert await watch.end() == []
    assert driver.calls() == ["nvmlInit", "nvmlEventSetCreate", "nvmlEventSetFree", "nvmlShutdown"]


async def test_names_from_the_driver_are_made_printable(driver: Driver) -> None:
    busy(driver)
    driver.set(gpu0__name="NVIDIA \x1b[31mH100\x07 80GB", driver="570\x1b]0;x\x07.1")
    async with watching(driver) as watch:
        gpu = await watch.gpu()
    assert (gpu["name"], gpu["driver"]) == ("NVIDIA H100 80GB", "570.1")


def test_every_clock_reason_has_its_bit_and_an_unknown_bit_is_not_hidden() -> None:
    assert clock_reasons(0) == ()
    named = [clock_reasons(1 << bit) for bit in range(9)]
    assert [len(reasons) for reasons in named] == [1] * 9
    assert {reason for reasons in named for reason in reasons} == set(ClockReason) - {ClockReason.OTHER}
    assert clock_reasons(0x208) == (ClockReason.HW_SLOWDOWN, ClockReason.OTHER)


def test_only_the_config_decides_and_building_starts_nothing() -> None:
    threads = threading.active_count()
    (stream,) = gpu_nvml.build(ModelConfig(), StreamContext())
    assert stream.name == "gpu"
    assert gpu_nvml.build(ModelConfig(gpu=Gpu(nvml=False)), StreamContext()) == []
    dcgm = "http://node:9400/metrics"
    assert gpu_nvml.build(ModelConfig(gpu=Gpu(dcgm_url=dcgm)), StreamContext()) == []
    assert len(gpu_nvml.build(ModelConfig(gpu=Gpu(nvml=True, dcgm_url=dcgm)), StreamContext())) == 1
    assert threading.active_count() == threads
