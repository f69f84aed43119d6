"""Watches a namespace's events and passes on those about the model's pods, also about pods that just left."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from infdiag_tui.clock import Clock
from infdiag_tui.model import ClusterEvent, Observation, SourceState
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_FORBIDDEN, ApiError
from infdiag_tui.streams.kube.merge import Outlet
from infdiag_tui.streams.kube.parse import parse_event
from infdiag_tui.streams.kube.pod_table import PodTable
from infdiag_tui.streams.kube.probe_failures import ProbeFailures
from infdiag_tui.streams.kube.watcher import Bookmark, Changed, Item, Listed, Polling, Watcher

ASPECT = "events"
_REMEMBERED = 5_000
_UNCLAIMED = 2_000
_RETRY_S = 2.0


class EventDesk:
    """Sorts events: told once per version, kept for a while when their pod is not known yet."""

    def __init__(self, table: PodTable) -> None:
        self._table = table
        self._told: OrderedDict[str, str] = OrderedDict()
        self._unclaimed: OrderedDict[str, Item[ClusterEvent]] = OrderedDict()
        self._failures: ProbeFailures | None = None

    def offer(self, items: Iterable[Item[ClusterEvent]]) -> list[ClusterEvent]:
        """Those of `items` that are news about one of the pods."""
        found = []
        for item in items:
            event = item.value
            if event is None or self._told.get(item.uid) == item.version:
                continue
            if not self._table.was_here(f"{event.namespace}/{event.name}"):
                _keep(self._unclaimed, item.uid, item, _UNCLAIMED)
                continue
            _keep(self._told, item.uid, item.version, _REMEMBERED)
            found.append(event)
        return found

    def reconsider(self) -> list[ClusterEvent]:
        """Those kept whose pod has meanwhile become known."""
        kept = list(self._unclaimed.values())
        self._unclaimed.clear()
        return self.offer(kept)

    def _told_of(self, events: Iterable[ClusterEvent], clock: Clock) -> list[Observation]:
        """The events, each with the count of probe failures that it makes."""
        if self._failures is None:
            self._failures = ProbeFailures(clock)
        told: list[Observation] = []
        for event in events:
            told += [event, *self._failures.note(event)]
        return told

    async def run(self, client: KubeClient, outlet: Outlet) -> None:
        """Watches until cancelled; nothing that happens to events ends the stream."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim(outlet))
            group.create_task(self._watch(client, outlet))

    async def _claim(self, outlet: Outlet) -> None:
        while True:
            seen = self._table.generation
            await outlet.put(*self._told_of(self.reconsider(), outlet.clock))
            if self._table.generation == seen:
                await self._table.changed()

    async def _watch(self, client: KubeClient, outlet: Outlet) -> None:
        def parse(raw: Mapping[str, Any]) -> ClusterEvent | None:
            about = raw.get("involvedObject") or {}
            return parse_event(raw, client.clock.now()) if about.get("kind") == "Pod" else None

        while True:
            watcher = Watcher(client, f"/api/v1/namespaces/{client.namespace}/events", "events", parse, {})
            try:
                async for change in watcher.follow():
                    await self._take(change, outlet)
            except ApiError as error:
                denied = error.status == HTTP_FORBIDDEN
                state = SourceState.FORBIDDEN if denied else SourceState.DEGRADED
                await outlet.trouble(ASPECT, state, f"no events: {error.reason}", error.remedy)
                await asyncio.sleep(client.pace.denied_s if denied else max(_RETRY_S, error.retry_after_s or 0.0))

    async def _take(
        self,
        change: Listed[ClusterEvent] | Changed[ClusterEvent] | Bookmark | Polling,
        outlet: Outlet,
    ) -> None:
        match change:
            case Listed(items=items):
                await outlet.put(*self._told_of(self.offer(items), outlet.clock))
                await outlet.well(ASPECT)
            case Changed(item=item, deleted=False):
                await outlet.put(*self._told_of(self.offer([item]), outlet.clock))
            case Polling(denial=ApiError() as denial):
                await outlet.trouble(
                    f"{ASPECT} watch",
                    SourceState.DEGRADED,
                    f"events are listed every few seconds instead of watched: {denial.reason}",
                    denial.remedy,
                )
            case Polling():
                await outlet.well(f"{ASPECT} watch")
            case _:
                pass  # an event that expired stays in the incident


def _keep(store: OrderedDict[str, Any], key: str, value: object, limit: int) -> None:
    store.pop(key, None)
    store[key] = value
    if len(store) > limit:
        store.popitem(last=False)
