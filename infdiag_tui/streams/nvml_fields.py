"""Reading every figure of one GPU or MIG instance through NVML, each by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pynvml

from infdiag_tui.model import ClockReason, GpuDevice, GpuProcess
from infdiag_tui.streams.nvml_calls import Asker
from infdiag_tui.streams.nvml_clock_reasons import clock_reasons
from infdiag_tui.text import one_line

_FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel's fixed inode number of the first pid namespace (PROC_PID_INIT_INO in include/linux/proc_ns.h)."""
_MIG_PROFILE = re.compile(r"\bMIG (\S+)$")


@dataclass(frozen=True, slots=True)
class Card:
    """A physical GPU and what of it never changes while the driver is open."""

    handle: Any
    index: int
    uuid: str
    name: str
    host: str
    driver: str
    sm_clock_max_mhz: int | None = None
    memory_clock_max_mhz: int | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None


@dataclass(frozen=True, slots=True)
class _Memory:
    """Bytes in use, of all, and held back by the driver."""

    used: int | None = None
    total: int | None = None
    reserved: int | None = None


def open_card(handle: Any, index: int, host: str, driver: str) -> Card:
    """The card behind `handle`.

    Raises:
        CardLostError, pynvml.NVMLError: as `Asker.ask`.
    """
    asker = Asker()
    ask = asker.ask
    uuid = ask("nvmlDeviceGetUUID", handle)
    asker.check_alive()
    return Card(
        handle=handle,
        index=index,
        uuid=one_line(uuid, 100) if uuid else f"GPU {index} of {host}",
        name=one_line(ask("nvmlDeviceGetName", handle) or "", 100),
        host=host,
        driver=driver,
        sm_clock_max_mhz=ask("nvmlDeviceGetMaxClockInfo", handle, pynvml.NVML_CLOCK_SM),
        memory_clock_max_mhz=ask("nvmlDeviceGetMaxClockInfo", handle, pynvml.NVML_CLOCK_MEM),
        pcie_generation_max=ask("nvmlDeviceGetMaxPcieLinkGeneration", handle),
        pcie_width_max=ask("nvmlDeviceGetMaxPcieLinkWidth", handle),
    )


def read_card(card: Card, at: float) -> GpuDevice:
    """Every figure of `card` (blocking; the two PCIe rates alone take 20 ms each, as NVML measures that long).

    ECC counts are those since the driver was loaded, as nvidia-smi's volatile ones. PCIe rates are NVML's KB/s times
    1,000.

    Raises:
        CardLostError, pynvml.NVMLError: as `Asker.ask`.
    """
    asker, handle = Asker(), card.handle
    ask = asker.ask
    utilization = ask("nvmlDeviceGetUtilizationRates", handle)
    memory = _memory(ask, handle)
    remapped = ask("nvmlDeviceGetRemappedRows", handle)
    mig = ask("nvmlDeviceGetMigMode", handle)
    limit_mw = ask("nvmlDeviceGetEnforcedPowerLimit", handle)
    if limit_mw is None:
        limit_mw = ask("nvmlDeviceGetPowerManagementLimit", handle)
    device = GpuDevice(
        uuid=card.uuid,
        index=card.index,
        name=card.name,
        at=at,
        provider="nvml",
        host=card.host,
        driver=card.driver,
        mig_enabled=None if mig is None else bool(mig[0]),
        utilization_percent=None if utilization is None else float(utilization.gpu),
        memory_utilization_percent=None if utilization is None else float(utilization.memory),
        memory_used_bytes=memory.used,
        memory_total_bytes=memory.total,
        memory_reserved_bytes=memory.reserved,
        temperature_c=_temperature(ask, handle),
        power_w=_scaled(ask("nvmlDeviceGetPowerUsage", handle), 0.001),
        power_limit_w=_scaled(limit_mw, 0.001),
        sm_clock_mhz=ask("nvmlDeviceGetClockInfo", handle, pynvml.NVML_CLOCK_SM),
        sm_clock_max_mhz=card.sm_clock_max_mhz,
        memory_clock_mhz=ask("nvmlDeviceGetClockInfo", handle, pynvml.NVML_CLOCK_MEM),
        memory_clock_max_mhz=card.memory_clock_max_mhz,
        clock_reasons=_clock_reasons(ask, handle),
        ecc_corrected=_ecc(ask, handle, pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
        ecc_uncorrected=_ecc(ask, handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
        retired_pages=_retired_pages(ask, handle),
        remapped_rows=None if remapped is None else remapped[0] + remapped[1],
        remap_pending=None if remapped is None else bool(remapped[2]),
        remap_failed=None if remapped is None else bool(remapped[3]),
        pcie_generation=ask("nvmlDeviceGetCurrPcieLinkGeneration", handle),
        pcie_generation_max=card.pcie_generation_max,
        pcie_width=ask("nvmlDeviceGetCurrPcieLinkWidth", handle),
        pcie_width_max=card.pcie_width_max,
        pcie_tx_bytes_per_s=_scaled(ask("nvmlDeviceGetPcieThroughput", handle, pynvml.NVML_PCIE_UTIL_TX_BYTES), 1000.0),
        pcie_rx_bytes_per_s=_scaled(ask("nvmlDeviceGetPcieThroughput", handle, pynvml.NVML_PCIE_UTIL_RX_BYTES), 1000.0),
        pcie_replays=ask("nvmlDeviceGetPcieReplayCounter", handle),
        processes=_processes(ask, handle),
    )
    asker.check_alive()
    return device


def read_instances(card: Card, at: float) -> list[GpuDevice]:
    """The MIG instances of `card` with what NVML tells of them: memory and processes, but no utilisation.

    Raises:
        CardLostError, pynvml.NVMLError: as `Asker.ask`.
    """
    ask = Asker().ask
    devices: list[GpuDevice] = []
    for number in range(ask("nvmlDeviceGetMaxMigDeviceCount", card.handle) or 0):
        handle = ask("nvmlDeviceGetMigDeviceHandleByIndex", card.handle, number)
        uuid = None if handle is None else ask("nvmlDeviceGetUUID", handle)
        if not uuid:
            continue
        memory = _memory(ask, handle)
        profile = _MIG_PROFILE.search(ask("nvmlDeviceGetName", handle) or "")
        devices.append(
            GpuDevice(
                uuid=one_line(uuid, 100),
                index=card.index,
                name=card.name,
                at=at,
                provider="nvml",
                host=card.host,
                driver=card.driver,
                mig_profile=one_line(profile.group(1), 40) if profile else f"instance {number}",
                mig_enabled=True,
                memory_used_bytes=memory.used,
                memory_total_bytes=memory.total,
                memory_reserved_bytes=memory.reserved,
                processes=_processes(ask, handle),
            ),
        )
    return devices


def _clock_reasons(ask: Any, handle: Any) -> tuple[ClockReason, ...] | None:
    bits = ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
    if bits is None:  # the name before driver 535
        bits = ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    return None if bits is None else clock_reasons(bits)


def _memory(ask: Any, handle: Any) -> _Memory:
    """Version 2 tells what the driver holds back from what is used; version 1 counts both as used."""
    newer = ask("nvmlDeviceGetMemoryInfo", handle, pynvml.nvmlMemory_v2)
    if newer is not None:
        return _Memory(newer.used, newer.total, newer.reserved)
    older = ask("nvmlDeviceGetMemoryInfo", handle)
    return _Memory() if older is None else _Memory(older.used, older.total)


def _temperature(ask: Any, handle: Any) -> float | None:
    """The newer call first: the older one is to leave the library with CUDA 14."""
    degrees = ask("nvmlDeviceGetTemperatureV", handle, pynvml.NVML_TEMPERATURE_GPU)
    if degrees is None:
        degrees = ask("nvmlDeviceGetTemperature", handle, pynvml.NVML_TEMPERATURE_GPU)
    return _scaled(degrees, 1.0)


def _ecc(ask: Any, handle: Any, kind: int) -> int | None:
    count: int | None = ask("nvmlDeviceGetTotalEccErrors", handle, kind, pynvml.NVML_VOLATILE_ECC)
    return count


def _retired_pages(ask: Any, handle: Any) -> int | None:
    """Pages taken out of use for single or double bit errors; cards since Ampere remap rows instead."""
    pages = [
        ask("nvmlDeviceGetRetiredPages", handle, cause) for cause in range(pynvml.NVML_PAGE_RETIREMENT_CAUSE_COUNT)
    ]
    known = [page for page in pages if page is not None]
    return sum(len(page) for page in known) if known else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _processes(ask: Any, handle: Any) -> tuple[GpuProcess, ...] | None:
    """Processes that hold memory, largest first; one that both computes and draws is listed once."""
    found: dict[int, GpuProcess] = {}
    asked = False
    for kind, function in (("compute", "Compute"), ("graphics", "Graphics"), ("mps", "MPSCompute")):
        entries: Iterable[Any] | None = None
        for version in ("_v3", "_v2"):
            entries = ask(f"nvmlDeviceGet{function}RunningProcesses{version}", handle)
            if entries is not None:
                break
        if entries is None:
            continue
        asked = True
        for entry in entries:
            found[entry.pid] = _merged(found.get(entry.pid), ask, entry, kind)
    if not asked:
        return None
    return tuple(sorted(found.values(), key=lambda process: (-(process.memory_bytes or 0), process.pid)))


def _merged(known: GpuProcess | None, ask: Any, entry: Any, kind: str) -> GpuProcess:
    memory = None if entry.usedGpuMemory is None else int(entry.usedGpuMemory)
    if known is None:
        return GpuProcess(entry.pid, _process_name(ask, entry.pid), memory, kind)
    sizes = [size for size in (known.memory_bytes, memory) if size is not None]
    return GpuProcess(entry.pid, known.name, max(sizes, default=None), f"{known.kind}+{kind}")


def _process_name(ask: Any, pid: int) -> str:
    """The name of a host's pid; empty in a container, where the same number belongs to another process."""
    if not _sees_host_pids():
        return ""
    name = ask("nvmlSystemGetProcessName", pid)
    return one_line(PurePath(name).name or name, 80) if name else ""


def _sees_host_pids() -> bool:
    try:
        return str(Path("/proc/self/ns/pid").readlink()) == _FIRST_PID_NAMESPACE
    except OSError:
        return False
