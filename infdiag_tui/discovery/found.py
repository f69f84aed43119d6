"""One search: clusters and this machine at the same time, scored, with what was looked at in words."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from infdiag_tui import __version__
from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Kubernetes
from infdiag_tui.discovery import cluster, host
from infdiag_tui.discovery.score import Candidate, bearing, called, joined, likely, scored
from infdiag_tui.discovery.workload import Workload
from infdiag_tui.streams.base import SourceError
from infdiag_tui.text import one_line

_HOST_LIMIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that serves something, model servers or not, and what was looked at, a sentence for each place.

    `clusters_read` is True when at least one namespace of a cluster could be read.
    """

    candidates: tuple[Candidate, ...]
    looked: tuple[str, ...]
    clusters_read: bool

    def chosen(self, name: str) -> list[Candidate]:
        """What bears `name`, else (without a name) what looks like a model server; the likeliest first."""
        return called(name, self.candidates) if name else likely(self.candidates)


async def search(settings: Kubernetes | None, *, this_machine: bool) -> Found:
    """Looks through the clusters (`settings` None: none) and this machine."""
    (there, looked), (here, said) = await asyncio.gather(
        _clusters(settings) if settings is not None else _nowhere(), _host() if this_machine else _no_host()
    )
    return Found(
        tuple(scored(one) for one in joined([*there, *here])),
        (*map(str, looked), *said),
        any(one.namespaces != () for one in looked),
    )


async def pods_called(name: str, settings: Kubernetes) -> list[Candidate]:
    """Where there are pods of that name, for those that no Deployment or other object of ours stands for."""
    pods, _ = await _clusters(settings, cluster.PODS)
    return bearing(name, pods)


async def _clusters(
    settings: Kubernetes, kinds: tuple[cluster.Kind, ...] = cluster.SERVING
) -> tuple[list[Workload], list[cluster.Looked]]:
    try:
        return await cluster.look(settings, SystemClock(), f"infdiag/{__version__}", kinds)
    except SourceError as error:
        return [], [cluster.Looked("", (), 0, one_line(error.reason, 300))]


async def _host() -> tuple[list[Workload], list[str]]:
    try:
        async with asyncio.timeout(_HOST_LIMIT_S):
            workloads, looked = await asyncio.to_thread(host.look)
    except TimeoutError:
        return [], [f"this machine: its processes could not be listed within {_HOST_LIMIT_S:g} s"]
    return workloads, [looked]


async def _nowhere() -> tuple[list[Workload], list[cluster.Looked]]:
    return [], []


async def _no_host() -> tuple[list[Workload], list[str]]:
    return [], []
