"""Faults of nodes: other workloads on them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

from infdiag_tui.lab.children import Child, spinner
from infdiag_tui.lab.scenarios import Fault
from infdiag_tui.lab.stage import Stage

_FOLLOW_S = 0.5


class CrowdNodes:
    """Processes that never rest share the replicas' core, with more weight than these have.

    A node's core is one of this machine: replica and neighbours are bound to it. The weight that Kubernetes gives by
    CPU requests is given here by niceness.
    """

    def __init__(self, fault: Fault, *, neighbours: int, niceness: int) -> None:
        self._fault = fault
        self._neighbours = neighbours
        self._niceness = niceness

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        # The last one: whatever else runs here finds others, where there are any.
        core = max(os.sched_getaffinity(0))
        crowds: list[Child] = []
        try:
            node = stage.scenario.names.nodes[stage.struck(self._fault)[0]]
            for _ in range(self._neighbours):
                crowd = spinner(stage.folder)
                await crowd.start()
                crowds.append(crowd)
                os.sched_setaffinity(crowd.pid, {core})
                stage.kubelet.usage_sampler.neighbours[crowd.pid] = node
            # A replica that is restarted gets its place anew.
            while True:
                for pod in stage.pods(self._fault):
                    if pod.run_now is not None:
                        self._bind(pod.run_now.pid, core)
                await asyncio.sleep(_FOLLOW_S)
        finally:
            for crowd in crowds:
                await crowd.stop()

    def _bind(self, pid: int, core: int) -> None:
        with contextlib.suppress(OSError):
            if os.getpriority(os.PRIO_PROCESS, pid) == self._niceness:
                return
            for task in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})
                os.setpriority(os.PRIO_PROCESS, int(task.name), self._niceness)
            # Kernels that group tasks by session weigh these groups, not the tasks in them.
            Path(f"/proc/{pid}/autogroup").write_text(str(self._niceness))
