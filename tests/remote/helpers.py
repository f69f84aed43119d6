"""A way into the lab's container, and what runs there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Kubernetes
from infdiag_tui.lab import Lab
from infdiag_tui.remote.guarded import GuardedRemote
from infdiag_tui.remote.output import STDOUT_BYTES
from infdiag_tui.remote.pod import PodCarrier
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.execute import ContainerPlace
from infdiag_tui.streams.kube.pace import Pace


@asynccontextmanager
async def into(
    kubeconfig: Path, place: ContainerPlace, stdout_bytes: int = STDOUT_BYTES, pace: Pace | None = None
) -> AsyncIterator[GuardedRemote]:
    """A remote that runs in this container; no connection of it may be left."""
    client = KubeClient(Kubernetes(kubeconfig=kubeconfig), SystemClock(), "infdiag-test", pace)
    remote = GuardedRemote(PodCarrier(client, place), stdout_bytes)
    try:
        yield remote
    finally:
        await remote.aclose()
        assert client._link is None


async def place_in(lab: Lab) -> ContainerPlace:
    """The container of the lab's first replica."""
    return ContainerPlace(lab.namespace, (await lab.replicas())[0].name, "server")


def runs_beside(marker: str) -> list[psutil.Process]:
    """Living processes of this machine with that word in their command line, but for shells that only carry it."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["status"] != psutil.STATUS_ZOMBIE and marker in words:
            found.append(process)
    return found
