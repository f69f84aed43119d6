"""The model's pods: listed, then watched; with their usage and their events, each failing by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from infdiag_tui.clock import Clock
from infdiag_tui.config import Kubernetes
from infdiag_tui.model import Heartbeat, Observation, Pod, SourceState
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_FORBIDDEN, HTTP_TOO_MANY, Access, ApiError
from infdiag_tui.streams.kube.events import EventDesk
from infdiag_tui.streams.kube.merge import Outlet, merged
from infdiag_tui.streams.kube.nodes import NodePoll
from infdiag_tui.streams.kube.parse import parse_pod
from infdiag_tui.streams.kube.pod_table import PodTable
from infdiag_tui.streams.kube.selection import Selection
from infdiag_tui.streams.kube.usage import UsagePoll
from infdiag_tui.streams.kube.watcher import Bookmark, Changed, Listed, Polling, Watcher
from infdiag_tui.text import one_line

_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
_PULSE_PODS = 20
_NEIGHBOURS = 200


class PodsStream:
    """Pods, usage, events; what is known outlives a failed run and is only corrected by the next.

    Args:
        client: shared with other streams.
        settings: the config's kubernetes section.
        clock: wall and monotonic time.
        table: the pods known; the roster of streams that follow each.
    """

    name = "pods"
    stale_after_s = 20.0

    def __init__(self, client: KubeClient, settings: Kubernetes, clock: Clock, table: PodTable) -> None:
        self._client = client
        self._clock = clock
        self._table = table
        self._selection = Selection.of(settings)
        self._events = EventDesk(table)
        self._usage = UsagePoll(table, self._selection, settings.usage_interval_s)
        self._nodes = NodePoll(table, settings.usage_interval_s)

    def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: kubeconfig or credentials are broken, pods may not be listed, or the API server is gone.
        """
        return merged(self._run, self._clock)

    async def _run(self, outlet: Outlet) -> None:
        async with self._client.connected() as client:
            path = f"/api/v1/namespaces/{client.namespace}/pods"
            watcher = Watcher(client, path, "pods", self._parse, self._selection.query)
            listed = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(watcher, outlet, listed))
                await listed.wait()
                group.create_task(self._pulse(watcher, path, outlet))
                group.create_task(self._usage.run(client, outlet))
                group.create_task(self._nodes.run(client, outlet))
                group.create_task(self._events.run(client, outlet))

    def _parse(self, raw: Mapping[str, Any]) -> Pod | None:
        return parse_pod(raw, self._clock.now()) if self._selection.matches(raw) else None

    async def _follow(self, watcher: Watcher[Pod], outlet: Outlet, listed: asyncio.Event) -> None:
        try:
            async with aclosing(watcher.follow()) as changes:
                async for change in changes:
                    await self._take(change, outlet)
                    if isinstance(change, Listed):
                        listed.set()
        except ApiError as error:
            if error.status == HTTP_FORBIDDEN:
                # Asked again, but not at the pace of a connection that may be back any moment.
                error.retry_after_s = self._client.pace.denied_s
            raise

    async def _take(self, change: Listed[Pod] | Changed[Pod] | Bookmark | Polling, outlet: Outlet) -> None:
        match change:
            case Listed(items=items):
                await outlet.put(*self._table.listed(items), Heartbeat(self._clock.now()))
            case Changed():
                await outlet.put(*self._table.apply(change), Heartbeat(self._clock.now()))
            case Bookmark():
                await outlet.put(Heartbeat(self._clock.now()))
                return
            case Polling(denial=ApiError() as denial):
                await outlet.trouble(
                    "watch",
                    SourceState.DEGRADED,
                    f"pods are listed every {self._client.pace.poll_s:g} s instead of watched: {denial.reason}",
                    denial.remedy,
                )
                return
            case Polling():
                await outlet.well("watch")
                return
        if self._table.current():
            await outlet.well("selection")
        else:
            await self._explain_emptiness(outlet)

    async def _explain_emptiness(self, outlet: Outlet) -> None:
        """Says that no pod matches, and what there is instead."""
        client, wanted = self._client, self._selection
        reason = f"no pods match {wanted} in namespace {client.namespace}"
        if wanted.selector or wanted.name:
            near = wanted.candidates(await self._neighbours())
            reason += f"; labels there: {', '.join(near)}" if near else "; no pod there bears a name label"
        flag = f" -l '{wanted.selector}'" if wanted.selector else ""
        await outlet.trouble(
            "selection",
            SourceState.DEGRADED,
            one_line(reason, 500),
            "check kubernetes.namespace and kubernetes.selector in infdiag.toml (--namespace, --selector); "
            f"look for them with: kubectl get pods -A{flag} --show-labels",
        )

    async def _neighbours(self) -> list[Mapping[str, Any]]:
        namespace = self._client.namespace
        try:
            reply = await self._client.get_json(
                f"/api/v1/namespaces/{namespace}/pods",
                {"limit": _NEIGHBOURS},
                Access("list", "pods", namespace),
                accept=_METADATA_ONLY,
            )
        except ApiError:
            return []  # only a hint; whether the server answers is the watch's to say
        return list(reply.get("items") or ())

    async def _pulse(self, watcher: Watcher[Pod], path: str, outlet: Outlet) -> None:
        """Proves between bookmarks that the server lives and that the watch hears it.

        A watch may be deaf while its connection looks open (a load balancer, a sleeping NAT): then a small list shows
        versions that the watch has not brought by the next pulse.
        """
        pace, access = self._client.pace, Access("list", "pods", self._client.namespace)
        query: dict[str, str | int] = {**self._selection.query, "limit": _PULSE_PODS}
        ahead: dict[str, str | None] = {}
        failures = 0
        while True:
            await asyncio.sleep(pace.pulse_s if not failures else pace.pulse_s / 4)
            try:
                listing = await self._client.get_json(
                    path, query, access, accept=_METADATA_ONLY, timeout_s=pace.pulse_timeout_s
                )
            except ApiError as error:
                failures += 1
                if failures > 1 and error.status != HTTP_TOO_MANY:
                    raise
                continue
            failures = 0
            now_ahead = self._ahead(listing)
            if any(uid in ahead and ahead[uid] == known for uid, known in now_ahead.items()):
                watcher.relist()
                ahead = {}
                continue
            ahead = now_ahead
            if not ahead:
                await outlet.put(Heartbeat(self._clock.now()))

    def _ahead(self, listing: Mapping[str, Any]) -> dict[str, str | None]:
        """Pods whose listed version is not the known one: uid to the version known."""
        found = {}
        for raw in listing.get("items") or ():
            meta = raw.get("metadata") or {}
            uid, version = str(meta.get("uid") or ""), str(meta.get("resourceVersion") or "")
            if self._selection.matches(raw) and self._table.version(uid) != version:
                found[uid] = self._table.version(uid)
        return found
