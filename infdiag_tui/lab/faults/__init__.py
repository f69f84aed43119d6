"""What can be wrong around the replicas' processes: each fault is a class that does its damage at its time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Protocol

from infdiag_tui.lab.faults import clients, gpus, network, nodes, pods, releases, world
from infdiag_tui.lab.repository import Repository
from infdiag_tui.lab.scenarios import Fault
from infdiag_tui.lab.stage import Stage
from infdiag_tui.lab.world import Outcomes


class LabFault(Protocol):
    """A fault; it is made from the scenario's entry and its values."""

    async def begin(self, stage: Stage) -> None:
        """Does the damage, once or until cancelled."""
        ...


class PreparedFault(Protocol):
    """A fault that is there before anything runs."""

    def prepare(self, repository: Repository, outcomes: Outcomes) -> None:
        """Does the damage."""
        ...


KINDS: Mapping[str, type[LabFault]] = {
    "bulk-requests": clients.BulkRequests,
    "bursts": clients.Bursts,
    "hold-connections": clients.HoldConnections,
    "surge": clients.Surge,
    "other-customers": clients.OtherCustomers,
    "new-client-release": clients.NewClientRelease,
    "overheat": gpus.Overheat,
    "break-gpu": gpus.BreakGpu,
    "fill-gpu-memory": gpus.FillMemory,
    "stop-gateway": network.StopGateway,
    "slow-line": network.SlowLine,
    "hang-store": network.HangStore,
    "limit-cpu": pods.LimitCpu,
    "mount-wrong-folder": pods.MountWrongFolder,
    "strand-pods": pods.StrandPods,
    "evict-pods": pods.EvictPods,
    "replace-pods": pods.ReplacePods,
    "crowd-nodes": nodes.CrowdNodes,
    "older-model": releases.OlderModel,
    "other-file": releases.OtherFile,
    "other-scaling": releases.OtherScaling,
    "moved-outcomes": world.MovedOutcomes,
    "more-fraud": world.MoreFraud,
}


PREPARED: Mapping[str, type[PreparedFault]] = {"never-retrained": releases.NeverRetrained}


LAB_KINDS = frozenset({*KINDS, *PREPARED})
"""Every other kind is that of a fault inside a replica's process."""


def prepare_fault(fault: Fault, repository: Repository, outcomes: Outcomes) -> None:
    """Lets a fault that is older than the lab do its damage."""
    kind = PREPARED.get(fault.kind)
    if kind is not None:
        values: dict[str, Any] = dict(fault.values)
        kind(fault, **values).prepare(repository, outcomes)  # type: ignore[call-arg]  # as below


async def run_fault(fault: Fault, stage: Stage) -> None:
    """Begins a fault of the lab at its time; one that is none of the lab's is the replicas' own affair."""
    kind = KINDS.get(fault.kind)
    if kind is None:
        return
    values: dict[str, Any] = dict(fault.values)
    await asyncio.sleep(max(0.0, stage.fault_at - time.time()))
    await kind(fault, **values).begin(stage)  # type: ignore[call-arg]  # a protocol says nothing of constructors
