"""This machine: CPU, load, memory, swap, disks and network, read with psutil."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from infdiag_tui.config import ModelConfig
from infdiag_tui.model import HostState, Observation, Sample, SeriesKey, SourceState, Status
from infdiag_tui.streams.base import SourceError, Stream, StreamContext
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.text import one_line

READ_TIMEOUT_S = 5.0
DISK_TIMEOUT_S = 2.0
_HALF_TICK_S = 0.005
"""The kernel counts CPU time in ticks of 10 ms (USER_HZ)."""
DISKS = "disks"
"""Aspect of the source that says when a file system does not answer."""


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The host stream, unless it was switched off."""
    return [HostStream(config.host.interval_s, context)] if config.host.enabled else []


class HostStream:
    """A `HostState` and its samples every `interval_s`.

    Figures are read on a thread; file systems on one of their own, because asking a dead network mount hangs and must
    not take CPU and memory with it.
    """

    name = "host"

    def __init__(
        self,
        interval_s: float,
        context: StreamContext,
        *,
        read_disks: Callable[[], Mapping[str, float]] | None = None,
        disk_timeout_s: float = DISK_TIMEOUT_S,
    ) -> None:
        self.stale_after_s = max(10.0, 3 * interval_s)
        self._interval_s = interval_s
        self._clock = context.clock
        self._read_disks = read_disks or disk_use
        self._disk_timeout_s = disk_timeout_s
        self._figures_thread = SoleThread("host figures", context.clock.monotonic)
        self._disks_thread = SoleThread("host disks", context.clock.monotonic)

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled; raises `SourceError` when the system's own counters do not answer."""
        before: Counters | None = None
        disks_fine = True
        try:
            while True:
                began = self._clock.monotonic()
                counters = await self._counters()
                now = self._clock.now()
                disks: Mapping[str, float] = {}
                try:
                    disks = await self._disks_thread.call(self._read_disks, timeout_s=self._disk_timeout_s)
                    if not disks_fine:
                        yield Status(SourceState.LIVE, now, aspect=DISKS)
                    disks_fine = True
                except StuckCallError as stuck:
                    if disks_fine:
                        yield _hanging_mount(now, stuck)
                    disks_fine = False
                state = host_state(now, before, counters, disks)
                before = counters
                yield state
                for sample in samples(state):
                    yield sample
                await asyncio.sleep(max(0.0, self._interval_s - (self._clock.monotonic() - began)))
        finally:
            self._figures_thread.close()
            self._disks_thread.close()

    async def _counters(self) -> Counters:
        monotonic = self._clock.monotonic
        try:
            return await self._figures_thread.call(lambda: Counters.read(monotonic()), timeout_s=READ_TIMEOUT_S)
        except StuckCallError as stuck:
            raise SourceError(
                f"this machine's counters in /proc have not answered for {stuck.waited_s:.0f} s",
                remedy="the machine is badly overloaded or its kernel hangs: look at dmesg",
            ) from stuck
        except (OSError, RuntimeError) as error:
            raise SourceError(
                f"this machine's counters cannot be read: {one_line(str(error))}",
                remedy="check that /proc and /sys are mounted and readable for this user",
            ) from error


def _hanging_mount(at: float, stuck: StuckCallError) -> Status:
    return Status(
        SourceState.DEGRADED,
        at,
        f"a file system has not answered for {stuck.waited_s:.0f} s, so disk use is unknown",
        remedy="a network mount probably hangs: try `df` and look at dmesg",
        aspect=DISKS,
    )


@dataclass(frozen=True, slots=True)
class Counters:
    """What the system counts, as read at one moment of the monotonic clock; None where it can't be read."""

    monotonic_s: float
    busy_s: float
    total_s: float
    load: tuple[float, float, float]
    memory_total_bytes: int
    memory_available_bytes: int
    swap_total_bytes: int | None
    swap_used_bytes: int | None
    disk: tuple[int, int] | None = None
    """Bytes read and written since boot."""
    net: tuple[int, int] | None = None
    """Bytes received and sent since boot."""
    hostname: str = field(default_factory=lambda: one_line(socket.gethostname()))
    cores: int = field(default_factory=lambda: psutil.cpu_count() or 1)

    @classmethod
    def read(cls, monotonic_s: float) -> Counters:
        """Reads them (blocking, a few milliseconds)."""
        busy_s, total_s = cpu_seconds(psutil.cpu_times()._asdict())
        memory = psutil.virtual_memory()
        swap = _swap()
        return cls(
            monotonic_s=monotonic_s,
            busy_s=busy_s,
            total_s=total_s,
            load=os.getloadavg(),
            memory_total_bytes=memory.total,
            memory_available_bytes=memory.available,
            swap_total_bytes=swap[0] if swap else None,
            swap_used_bytes=swap[1] if swap else None,
            disk=_disk_bytes(),
            net=_net_bytes(),
        )


def cpu_seconds(times: Mapping[str, float]) -> tuple[float, float]:
    """Busy and total CPU seconds since boot, of all cores together.

    The kernel counts guest time within user time as well (proc_stat(5)), so it is left out of the sum; waiting for I/O
    is idle time.
    """
    total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    idle = times["idle"] + times.get("iowait", 0.0)
    return total - idle, total


def host_state(at: float, before: Counters | None, now: Counters, disks: Mapping[str, float]) -> HostState:
    """The state at `at`; what needs two readings is None without `before` or where a counter went backwards."""
    elapsed_s = now.monotonic_s - before.monotonic_s if before else 0.0
    cpu_percent = None
    # Sums of floats: an interval without a busy tick comes out a hair below zero, which is 0 % and no counter reset.
    if before and now.total_s > before.total_s and (busy_s := now.busy_s - before.busy_s) > -_HALF_TICK_S:
        cpu_percent = min(100.0, 100.0 * max(0.0, busy_s) / (now.total_s - before.total_s))
    read, write = _rates(before.disk if before else None, now.disk, elapsed_s)
    received, sent = _rates(before.net if before else None, now.net, elapsed_s)
    return HostState(
        at=at,
        hostname=now.hostname,
        cores=now.cores,
        cpu_percent=cpu_percent,
        load=now.load,
        memory_total_bytes=now.memory_total_bytes,
        memory_available_bytes=now.memory_available_bytes,
        swap_total_bytes=now.swap_total_bytes,
        swap_used_bytes=now.swap_used_bytes,
        disk_used_percent=disks,
        disk_read_bytes_per_s=read,
        disk_write_bytes_per_s=write,
        net_received_bytes_per_s=received,
        net_sent_bytes_per_s=sent,
    )


def _rates(
    before: tuple[int, int] | None,
    now: tuple[int, int] | None,
    elapsed_s: float,
) -> tuple[float | None, float | None]:
    """Per-second growth of two counters; None after a counter shrank (a device left) or without an interval."""
    if before is None or now is None or elapsed_s <= 0:
        return None, None
    first, second = ((new - old) / elapsed_s if new >= old else None for old, new in zip(before, now, strict=True))
    return first, second


def samples(state: HostState) -> Iterator[Sample]:
    """The figures of `state` that exist, as samples for charts."""
    used = None
    if state.memory_total_bytes is not None and state.memory_available_bytes is not None:
        used = state.memory_total_bytes - state.memory_available_bytes
    figures: dict[str, float | None] = {
        "host.cpu_percent": state.cpu_percent,
        "host.load_1min": state.load[0] if state.load else None,
        "host.memory_used_bytes": used,
        "host.swap_used_bytes": state.swap_used_bytes,
        "host.disk_read_bytes_per_s": state.disk_read_bytes_per_s,
        "host.disk_write_bytes_per_s": state.disk_write_bytes_per_s,
        "host.net_received_bytes_per_s": state.net_received_bytes_per_s,
        "host.net_sent_bytes_per_s": state.net_sent_bytes_per_s,
    }
    for metric, value in figures.items():
        if value is not None:
            yield Sample(SeriesKey(metric), float(value), state.at)
    for mount, percent in state.disk_used_percent.items():
        yield Sample(SeriesKey("host.disk_used_percent", mount), percent, state.at)


def disk_use() -> dict[str, float]:
    """Mount point to percent in use, as df computes it, for `/` and every disk-backed file system (blocking).

    A device that is mounted in several places (bind mounts of a container) is listed once, at its shortest folder.
    """
    places: dict[str, str] = {}
    for part in psutil.disk_partitions(all=False):
        shorter = part.device not in places or len(part.mountpoint) < len(places[part.device])
        # Images (snap, CD) are always full and bind-mounted files are no place to look for space.
        if shorter and part.fstype not in {"squashfs", "iso9660"} and Path(part.mountpoint).is_dir():
            places[part.device] = part.mountpoint
    use: dict[str, float] = {}
    for mount in sorted({"/", *places.values()}):
        try:
            use[one_line(mount)] = psutil.disk_usage(mount).percent
        except OSError:  # no permission, or unmounted a moment ago: absent
            continue
    return use


def _swap() -> tuple[int, int] | None:
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError):  # some containers hide it
        return None
    return swap.total, swap.used


def _disk_bytes() -> tuple[int, int] | None:
    """Bytes read and written by real disks; without any (a container) by every disk there is."""
    try:
        disks = psutil.disk_io_counters(perdisk=True)
    except (OSError, RuntimeError, NotImplementedError):
        return None
    # LVM, RAID and loop devices sit on real disks: adding them would count the same bytes twice.
    real = [disk for name, disk in disks.items() if Path("/sys/block", name, "device").exists()]
    chosen = real or list(disks.values())
    return (sum(d.read_bytes for d in chosen), sum(d.write_bytes for d in chosen)) if chosen else None


def _net_bytes() -> tuple[int, int] | None:
    """Bytes received and sent by real network cards; without any (a container) by all but loopback."""
    try:
        nics = psutil.net_io_counters(pernic=True)
    except (OSError, RuntimeError):
        return None
    # Bridges, bonds and containers' virtual cards pass on what a real card carries.
    real = [nic for name, nic in nics.items() if Path("/sys/class/net", name, "device").exists()]
    chosen = real or [nic for name, nic in nics.items() if name != "lo"]
    return (sum(n.bytes_recv for n in chosen), sum(n.bytes_sent for n in chosen)) if chosen else None
