"""What the tests of GPU sources share: pods, an exporter's page, and a stream under the supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from infdiag_tui.clock import SystemClock
from infdiag_tui.hub.hub import Hub
from infdiag_tui.model import Container, GpuDevice, Observation, Pod, SourceHealth
from infdiag_tui.streams.base import Stream
from infdiag_tui.supervisor import Backoff, Supervisor
from tests.support import eventually


class Pods:
    """A roster that a test changes."""

    def __init__(self, *pods: Pod) -> None:
        self.pods = {pod.key: pod for pod in pods}

    def current(self) -> Mapping[str, Pod]:
        return self.pods

    async def changed(self) -> None:
        await asyncio.Event().wait()


def pod(name: str, node: str = "node-1") -> Pod:
    container = Container("server", state="running", ports=(8000,))
    return Pod("ml", name, f"uid-{name}", "Running", 0.0, ready=True, node=node, containers=(container,))


def dcgm_page(*cards: dict[str, str], extra: str = "", **fields: float) -> str:
    """A page of dcgm-exporter with these labels for each card."""
    values = {"DEV_GPU_UTIL": 40.0, "DEV_FB_USED": 1000.0, "DEV_FB_FREE": 22000.0, "DEV_GPU_TEMP": 50.0, **fields}
    lines = []
    for name, value in values.items():
        lines.append(f"# TYPE DCGM_FI_{name} gauge")
        for card in cards:
            labels = ",".join(f'{label}="{text}"' for label, text in card.items())
            lines.append(f"DCGM_FI_{name}{{{labels}}} {value}")
    return "\n".join(lines) + "\n" + extra


def card(index: int = 0, node: str = "node-1", holder: str = "", uuid: str = "", **more: str) -> dict[str, str]:
    """The labels of one card; `holder` is the pod (of namespace ml) that holds it."""
    labels = {"gpu": str(index), "UUID": uuid or f"GPU-{node}-{index}", "modelName": "NVIDIA L4", "Hostname": node}
    held = {"namespace": "ml", "pod": holder, "container": "server"} if holder else {}
    return {**labels, **held, **more}


class Watched:
    """A stream at work, and what it told."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.hub = Hub()
        self.told: list[Observation] = []
        self.supervisor = Supervisor([stream], self._put, SystemClock(), backoff=Backoff(first_s=0.02, most_s=0.05))

    def _put(self, observation: Observation) -> None:
        self.told.append(observation)
        self.hub.put(observation)

    @property
    def health(self) -> SourceHealth:
        return self.supervisor.health(SystemClock().now())[self.stream.name]

    @property
    def gpus(self) -> dict[str, GpuDevice]:
        return {gpu.uuid: gpu for gpu in self.hub.gpus}

    async def until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        try:
            await eventually(condition, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; health {self.health}; GPUs {self.gpus}") from error


@asynccontextmanager
async def watching(stream: Stream) -> AsyncIterator[Watched]:
    watched = Watched(stream)
    task = asyncio.create_task(watched.supervisor.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
