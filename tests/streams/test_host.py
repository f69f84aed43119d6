"""The host stream on this very machine, and what it makes of the kernel's counters."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from contextlib import aclosing
from dataclasses import replace

import psutil
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.config import ModelConfig
from infdiag_tui.config.schema import Host
from infdiag_tui.model import HostState, Observation, Sample, SourceState, Status
from infdiag_tui.streams import host
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.host import Counters, HostStream

COUNTERS = Counters(
    monotonic_s=100.0,
    busy_s=50.0,
    total_s=400.0,
    load=(0.5, 0.4, 0.3),
    memory_total_bytes=1000,
    memory_available_bytes=400,
    swap_total_bytes=0,
    swap_used_bytes=0,
    disk=(1000, 2000),
    net=(300, 500),
    hostname="jump",
    cores=4,
)


async def first(stream: HostStream, count: int) -> list[list[Observation]]:
    """The observations of the first `count` readings, each beginning with its state."""
    readings: list[list[Observation]] = []
    async with asyncio.timeout(20), aclosing(stream.observe()) as observations:
        async for observation in observations:
            if isinstance(observation, HostState):
                if len(readings) == count:
                    break
                readings.append([])
            if readings:
                readings[-1].append(observation)
    return readings


def values(reading: list[Observation]) -> dict[str, float]:
    return {sample.key.metric: sample.value for sample in reading if isinstance(sample, Sample)}


def state_of(reading: list[Observation]) -> HostState:
    state = reading[0]
    assert isinstance(state, HostState)
    return state


async def test_the_first_reading_has_no_rates_and_the_second_has() -> None:
    stream = HostStream(0.05, StreamContext())
    one, two = await first(stream, 2)
    before, after = state_of(one), state_of(two)

    assert before.hostname == socket.gethostname()
    assert before.cores == psutil.cpu_count()
    assert before.memory_total_bytes == psutil.virtual_memory().total
    assert before.load is not None
    assert before.cpu_percent is None
    assert before.net_received_bytes_per_s is None
    assert before.disk_read_bytes_per_s is None
    assert "host.cpu_percent" not in values(one)
    assert "host.net_received_bytes_per_s" not in values(one)

    assert after.cpu_percent is not None
    assert 0 <= after.cpu_percent <= 100
    assert values(two)["host.cpu_percent"] == after.cpu_percent
    assert after.memory_available_bytes is not None
    assert values(two)["host.memory_used_bytes"] == before.memory_total_bytes - after.memory_available_bytes
    assert values(two)["host.load_1min"] == after.load[0] if after.load else False
    assert after.at > before.at


@given(st.floats(0, 1e9), st.floats(0.001, 100), st.floats(1e9, 2e9))
def test_an_interval_without_a_busy_tick_is_an_idle_one(busy_s: float, idle_s: float, total_s: float) -> None:
    # As the kernel's figures arrive: sums of floats whose difference may come out a hair below zero.
    before = replace(COUNTERS, busy_s=busy_s, total_s=total_s)
    after = replace(COUNTERS, monotonic_s=101.0, busy_s=busy_s - 1e-7, total_s=total_s + idle_s)
    assert host.host_state(1.0, before, after, {}).cpu_percent == 0.0


async def test_disk_use_of_the_root_file_system_is_what_df_says() -> None:
    (reading,) = await first(HostStream(1.0, StreamContext()), 1)
    use = os.statvfs("/")
    used, free_to_user = use.f_blocks - use.f_bfree, use.f_bavail
    assert abs(state_of(reading).disk_used_percent["/"] - 100 * used / (used + free_to_user)) < 1.0
    entities = {s.key.entity for s in reading if isinstance(s, Sample) and s.key.metric == "host.disk_used_percent"}
    assert entities == set(state_of(reading).disk_used_percent)


async def test_a_busy_core_shows_in_the_cpu_figure() -> None:
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1000))

    stream = HostStream(0.3, StreamContext())
    thread = threading.Thread(target=spin)
    thread.start()
    try:
        readings = await first(stream, 2)
    finally:
        stop.set()
        thread.join()
    cpu_percent = state_of(readings[1]).cpu_percent
    assert cpu_percent is not None
    assert cpu_percent > 100 / (psutil.cpu_count() or 1) / 2


async def test_a_mount_that_hangs_costs_only_the_disk_figures_and_recovers() -> None:
    release = threading.Event()
    calls = []

    def dead_mount() -> dict[str, float]:
        calls.append(1)
        release.wait()
        return {"/": 12.0}

    stream = HostStream(0.02, StreamContext(), read_disks=dead_mount, disk_timeout_s=0.1)
    seen: list[Observation] = []
    async with asyncio.timeout(20), aclosing(stream.observe()) as observations:
        async for observation in observations:
            seen.append(observation)
            if len([s for s in seen if isinstance(s, HostState)]) == 4:
                release.set()
            if isinstance(observation, HostState) and observation.disk_used_percent:
                break
    statuses = [s for s in seen if isinstance(s, Status)]
    assert [(s.state, s.aspect) for s in statuses] == [
        (SourceState.DEGRADED, "disks"),
        (SourceState.LIVE, "disks"),
    ]
    assert "file system" in statuses[0].reason
    assert statuses[0].remedy
    hanging = [s for s in seen if isinstance(s, HostState) and not s.disk_used_percent]
    assert len(hanging) >= 4
    assert any(state.cpu_percent is not None for state in hanging), "the CPU was read all the while"
    last = seen[-1]
    assert isinstance(last, HostState)
    assert last.disk_used_percent == {"/": 12.0}
    assert len(calls) == 2, "while one call hung, no other was made"


async def test_cancelling_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    stream = HostStream(0.05, StreamContext())
    started = asyncio.Event()

    async def consume() -> None:
        async with aclosing(stream.observe()) as observations:
            async for _ in observations:
                started.set()

    task = asyncio.create_task(consume())
    async with asyncio.timeout(10):
        await started.wait()
        task.cancel()
        await asyncio.wait({task})
        while set(threading.enumerate()) - before:
            await asyncio.sleep(0.005)
    assert task.cancelled()


def test_guest_time_is_not_counted_twice_and_waiting_for_disks_is_idle() -> None:
    times = {"user": 50.0, "nice": 1.0, "system": 20.0, "idle": 100.0, "iowait": 5.0, "guest": 30.0, "guest_nice": 1.0}
    assert host.cpu_seconds(times) == (71.0, 176.0)


def test_rates_are_per_second_of_the_monotonic_clock() -> None:
    later = replace(COUNTERS, monotonic_s=104.0, busy_s=51.0, total_s=404.0, disk=(1400, 2000), net=(700, 900))
    state = host.host_state(7.0, COUNTERS, later, {})
    assert state.cpu_percent == 25.0
    assert (state.disk_read_bytes_per_s, state.disk_write_bytes_per_s) == (100.0, 0.0)
    assert (state.net_received_bytes_per_s, state.net_sent_bytes_per_s) == (100.0, 100.0)


def test_what_the_system_hides_is_absent_and_never_a_sample() -> None:
    hidden = replace(COUNTERS, swap_total_bytes=None, swap_used_bytes=None, disk=None, net=None)
    state = host.host_state(7.0, COUNTERS, replace(hidden, monotonic_s=101.0), {})
    metrics = {sample.key.metric for sample in host.samples(state)}
    assert state.disk_read_bytes_per_s is None
    assert metrics == {"host.load_1min", "host.memory_used_bytes"}


@given(
    st.integers(0, 2**63),
    st.integers(0, 2**63),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
    st.floats(0.001, 1e6),
)
def test_no_figure_is_ever_negative_or_above_a_hundred_percent(
    old: int,
    new: int,
    busy_s: float,
    total_s: float,
    elapsed_s: float,
) -> None:
    later = replace(
        COUNTERS,
        monotonic_s=COUNTERS.monotonic_s + elapsed_s,
        busy_s=busy_s,
        total_s=total_s,
        net=(new, new),
    )
    state = host.host_state(0.0, replace(COUNTERS, net=(old, old)), later, {})
    if new < old:
        assert state.net_received_bytes_per_s is None
    else:
        assert state.net_received_bytes_per_s is not None
        assert state.net_received_bytes_per_s >= 0
    assert state.cpu_percent is None or 0 <= state.cpu_percent <= 100


def test_switched_off_builds_nothing() -> None:
    assert [s.name for s in host.build(ModelConfig(), StreamContext())] == ["host"]
    assert host.build(ModelConfig(host=Host(enabled=False)), StreamContext()) == []
