"""Polls what the pods' nodes use of what they have; silent where this user may not know it: pods were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from infdiag_tui.clock import Clock, steady_time
from infdiag_tui.model import Observation, Sample, SeriesKey
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_FORBIDDEN, HTTP_NOT_FOUND, Access, ApiError
from infdiag_tui.streams.kube.merge import Outlet
from infdiag_tui.streams.kube.pod_table import PodTable
from infdiag_tui.streams.kube.quantities import cores, quantity, unix_s

MAX_NODES = 50
"""Nodes asked in each round; of more, the first by name."""
REFRESH_S = 300.0
"""Between two looks at what a node has: it changes when the node does."""
DENIED_FACTOR = 20.0
"""What is denied or absent is tried again after so many times the usual wait for denials (five minutes)."""


@dataclass(frozen=True, slots=True)
class _Node:
    """What a node can give to pods: cores and bytes, None where it does not say; known since `at` (monotonic)."""

    cpu_cores: float | None
    memory_bytes: float | None
    at: float


class NodePoll:
    """Samples `node.cpu_share` and `node.memory_share` (of what is allocatable) and `node.cpu_cores`, by node."""

    def __init__(self, table: PodTable, interval_s: float) -> None:
        self._table = table
        self._interval_s = interval_s
        self._nodes: dict[str, _Node] = {}
        self._told: dict[str, float] = {}

    async def run(self, client: KubeClient, outlet: Outlet) -> None:
        """Polls until cancelled; nothing that happens to these figures ends the stream."""
        while True:
            wait_s = self._interval_s
            try:
                await self._poll(client, outlet)
            except ApiError as error:
                if error.status in (HTTP_FORBIDDEN, HTTP_NOT_FOUND):
                    wait_s = max(wait_s, DENIED_FACTOR * client.pace.denied_s)
            await asyncio.sleep(wait_s)

    async def _poll(self, client: KubeClient, outlet: Outlet) -> None:
        names = sorted({pod.node for pod in self._table.current().values() if pod.node})[:MAX_NODES]
        for name in self._nodes.keys() - set(names):
            del self._nodes[name]
        for name in names:
            safe = quote(name, safe="")
            if name not in self._nodes or client.clock.monotonic() - self._nodes[name].at > REFRESH_S:
                raw = await client.get_json(f"/api/v1/nodes/{safe}", {}, Access("get", "nodes", ""))
                self._nodes[name] = _node(raw, client.clock.monotonic())
            path = f"/apis/metrics.k8s.io/v1beta1/nodes/{safe}"
            used = await client.get_json(path, {}, Access("get", "nodes", "", "metrics.k8s.io"))
            await outlet.put(*self._news(name, used, client.clock))

    def _news(self, name: str, used: Mapping[str, Any], clock: Clock) -> Iterator[Observation]:
        dated, usage, node = unix_s(used.get("timestamp")), used.get("usage"), self._nodes[name]
        if dated is None or not isinstance(usage, Mapping) or self._told.get(name) == dated:
            return
        self._told[name] = dated
        at = steady_time(clock, dated)
        cpu, memory = cores(usage.get("cpu")), quantity(str(usage.get("memory") or ""))
        if cpu is not None:
            yield Sample(SeriesKey("node.cpu_cores", name), cpu, at)
        if cpu is not None and node.cpu_cores:
            yield Sample(SeriesKey("node.cpu_share", name), cpu / node.cpu_cores, at)
        if memory is not None and node.memory_bytes:
            yield Sample(SeriesKey("node.memory_share", name), memory / node.memory_bytes, at)


def _node(raw: Mapping[str, Any], monotonic: float) -> _Node:
    status = raw.get("status")
    given = status.get("allocatable") if isinstance(status, Mapping) else None
    given = given if isinstance(given, Mapping) else {}
    return _Node(cores(given.get("cpu")), quantity(str(given.get("memory") or "")), monotonic)
