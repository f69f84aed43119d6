"""GPUs of a cluster's nodes: dcgm-exporter found by its labels and read through the API server's pod proxy."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from infdiag_tui.clock import Clock
from infdiag_tui.model import GpuDevice, Heartbeat, Observation, SourceState
from infdiag_tui.streams.base import POD_WAIT_S, Roster, SourceError, await_pods
from infdiag_tui.streams.dcgm_text import dcgm_devices, parse
from infdiag_tui.streams.gpu_samples import samples
from infdiag_tui.streams.gpus.account import GpuAccount, XidMemory, lost_cards, no_pods_yet
from infdiag_tui.streams.gpus.several import read_all
from infdiag_tui.streams.kube.client import Access, ApiError, KubeClient
from infdiag_tui.streams.kube.errors import HTTP_FORBIDDEN, HTTP_NOT_FOUND
from infdiag_tui.streams.troubles import Trouble, changes
from infdiag_tui.text import clean, one_line

LABELS = (
    "app.kubernetes.io/name in (dcgm-exporter, gke-managed-dcgm-exporter, nvidia-dcgm-exporter)",
    "app in (dcgm-exporter, nvidia-dcgm-exporter)",
)
"""How the exporter's own Helm chart, GKE and NVIDIA's GPU operator label its pods."""
NAMESPACES = ("gpu-operator", "nvidia-gpu-operator", "dcgm-exporter", "monitoring", "kube-system", "gke-managed-system")
"""Where it usually runs, for users who may not list pods of the whole cluster; after the model's own namespace."""
PORT = 9400
INTERVAL_S = 5.0
"""The exporter itself reads every 30 s by default, and the API server is everybody's."""
MAX_EXPORTERS = 32
AT_ONCE = 8
LOOK_AGAIN_S = 60.0
MAX_PAGE_BYTES = 16 * 1024 * 1024
_PORT_NAMES = frozenset({"metrics", "http-metrics", "dcgm-metrics"})
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Exporter:
    """One exporter's pod."""

    namespace: str
    name: str
    node: str
    port: int

    @property
    def path(self) -> str:
        """Its metrics through the API server."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}:{self.port}/proxy/metrics"


class GpuClusterStream:
    """A `GpuDevice` with samples for each GPU of the nodes that the model's pods run on.

    GPUs are the model's where the exporter says that one of its pods holds them; where it says so of none, all of these
    nodes' GPUs are told of.

    Args:
        client: of the model's cluster.
        roster: the model's pods.
        clock: wall and monotonic time.
        interval_s: between two readings.
        pod_wait_s: how long the pods may take to be known.
        asked_for: whether the config asks for it, so that finding none is a fault.
    """

    name = "dcgm-cluster"
    label = "dcgm-exporter in the cluster"
    stale_after_s = 30.0

    def __init__(
        self,
        client: KubeClient,
        roster: Roster,
        clock: Clock,
        *,
        interval_s: float = INTERVAL_S,
        pod_wait_s: float = POD_WAIT_S,
        asked_for: bool,
    ) -> None:
        self._client = client
        self._roster = roster
        self._clock = clock
        self._interval_s = interval_s
        self._pod_wait_s = pod_wait_s
        self._asked_for = asked_for
        self._account = GpuAccount("its node's dcgm-exporter")
        self._xids = XidMemory()

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: there is no exporter, or none may be read.
        """
        told: dict[str, Trouble] = {}
        async with self._client.connected():
            exporters: list[Exporter] = []
            look_at = float("-inf")
            nodes: frozenset[str] = frozenset()
            if not await await_pods(self._roster, self._pod_wait_s):
                raise no_pods_yet()
            while True:
                began = self._clock.monotonic()
                pods = self._roster.current()
                wanted = frozenset(pod.node for pod in pods.values() if pod.node)
                if began >= look_at or wanted != nodes:
                    exporters, nodes = await self._exporters(wanted), wanted
                    look_at = self._clock.monotonic() + LOOK_AGAIN_S
                found, failed = await self._read(exporters)
                now = self._clock.now()
                if failed and not found:
                    raise next(iter(failed.values()))
                devices = self._account.of_model(self._account.take(found), pods)
                troubles = {**lost_cards(devices), **_unread(failed, exporters)}
                for status in changes(told, troubles, now):
                    yield status
                told = troubles
                for gpu in devices:
                    yield gpu
                    for sample in samples(gpu):
                        yield sample
                yield Heartbeat(now)
                await asyncio.sleep(max(0.0, self._interval_s - (self._clock.monotonic() - began)))

    async def _exporters(self, nodes: frozenset[str]) -> list[Exporter]:
        """The exporters on these nodes, on all nodes while none are known.

        Raises:
            SourceError: there are none.
        """
        denied: ApiError | None = None
        found: dict[str, Exporter] = {}
        for namespace in ("", *dict.fromkeys((self._client.namespace, *NAMESPACES))):
            try:
                for raw in await self._pods(namespace):
                    exporter = _exporter(raw)
                    if exporter is not None and (not nodes or exporter.node in nodes):
                        found[exporter.path] = exporter
            except ApiError as error:
                if error.status not in (HTTP_FORBIDDEN, HTTP_NOT_FOUND):
                    raise
                denied = error if error.status == HTTP_FORBIDDEN else denied
                continue
            if found or not namespace:
                break  # the whole cluster was looked through
        if found:
            return sorted(found.values(), key=lambda one: one.path)[:MAX_EXPORTERS]
        where = "on the nodes of the model's pods" if nodes else "in the cluster"
        may_not = f", and {denied.reason}" if denied is not None else ""
        raise SourceError(
            f"no dcgm-exporter was found {where}{may_not}",
            remedy=f"name it in gpu.dcgm_url{'' if denied is None else '; ' + denied.remedy}",
            state=SourceState.UNAVAILABLE if self._asked_for else SourceState.OFF,
            retry_after_s=LOOK_AGAIN_S,
        )

    async def _pods(self, namespace: str) -> list[Mapping[str, Any]]:
        path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
        access = Access("list", "pods", namespace or "(all)")
        found: list[Mapping[str, Any]] = []
        for labels in LABELS:
            listed = await self._client.get_json(path, {"labelSelector": labels, "limit": 500}, access)
            items = listed.get("items")
            found += items if isinstance(items, list) else []
        return found

    async def _read(self, exporters: list[Exporter]) -> tuple[list[GpuDevice], dict[str, SourceError]]:
        """The GPUs of all exporters, and the failures of those that gave none."""
        return await read_all(exporters, self._page, lambda exporter: exporter.name, AT_ONCE)

    async def _page(self, exporter: Exporter) -> list[GpuDevice]:
        access = Access("get", "pods/proxy", exporter.namespace)
        body = await self._client.get(exporter.path, {}, access, accept="text/plain")
        remedy = f"look at its log: kubectl logs -n {exporter.namespace} {exporter.name}"
        if len(body) > MAX_PAGE_BYTES:
            raise SourceError(
                f"the page of {exporter.name} is larger than {MAX_PAGE_BYTES // 2**20} MiB", remedy=remedy
            )
        try:
            entities = await asyncio.to_thread(lambda: parse(body.decode("utf-8", "replace")))
        except ValueError as error:
            raise SourceError(
                f"the page of {exporter.name} is not in Prometheus text format: {one_line(clean(str(error)), 120)}",
                remedy=remedy,
            ) from error
        return dcgm_devices(entities, self._xids, self._clock.now())


def _exporter(raw: Any) -> Exporter | None:
    """A pod of the list as an exporter; None where it does not run or is named as no pod may be."""
    meta, spec, status = (_map(raw, part) for part in ("metadata", "spec", "status"))
    namespace, name = str(meta.get("namespace", "")), str(meta.get("name", ""))
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)) or status.get("phase") != "Running":
        return None
    containers = spec.get("containers")
    number = PORT
    for container in containers if isinstance(containers, list) else ():
        ports = _map({"it": container}, "it").get("ports")
        for port in ports if isinstance(ports, list) else ():
            of = _map({"it": port}, "it")
            if of.get("name") in _PORT_NAMES and isinstance(of.get("containerPort"), int):
                number = of["containerPort"]
    return Exporter(namespace, name, str(spec.get("nodeName", "")), number)


def _map(raw: Any, key: str) -> Mapping[str, Any]:
    found = raw.get(key) if isinstance(raw, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _unread(failed: Mapping[str, SourceError], exporters: list[Exporter]) -> dict[str, Trouble]:
    if not failed:
        return {}
    name, error = min(failed.items())
    return {
        "exporters": Trouble(
            SourceState.DEGRADED,
            one_line(f"{len(failed)} of {len(exporters)} exporters cannot be read; {name}: {error.reason}", 400),
            error.remedy,
        )
    }
