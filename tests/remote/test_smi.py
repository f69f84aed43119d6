"""GPUs by running nvidia-smi in the lab's container and over a real SSH server; the program is a stand-in."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.lab import Lab
from infdiag_tui.model import ClockReason, SourceState
from infdiag_tui.remote.beside import BesideModel, way_for_streams
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.gpus.smi import GpuSmiStream
from infdiag_tui.streams.gpus.smi_text import FIELDS, UnreadableError, parse, refused_field, without
from infdiag_tui.streams.registry import build_streams
from infdiag_tui.supervisor import Supervisor
from infdiag_tui.targets import Target
from tests.remote.smi_standin import CARD, StandIn
from tests.remote.ssh_server import USER, ssh_host
from tests.streams.gpus.helpers import Pods, watching
from tests.support import eventually

MIB = 2**20


@pytest.fixture
def smi(tools: Path) -> Iterator[StandIn]:
    one = StandIn(tools)
    yield one
    one.remove()


async def in_pods(lab: Lab) -> GpuSmiStream:
    """The stream as a session has it: pods watched through the lab's API."""
    section = {"kubeconfig": lab.kubeconfig_path, "namespace": lab.namespace, "selector": lab.selector, "logs": False}
    config = ModelConfig.model_validate({"kubernetes": section, "gpu": {"nvidia_smi": True, "find_dcgm": False}})
    context = StreamContext(user_agent="infdiag-test")
    context.beside = way_for_streams(Target("m", "", config, Config()), context)
    pods = next(stream for stream in build_streams(config, context) if stream.name == "pods")
    supervisor = Supervisor([pods], lambda _: None, SystemClock())
    task = asyncio.create_task(supervisor.run())
    roster = context.roster
    assert roster is not None
    await eventually(lambda: [pod for pod in roster.current().values() if pod.ready])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert context.beside is not None
    return GpuSmiStream(context.beside, SystemClock(), interval_s=0.05)


@pytest.mark.asyncio(loop_scope="session")
async def test_in_a_container_the_table_is_mapped_to_nvmls_fields(lab: Lab, smi: StandIn) -> None:
    stream = await in_pods(lab)
    async with watching(stream) as watched:
        await watched.until(lambda: watched.gpus)
        gpu = watched.gpus[CARD["uuid"]]
        pod = (await lab.replicas())[0].name
        assert (gpu.provider, gpu.pod, gpu.name, gpu.index) == ("nvidia-smi", f"{lab.namespace}/{pod}", "NVIDIA L4", 0)
        assert gpu.host
        assert (gpu.utilization_percent, gpu.temperature_c, gpu.power_w, gpu.power_limit_w) == (87, 71, 68.52, 72)
        assert (gpu.memory_used_bytes, gpu.memory_total_bytes) == (20480 * MIB, 23034 * MIB)
        assert gpu.clock_reasons == (ClockReason.SW_POWER_CAP, ClockReason.HW_THERMAL_SLOWDOWN)
        assert (gpu.pcie_generation, gpu.pcie_width_max, gpu.ecc_corrected) == (3, 16, 0)
        assert gpu.ecc_uncorrected is None
        assert gpu.mig_enabled is None
        assert not gpu.xid_watched
        assert watched.health.state is SourceState.LIVE


@pytest.mark.asyncio(loop_scope="session")
async def test_fields_of_another_driver_are_asked_for_by_their_old_names_or_left_out(lab: Lab, smi: StandIn) -> None:
    old = {**CARD, "clocks_throttle_reasons.active": "0x0000000000000004", "power.limit": "70.00"}
    unknown = ("clocks_event_reasons.active", "enforced.power.limit", "memory.reserved")
    smi.says(known=[field for field in old if field not in unknown], cards=[old])
    stream = await in_pods(lab)
    async with watching(stream) as watched:
        await watched.until(lambda: watched.gpus)
        gpu = watched.gpus[CARD["uuid"]]
        assert gpu.clock_reasons == (ClockReason.SW_POWER_CAP,)
        assert gpu.power_limit_w == 70
        assert gpu.memory_reserved_bytes is None
        before = len(smi.asked)
        await watched.until(lambda: len(smi.asked) > before + 2)
    assert before == 4  # three refusals, then the table
    assert len(set(smi.asked[3:])) == 1  # what the driver knows is remembered


@pytest.mark.asyncio(loop_scope="session")
async def test_a_card_that_falls_silent_and_a_driver_that_goes(lab: Lab, smi: StandIn) -> None:
    stream = await in_pods(lab)
    async with watching(stream) as watched:
        await watched.until(lambda: watched.gpus)
        smi.says(cards=[{**dict.fromkeys(CARD, "[Unknown Error]"), **{name: CARD[name] for name in list(CARD)[:3]}}])
        await watched.until(lambda: watched.gpus[CARD["uuid"]].lost)
        assert "[Unknown Error]" in watched.gpus[CARD["uuid"]].lost
        assert watched.health.state is SourceState.DEGRADED
        smi.says(instead="NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", code=9)
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert "exit code 9" in watched.health.reason
        assert "couldn't communicate with the NVIDIA driver" in watched.health.reason


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="this machine has one of its own")
async def test_a_container_without_the_program(lab: Lab) -> None:
    stream = await in_pods(lab)
    async with watching(stream) as watched:
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert "nvidia-smi cannot be run in container server of pod" in watched.health.reason
        assert "NVIDIA_DRIVER_CAPABILITIES" in watched.health.remedy


async def test_over_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    async with ssh_host(home, tmp_path / "host") as (host, key):
        host.trust(key)
        tools = tmp_path / "tools"
        tools.mkdir()
        StandIn(tools)
        monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        config = ModelConfig.model_validate({"ssh": {"host": "127.0.0.1", "port": host.port, "user": USER}})
        context = StreamContext()
        assert way_for_streams(Target("m", "", config, Config()), context) is None  # the config does not say so
        stream = GpuSmiStream(BesideModel(config, "m", context), SystemClock(), interval_s=0.05)
        async with watching(stream) as watched:
            await watched.until(lambda: watched.gpus)
            gpu = watched.gpus[CARD["uuid"]]
            assert (gpu.host, gpu.pod) == ("127.0.0.1", "")
        assert host.logins == 1


async def test_without_pods_it_says_that_there_is_nowhere_to_run_it() -> None:
    context = StreamContext(roster=Pods())
    stream = GpuSmiStream(BesideModel(ModelConfig(), "m", context), SystemClock(), interval_s=0.05)
    async with watching(stream) as watched:
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert "no pod of the model" in watched.health.reason


def test_units_headings_and_complaints_between_the_lines() -> None:
    fields = ("index", "uuid", "name", "utilization.gpu", "memory.used", "power.draw")
    text = (
        "index, uuid, name, utilization.gpu [%], memory.used [MiB], power.draw [W]\n"
        "0, GPU-aaaa-0, NVIDIA H100, 45 %, 1024 MiB, 300.10 W\n"
        "Unable to determine the device handle for GPU1: 0000:3B:00.0: Unknown Error\n"
        "2, GPU-aaaa-2, NVIDIA H100, [N/A], 2 GiB, [Not Supported]\n"
    )
    first, second = parse(text, fields, 1.0, host="n", pod="")
    assert (first.utilization_percent, first.memory_used_bytes, first.power_w) == (45, 1024 * MIB, 300.1)
    assert (second.utilization_percent, second.memory_used_bytes, second.power_w) == (None, 2 * 2**30, None)
    assert not second.lost


def test_refused_fields() -> None:
    assert refused_field('Field "memory.reserved" is not a valid field to query.\n') == "memory.reserved"
    assert refused_field("No devices were found") == ""
    assert "memory.reserved" not in without(FIELDS, "memory.reserved")
    assert "clocks_throttle_reasons.active" in without(FIELDS, "clocks_event_reasons.active")


@given(st.text(max_size=400), st.lists(st.text(alphabet="0123456789.%[]NA/xe, MiB", max_size=12), max_size=30))
def test_no_output_is_taken_for_more_than_it_is(text: str, cells: list[str]) -> None:
    row = ", ".join(["0", CARD["uuid"], "card", *cells])
    try:
        found = parse(f"{text}\n{row}", FIELDS[: 3 + len(cells)], 1.0, host="", pod="")
    except UnreadableError:
        return
    assert all(gpu.uuid.isprintable() and gpu.provider == "nvidia-smi" for gpu in found)
