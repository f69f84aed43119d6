"""Hosts, processes and GPUs; a figure that the machine does not offer is None, never zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class HostState:
    """The machine infdiag runs on.

    Rates are over the time since the previous state. Loads are over 1, 5 and 15 minutes.
    """

    at: float
    hostname: str
    cores: int
    cpu_percent: float | None = None
    load: tuple[float, float, float] | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    disk_used_percent: Mapping[str, float] = field(default_factory=dict)
    """Mount point to share in use."""
    disk_read_bytes_per_s: float | None = None
    disk_write_bytes_per_s: float | None = None
    net_received_bytes_per_s: float | None = None
    net_sent_bytes_per_s: float | None = None

    @property
    def key(self) -> str:
        """The host's name."""
        return self.hostname


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The model server's process, found by pid, name or listening port.

    `cpu_percent` is of one core (two busy cores give 200). `restarts` counts how often another process took its place
    since infdiag looks. `open_files` is None where the system does not let this user count them.
    """

    at: float
    looked_for: str
    pid: int | None
    name: str = ""
    running: bool = False
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    threads: int | None = None
    open_files: int | None = None
    started_at: float | None = None
    children: int = 0
    """Child processes whose CPU, RSS, threads and open files are counted in."""
    restarts: int = 0

    @property
    def key(self) -> str:
        """What was looked for: `pid 123`, `name tritonserver`, `port 8000`."""
        return self.looked_for


class ClockReason(StrEnum):
    """Why a GPU's clocks are not at their highest, by NVML's clock-event reasons."""

    GPU_IDLE = "idle"
    APPLICATIONS_CLOCKS_SETTING = "application clocks"
    SW_POWER_CAP = "power cap"
    HW_SLOWDOWN = "hardware slowdown"
    SYNC_BOOST = "sync boost"
    SW_THERMAL_SLOWDOWN = "thermal (software)"
    HW_THERMAL_SLOWDOWN = "thermal (hardware)"
    HW_POWER_BRAKE_SLOWDOWN = "power brake"
    DISPLAY_CLOCK_SETTING = "display clocks"
    OTHER = "other reason"

    @property
    def is_fault(self) -> bool:
        """True where the clock is cut for heat or power supply; a software power cap under load is ordinary."""
        return self in (
            ClockReason.HW_SLOWDOWN,
            ClockReason.SW_THERMAL_SLOWDOWN,
            ClockReason.HW_THERMAL_SLOWDOWN,
            ClockReason.HW_POWER_BRAKE_SLOWDOWN,
        )


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory on a GPU; the pid is the host's, also when read inside a container."""

    pid: int
    name: str = ""
    memory_bytes: int | None = None
    kind: str = "compute"


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """One GPU (or MIG instance) as last read. Every figure a card or source lacks is None.

    `provider` names where it was read (`nvml`, `dcgm`). `clock_reasons` is None when they can't be read and empty when
    nothing holds the clocks back. `xid` is the last Xid error seen and `xid_at` when, where events or a gauge tell it.
    """

    uuid: str
    index: int
    name: str
    at: float
    provider: str
    host: str = ""
    driver: str = ""
    mig_profile: str = ""
    mig_enabled: bool | None = None
    utilization_percent: float | None = None
    memory_utilization_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    memory_reserved_bytes: int | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    sm_clock_mhz: int | None = None
    sm_clock_max_mhz: int | None = None
    memory_clock_mhz: int | None = None
    memory_clock_max_mhz: int | None = None
    clock_reasons: tuple[ClockReason, ...] | None = None
    ecc_corrected: int | None = None
    ecc_uncorrected: int | None = None
    retired_pages: int | None = None
    remapped_rows: int | None = None
    remap_pending: bool | None = None
    remap_failed: bool | None = None
    pcie_generation: int | None = None
    pcie_generation_max: int | None = None
    pcie_width: int | None = None
    pcie_width_max: int | None = None
    pcie_tx_bytes_per_s: float | None = None
    pcie_rx_bytes_per_s: float | None = None
    pcie_replays: int | None = None
    xid_watched: bool = False
    """True where the source tells of Xid errors: that there is none is then known."""
    xid: int | None = None
    xid_at: float | None = None
    processes: tuple[GpuProcess, ...] | None = None
    pod: str = ""
    """`namespace/name` of the pod that holds it, where the source tells."""
    lost: str = ""
    """Why the card no longer answers, or empty. The other fields then hold what was last read."""

    @property
    def key(self) -> str:
        """The UUID."""
        return self.uuid
