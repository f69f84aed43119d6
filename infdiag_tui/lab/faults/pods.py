"""Faults of pods, at the cluster's face and in their containers."""

from __future__ import annotations

import asyncio

from infdiag_tui.lab.scenarios import Fault
from infdiag_tui.lab.stage import Stage


class LimitCpu:
    """The pods are resized in place; a bandwidth controller keeps their containers to it."""

    def __init__(self, fault: Fault, *, cpu_limit_cores: float) -> None:
        self._fault = fault
        self._cores = cpu_limit_cores

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        for pod in stage.pods(self._fault):
            pod.limit_cpu(self._cores)


class MountWrongFolder:
    """The pods are replaced by ones that mount an empty folder, so that their server ends at every start."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        empty = stage.folder / "repository-empty"
        empty.mkdir(exist_ok=True)
        for pod in list(stage.pods(self._fault)):
            stage.kubelet.replace_pod(pod.plan.name, models=empty)


class StrandPods:
    """The pods are moved away from their nodes, and no node takes them."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        nodes = len(stage.scenario.names.nodes)
        message = (
            f"0/{nodes} nodes are available: {nodes} Insufficient nvidia.com/gpu. preemption: 0/{nodes} nodes are "
            f"available: {nodes} No preemption victims found for incoming pod."
        )
        for pod in list(stage.pods(self._fault)):
            stage.kubelet.strand_pod(pod.plan.name, message)


class EvictPods:
    """Nodes run short of memory and put the pods out, one after the other."""

    def __init__(self, fault: Fault, *, evict_every_s: float) -> None:
        self._fault = fault
        self._every_s = evict_every_s

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        for pod in list(stage.pods(self._fault)):
            container = stage.scenario.names.container
            message = (
                "The node was low on resource: memory. Threshold quantity: 100Mi, available: 82340Ki. "
                f"Container {container} was using {pod.plan.memory_limit_bytes // 2048}Ki, request is 0, has larger "
                "consumption of memory. "
            )
            await stage.kubelet.evict_pod(pod.plan.name, message)
            await asyncio.sleep(self._every_s)


class ReplacePods:
    """The oldest pod is replaced again and again; each new one loads its model only when it is first asked."""

    def __init__(self, fault: Fault, *, replace_pod_every_s: float, warmup_s: float) -> None:
        del fault, warmup_s  # the new pods' settings see to that
        self._every_s = replace_pod_every_s

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        while True:
            oldest = min(stage.kubelet.runners.values(), key=lambda runner: runner.plan.created_at)
            stage.kubelet.replace_pod(oldest.plan.name)
            await asyncio.sleep(self._every_s)
