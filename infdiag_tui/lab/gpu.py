"""Two simulated GPUs in the words of dcgm-exporter; how busy they are follows the requests that really arrived."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from infdiag_tui.lab.api.listener import Listener
from infdiag_tui.lab.manifests import CONTAINER, NAMESPACE, NODES, PodPlan, uid_of

_STEP_S = 1.0
_BUSY_S_PER_REQUEST = 0.06
_SMOOTHING_S = 3.0
_THERMAL_S = 25.0
_TOTAL_MIB = 24_576
_RESERVED_MIB = 512
_MODEL_MIB = 3_380
_MIB_PER_BUSY = 1_900
_IDLE_W, _FULL_W = 17.0, 72.0
_IDLE_C, _FULL_C = 36.0, 74.0
_IDLE_MHZ, _FULL_MHZ, _MEMORY_MHZ = 210, 2_040, 6_251
_MODEL_NAME = "NVIDIA L4"
_DRIVER = "550.90.07"
_MJ_PER_J = 1_000.0


@dataclass(slots=True)
class _Card:
    """What is known of one GPU. `busy` is the share of time in which it computes."""

    index: int
    host: str
    busy: float = 0.0
    warm: float = 0.0
    energy_mj: float = 0.0
    pod: PodPlan | None = None

    def step(self, requests_per_s: float, seconds: float) -> None:
        """Lets time pass under that load."""
        target = min(1.0, requests_per_s * _BUSY_S_PER_REQUEST)
        self.busy += (target - self.busy) * (1 - math.exp(-seconds / _SMOOTHING_S))
        self.warm += (self.busy - self.warm) * (1 - math.exp(-seconds / _THERMAL_S))
        self.energy_mj += self.power_w * seconds * _MJ_PER_J

    @property
    def power_w(self) -> float:
        """Watts drawn."""
        return _IDLE_W + (_FULL_W - _IDLE_W) * self.busy

    def figures(self) -> list[tuple[str, str, str, float]]:
        """Name, type, help and value of each metric; a card without a pod holds no model."""
        used_mib = 0.0 if self.pod is None else _MODEL_MIB + _MIB_PER_BUSY * self.busy
        percent = round(self.busy * 100)
        clock_mhz = _FULL_MHZ if self.busy > 0.01 else _IDLE_MHZ
        temperature_c = _IDLE_C + (_FULL_C - _IDLE_C) * self.warm
        return [
            ("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).", clock_mhz),
            ("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", _MEMORY_MHZ),
            ("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", round(temperature_c)),
            ("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", round(self.power_w, 3)),
            ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Energy since boot (in mJ).", round(self.energy_mj)),
            ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.", 0),
            ("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", percent),
            ("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", round(percent * 0.4)),
            ("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered.", 0),
            (
                "DCGM_FI_DEV_FB_FREE",
                "gauge",
                "Framebuffer memory free (in MiB).",
                _TOTAL_MIB - _RESERVED_MIB - round(used_mib),
            ),
            ("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", round(used_mib)),
            ("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", _RESERVED_MIB),
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
            values |= {"container": CONTAINER, "namespace": NAMESPACE, "pod": self.pod.name}
        return ",".join(f'{name}="{value}"' for name, value in values.items())


class Gpus:
    """One card in each node. A node's pods share its card; the exporter names the first of them."""

    def __init__(self, requests: Mapping[str, int], pods: Callable[[], list[PodPlan]]) -> None:
        self._requests = requests
        self._pods = pods
        self._cards = [_Card(index, host) for index, host in enumerate(NODES)]

    async def run(self) -> None:
        """Follows the load until cancelled."""
        seen: dict[str, int] = {}
        before = time.monotonic()
        while True:
            await asyncio.sleep(_STEP_S)
            now, pods = time.monotonic(), self._pods()
            for card in self._cards:
                mine = [pod for pod in pods if pod.node == card.host]
                arrived = sum(self._requests.get(pod.name, 0) - seen.get(pod.name, 0) for pod in mine)
                card.pod = mine[0] if mine else None
                card.step(arrived / (now - before), now - before)
            seen, before = dict(self._requests), now

    def metrics(self) -> str:
        """The exporter's page."""
        lines: list[str] = []
        for rows in zip(*(card.figures() for card in self._cards), strict=True):
            name, kind, words, _value = rows[0]
            lines += [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{{{card.labels()}}} {row[3]}" for card, row in zip(self._cards, rows, strict=True)]
        return "\n".join(lines) + "\n"


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
