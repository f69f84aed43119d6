"""The nodes' GPUs in the words of dcgm-exporter. How busy they are follows what the replicas really ran on them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from infdiag_tui.lab.api.listener import Listener
from infdiag_tui.lab.devicefile import RESERVED_MIB, TOTAL_MIB, DeviceFile
from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.manifests import PodPlan, uid_of

_STEP_S = 1.0
_SMOOTHING_S = 2.0
_THERMAL_S = 25.0
_IDLE_W, _FULL_W = 17.0, 72.0
_IDLE_C, _FULL_C = 36.0, 74.0
_IDLE_MHZ, FULL_MHZ, _MEMORY_MHZ = 210, 2_040, 6_251
_MODEL_NAME = "NVIDIA L4"
_DRIVER = "550.90.07"
_MJ_PER_J = 1_000.0
REASON_IDLE, REASON_THERMAL = 0x1, 0x20 | 0x40
"""Bits of DCGM_FI_DEV_CLOCKS_EVENT_REASONS: idle; software and hardware thermal slowdown."""


@dataclass(slots=True)
class Card:
    """What is known of one GPU. `busy` is the share of time in which it computes."""

    index: int
    host: str
    dialect: Dialect
    busy: float = 0.0
    warm: float = 0.0
    energy_mj: float = 0.0
    used_mib: float = 0.0
    pod: PodPlan | None = None
    speed: float = 1.0
    """The highest clock that it is allowed, as a share."""
    heat_c: float = 0.0
    """What a failed fan adds to its temperature."""
    foreign_mib: float = 0.0
    """Memory that other processes hold on it."""
    xid: int = 0
    ecc_errors: int = 0
    faults: int = 0
    """How often its driver has lost all processes' contexts."""
    counted_s: dict[str, float] = field(default_factory=dict)

    def step(self, seconds: float, devices: dict[str, DeviceFile]) -> None:
        """Lets time pass, in which the processes behind these files worked, and tells them how the card is."""
        worked_s, self.used_mib = 0.0, self.foreign_mib
        for pod, device in devices.items():
            worked_s += max(0.0, device.busy_s - self.counted_s.get(pod, device.busy_s))
            self.used_mib += device.used_mib
            device.speed, device.foreign_mib, device.fault = self.speed, self.foreign_mib, float(self.faults)
        self.counted_s = {pod: device.busy_s for pod, device in devices.items()}
        target = min(1.0, worked_s / seconds)
        self.busy += (target - self.busy) * (1 - math.exp(-seconds / _SMOOTHING_S))
        self.warm += (self.busy - self.warm) * (1 - math.exp(-seconds / _THERMAL_S))
        self.energy_mj += self.power_w * seconds * _MJ_PER_J

    @property
    def power_w(self) -> float:
        """Watts drawn."""
        return _IDLE_W + (_FULL_W - _IDLE_W) * self.busy * self.speed

    def figures(self) -> list[tuple[str, str, str, float]]:
        """Name, type, help and value of each metric."""
        used_mib = round(self.used_mib)
        percent = round(self.busy * 100)
        idle = self.busy <= 0.01
        reasons = (REASON_IDLE if idle else 0) | (REASON_THERMAL if self.speed < 1.0 else 0)
        temperature_c = _IDLE_C + (_FULL_C - _IDLE_C) * self.warm + self.heat_c
        return [
            (
                "DCGM_FI_DEV_SM_CLOCK",
                "gauge",
                "SM clock frequency (in MHz).",
                _IDLE_MHZ if idle else round(FULL_MHZ * self.speed),
            ),
            ("DCGM_FI_DEV_MAX_SM_CLOCK", "gauge", "Maximum supported SM clock (in MHz).", FULL_MHZ),
            ("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", _MEMORY_MHZ),
            ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "gauge", "Current clock event reasons (bitmask).", reasons),
            ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", round(temperature_c)),
            ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", round(self.power_w, 3)),
            ("DCGM_FI_DEV_POWER_MGMT_LIMIT", "gauge", "Current power limit (in W).", _FULL_W),
            ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Energy since boot (in mJ).", round(self.energy_mj)),
            ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.", 0),
            ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", percent),
            ("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", round(percent * 0.4)),
            ("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered.", self.xid),
            (
                "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
                "counter",
                "Total number of double-bit volatile ECC errors.",
                self.ecc_errors,
            ),
            (
                "DCGM_FI_DEV_FB_FREE",
                "gauge",
                "Framebuffer memory free (in MiB).",
                max(0, TOTAL_MIB - RESERVED_MIB - used_mib),
            ),
            ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", used_mib),
            ("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", RESERVED_MIB),
            ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Rows remapped for uncorrectable errors.", 0),
            ("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Rows remapped for correctable errors.", 0),
            ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed.", 0),
            (
                "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
                "gauge",
                "Ratio of time the graphics engine is active.",
                round(self.busy, 6),
            ),
        ]

    def labels(self) -> str:
        """The labels that every figure of this card bears."""
        values = {
            "gpu": str(self.index),
            "UUID": f"GPU-{uid_of('gpu', str(self.index))}",
            "pci_bus_id": f"00000000:{0x3B + self.index:02X}:00.0",
            "device": f"nvidia{self.index}",
            "modelName": _MODEL_NAME,
            "Hostname": self.host,
            "DCGM_FI_DRIVER_VERSION": _DRIVER,
        }
        if self.pod is not None:
            names = self.dialect
            values |= {"container": names.container, "namespace": names.namespace, "pod": self.pod.name}
        return ",".join(f'{name}="{value}"' for name, value in values.items())


class Gpus:
    """One card in each node. A node's pods share its card; the exporter names the first of them."""

    def __init__(self, dialect: Dialect, pods: Callable[[], list[PodPlan]], device_path: Callable[[str], Path]) -> None:
        self._pods = pods
        self._device_path = device_path
        self._devices: dict[str, DeviceFile] = {}
        self.cards = [Card(index, host, dialect) for index, host in enumerate(dialect.nodes)]

    async def run(self) -> None:
        """Follows the load until cancelled."""
        before = time.monotonic()
        while True:
            now = time.monotonic()
            self.step(max(now - before, 0.001))
            before = now
            await asyncio.sleep(_STEP_S)

    def step(self, seconds: float) -> None:
        """Brings cards and processes to each other's notice."""
        pods = self._pods()
        self._open([pod.name for pod in pods])
        for card in self.cards:
            mine = [pod for pod in pods if pod.node == card.host]
            card.step(seconds, {pod.name: self._devices[pod.name] for pod in mine if pod.name in self._devices})

    def metrics(self) -> str:
        """The exporter's page."""
        lines: list[str] = []
        pods = self._pods()
        for card in self.cards:
            card.pod = next((pod for pod in pods if pod.node == card.host), None)
        for rows in zip(*(card.figures() for card in self.cards), strict=True):
            name, kind, words, _value = rows[0]
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{{{card.labels()}}} {row[3]}" for card, row in zip(self.cards, rows, strict=True)]
        return "\n".join(lines) + "\n"

    def _open(self, names: list[str]) -> None:
        for gone in [name for name in self._devices if name not in names]:
            self._devices.pop(gone).close()
        for name in names:
            path = self._device_path(name)
            if name not in self._devices and path.exists():
                self._devices[name] = DeviceFile(path)


class GpuExporter:
    """Serves the cards' page on a port of its own."""

    def __init__(self, gpus: Gpus, host: str, port: int) -> None:
        self._gpus = gpus
        self._web = web.Server(self._page, access_log=None)
        self._listener = Listener(host, port, self._web)
        self.url = f"http://{host}:{port}/metrics"

    async def start(self) -> None:
        """Listens, also again after `stop`."""
        await self._listener.start()

    async def stop(self) -> None:
        """Goes away at once."""
        await self._listener.stop()

    async def _page(self, request: web.BaseRequest) -> web.Response:
        if request.path != "/metrics":
            return web.Response(status=404, text="404 page not found")
        return web.Response(
            text=self._gpus.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )
