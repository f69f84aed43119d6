"""The pods known at present; outlives connections, so that after a lost one only differences are told."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from infdiag_tui.clock import Clock, steady_time
from infdiag_tui.model import Observation, Pod, PodGone, Sample, SeriesKey
from infdiag_tui.streams.kube.watcher import Changed, Item

_GONE_KEPT = 500


class PodTable:
    """Takes lists and changes, gives observations; a `Roster` for streams that follow each pod.

    Attributes:
        generation: rises with each change.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_uid: dict[str, Item[Pod]] = {}
        self._by_key: dict[str, Pod] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._change = asyncio.Event()
        self.generation = 0

    def current(self) -> Mapping[str, Pod]:
        """Pods by key."""
        return self._by_key

    async def changed(self) -> None:
        """Returns after the next change."""
        await self._change.wait()

    def version(self, uid: str) -> str | None:
        """The resource version under which a pod is known."""
        item = self._by_uid.get(uid)
        return item.version if item else None

    def was_here(self, key: str) -> bool:
        """True for a pod of now or of lately (`namespace/name`)."""
        return key in self._by_key or key in self._gone

    def listed(self, items: Iterable[Item[Pod]]) -> list[Observation]:
        """Takes a full list: what vanished, came or changed since it was last known."""
        now = {item.uid: item for item in items}
        gone = [uid for uid in self._by_uid if uid not in now]
        return [*(self._remove(uid) for uid in gone), *self._tell(now.values())]

    def apply(self, change: Changed[Pod]) -> list[Observation]:
        """Takes one change; a pod that no longer is one of those looked for counts as gone."""
        item = change.item
        if change.deleted or item.value is None:
            return [self._remove(item.uid)] if item.uid in self._by_uid else []
        return self._tell([item])

    def _tell(self, items: Iterable[Item[Pod]]) -> list[Observation]:
        told: list[Observation] = []
        for item in items:
            known, pod = self._by_uid.get(item.uid), item.value
            if pod is None or (known is not None and known.version == item.version and _same(known.value, pod)):
                continue
            told.append(pod)
            before = known.value if known is not None else None
            if before is None or before.restart_count != pod.restart_count:
                told.append(Sample(SeriesKey("pod.restarts", pod.key), float(pod.restart_count), pod.at))
            if before is None or before.ready != pod.ready:
                # A change that was seen bears the time at which it was seen, like everything else here.
                earlier = before is None and pod.ready and pod.ready_at is not None
                at = steady_time(self._clock, pod.ready_at) if earlier and pod.ready_at is not None else pod.at
                told.append(Sample(SeriesKey("pod.ready", pod.key), float(pod.ready), at))
            self._by_uid[item.uid] = item
            self._by_key[pod.key] = pod
            self._gone.pop(pod.key, None)
        if told:
            self._wake()
        return told

    def _remove(self, uid: str) -> PodGone:
        pod = self._by_uid.pop(uid).value
        assert pod is not None  # only pods that are looked for are kept
        # A StatefulSet's new pod may already have taken the name.
        holder = self._by_key.get(pod.key)
        if holder is not None and holder.uid == uid:
            del self._by_key[pod.key]
        self._gone[pod.key] = None
        if len(self._gone) > _GONE_KEPT:
            self._gone.popitem(last=False)
        self._wake()
        return PodGone(pod.namespace, pod.name, uid, self._clock.now())

    def _wake(self) -> None:
        self.generation += 1
        waited, self._change = self._change, asyncio.Event()
        waited.set()


def _same(known: Pod | None, pod: Pod) -> bool:
    # A restored cluster may give old versions to other contents.
    return known is not None and dataclasses.replace(known, at=pod.at) == pod
