"""Polls metrics.k8s.io for what the pods use, and says why where there are no figures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from infdiag_tui.clock import Clock, steady_time
from infdiag_tui.model import Observation, PodUsage, Sample, SeriesKey, SourceState
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_FORBIDDEN, HTTP_NOT_FOUND, HTTP_TOO_MANY, Access, ApiError
from infdiag_tui.streams.kube.merge import Outlet
from infdiag_tui.streams.kube.parse import parse_usage
from infdiag_tui.streams.kube.pod_table import PodTable
from infdiag_tui.streams.kube.selection import Selection

GROUP = "metrics.k8s.io"
ASPECT = "usage"


class UsagePoll:
    """What metrics-server measures; a figure is told once, when its own timestamp is new."""

    def __init__(self, table: PodTable, selection: Selection, interval_s: float) -> None:
        self._table = table
        self._selection = selection
        self._interval_s = interval_s
        self._told: dict[str, float] = {}
        self._new_at = float("-inf")

    async def run(self, client: KubeClient, outlet: Outlet) -> None:
        """Polls until cancelled; nothing that happens to these figures ends the stream."""
        self._new_at = client.clock.monotonic()
        while True:
            wait_s = self._interval_s
            try:
                await self._poll(client, outlet)
            except ApiError as error:
                wait_s = max(wait_s, await self._explain(error, client, outlet))
            await asyncio.sleep(wait_s)

    async def _poll(self, client: KubeClient, outlet: Outlet) -> None:
        path = f"/apis/{GROUP}/v1beta1/namespaces/{client.namespace}/pods"
        access = Access("list", "pods", client.namespace, GROUP)
        reply = await client.get_json(path, self._selection.query, access)
        found = await asyncio.to_thread(_usages, reply)
        now = client.clock.monotonic()
        pods = self._table.current()
        news = [usage for usage in found if usage.key in pods and self._told.get(usage.key) != usage.at]
        if news or not pods:
            self._new_at = now
        for usage in news:
            self._told[usage.key] = usage.at
        await outlet.put(*(part for usage in news for part in _observations(usage, client.clock)))
        for key in self._told.keys() - pods.keys():
            del self._told[key]
        overdue_s = max(client.pace.usage_overdue_s, 3 * self._interval_s)
        if now - self._new_at > overdue_s:
            await outlet.trouble(
                ASPECT,
                SourceState.DEGRADED,
                f"metrics-server has had no new CPU and memory figures for {overdue_s:g} s",
                "check it: kubectl -n kube-system logs deploy/metrics-server; kubectl top pods",
            )
        else:
            await outlet.well(ASPECT)

    async def _explain(self, error: ApiError, client: KubeClient, outlet: Outlet) -> float:
        """Names the failure; returns how long to wait at least, seconds."""
        state, reason, remedy = SourceState.DEGRADED, error.reason, error.remedy
        if error.status == HTTP_NOT_FOUND:
            reason = "metrics-server is not installed in this cluster: no CPU and memory figures"
            remedy = "install metrics-server; check with: kubectl top pods"
        elif error.status == HTTP_FORBIDDEN:
            state = SourceState.FORBIDDEN
        elif error.status == HTTP_TOO_MANY:
            return error.retry_after_s or self._interval_s
        elif error.status >= 500:
            said = f" ({error.message})" if error.message else ""
            reason = f"metrics-server does not answer (HTTP {error.status}{said}): no CPU and memory figures"
            remedy = "check it: kubectl get apiservice v1beta1.metrics.k8s.io; kubectl -n kube-system get pods"
        await outlet.trouble(ASPECT, state, reason, remedy)
        return client.pace.denied_s if error.status in (HTTP_FORBIDDEN, HTTP_NOT_FOUND) else 0.0


def _usages(reply: Mapping[str, Any]) -> list[PodUsage]:
    parsed = (parse_usage(item) for item in reply.get("items") or ())
    return [usage for usage in parsed if usage is not None]


def _observations(usage: PodUsage, clock: Clock) -> tuple[Observation, ...]:
    at = steady_time(clock, usage.at)
    return (
        usage,
        Sample(SeriesKey("pod.memory_bytes", usage.key), float(usage.memory_bytes), at),
        Sample(SeriesKey("pod.cpu_cores", usage.key), usage.cpu_cores, at),
    )
