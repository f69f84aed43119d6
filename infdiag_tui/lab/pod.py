"""A pod's life: its container is started, probed, restarted with growing waits, and in the end removed."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from infdiag_tui.lab.cgroup import Cgroup
from infdiag_tui.lab.container import ContainerRun, Exit
from infdiag_tui.lab.containerlog import ContainerLog
from infdiag_tui.lab.events import EventRecorder
from infdiag_tui.lab.manifests import (
    CPU_LIMIT_CORES,
    READINESS_FAILURES,
    READINESS_PERIOD_S,
    READINESS_TIMEOUT_S,
    PodPlan,
)
from infdiag_tui.lab.podstatus import ContainerStatus
from infdiag_tui.lab.scenarios import Scenario
from infdiag_tui.lab.server.settings import Settings

_GRACE_S = 5.0
_KILLED = 137
_NOTICE_S = 1.0
"""The kubelet looks for ended containers once a second."""
_FIRST_PROBES_S = 0.1
_STEADY_RUN_S = 600.0
"""A run this long clears the restart wait, as in the kubelet."""


class PodRunner:
    """Keeps one pod's container running until told to end; `on_change` is called whenever its status changed."""

    def __init__(
        self,
        plan: PodPlan,
        settings: Settings,
        folder: Path,
        scenario: Scenario,
        events: EventRecorder,
        on_change: Callable[[PodRunner], None],
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.status = ContainerStatus()
        self.deleted_at: float | None = None
        self.evicting = False
        self.run_now: ContainerRun | None = None
        self.log: ContainerLog | None = None
        self.previous_log: ContainerLog | None = None
        self._settings = settings
        self._scenario = scenario
        self._events = events
        self._on_change = on_change
        self._ending = asyncio.Event()
        self._container = plan.dialect.container
        self._quota_task: asyncio.Task[None] | None = None
        self.cgroup = Cgroup(folder, plan.memory_limit_bytes)

    async def live(self, http: aiohttp.ClientSession) -> None:
        """Runs the container again and again until `end`, or until cancelled, which kills it."""
        self._say("Pulled", f'Container image "{self.plan.dialect.tagged_image}" already present on machine')
        crashes = 0
        while not self._ending.is_set():
            ended = await self._run_once(http)
            if self._ending.is_set():
                return
            if ended.reason == "OOMKilled":
                self.cgroup.oom_kills += 1
                self._say_out_of_memory()
            crashes = 1 if ended.finished_at - ended.started_at >= _STEADY_RUN_S else crashes + 1
            self._change(running_at=None, ended=ended, ready=False)
            await self._wait_before_restart(crashes, ended)

    async def evict(self, message: str) -> None:
        """The node puts the pod out: its container is killed, and the pod stays as a record of that."""
        self.evicting = True
        self._ending.set()
        run = self.run_now
        self._say("Evicted", message, kind="Warning")
        self._say("Killing", f"Stopping container {self._container}")
        self._change(ready=False)
        ended = None
        if run is not None:
            await run.stop(0)
            ended = Exit("Error", _KILLED, run.started_at, time.time())
        self._change(evicted=message, running_at=None, ended=ended)

    def limit_cpu(self, cores: float) -> None:
        """Resizes the pod in place: from now on its container gets so many cores and no more."""
        self.plan = dataclasses.replace(self.plan, cpu_limit_cores=cores)
        self._say("Resized", f"Container {self._container} resized: cpu limit {round(cores * 1000)}m")
        self._enforce_quota()
        self._on_change(self)

    def _enforce_quota(self) -> None:
        if self.run_now is not None and self.plan.cpu_limit_cores < CPU_LIMIT_CORES:
            if self._quota_task is not None:
                self._quota_task.cancel()
            enforcing = self.cgroup.quota.enforce(self.run_now.pid, self.plan.cpu_limit_cores)
            self._quota_task = asyncio.create_task(enforcing)

    async def _release_quota(self) -> None:
        if self._quota_task is not None:
            self._quota_task.cancel()
            await asyncio.gather(self._quota_task, return_exceptions=True)
            self._quota_task = None

    async def end(self) -> None:
        """The graceful end: unready at once, SIGTERM, and SIGKILL after the grace period."""
        self.deleted_at = time.time() + _GRACE_S
        self._ending.set()
        self._change(ready=False)
        self._say("Killing", f"Stopping container {self._container}")
        if self.run_now is not None:
            await self.run_now.stop(_GRACE_S)

    async def _run_once(self, http: aiohttp.ClientSession) -> Exit:
        path = self.folder / f"{self._container}.{self.status.restarts}.log"
        run = await ContainerRun.start(self._settings.environment(), self.folder, path, self.plan.memory_limit_bytes)
        if self.previous_log is not None:
            self.previous_log.discard()
        self.previous_log, self.log, self.run_now = self.log, run.log, run
        self._say("Created", f"Created container {self._container}")
        self._say("Started", f"Started container {self._container}")
        self._change(running_at=run.started_at, ended=None)
        self._enforce_quota()
        probing = asyncio.create_task(self._probe(http))
        try:
            return await run.wait()
        except asyncio.CancelledError:
            await run.stop(0)
            raise
        finally:
            self.run_now = None
            await self._release_quota()
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)

    async def _wait_before_restart(self, crashes: int, ended: Exit) -> None:
        wait_s = (
            min(self._scenario.backoff_max_s, self._scenario.backoff_s * 2.0 ** (crashes - 2)) if crashes > 1 else 0.0
        )
        await self._sleep(min(_NOTICE_S, wait_s or _NOTICE_S))
        restarts = self.status.restarts + 1
        if wait_s:
            where = f"{self.plan.name}_{self.plan.metadata()['namespace']}({self.plan.uid})"
            message = f"back-off {wait_s:.0f}s restarting failed container={self._container} pod={where}"
            self._events.pod(
                self.plan.name,
                "Warning",
                "BackOff",
                f"Back-off restarting failed container {self._container} in pod {where}",
                host=self.plan.node,
            )
            self._change(ended=None, last=ended, waiting="CrashLoopBackOff", waiting_message=message)
            await self._sleep(wait_s)
        self._change(restarts=restarts, last=ended)

    async def _sleep(self, duration_s: float) -> None:
        try:
            await asyncio.wait_for(self._ending.wait(), duration_s)
        except TimeoutError:
            return

    async def _probe(self, http: aiohttp.ClientSession) -> None:
        failures = 0
        while True:
            trouble = await self._probe_once(http)
            began = self.status.running_at or time.time()
            failures = failures + 1 if trouble else 0
            if not trouble and not self.status.ready and self.deleted_at is None:
                self._change(ready=True)
            if trouble and time.time() - began >= READINESS_PERIOD_S:
                self._say("Unhealthy", f"Readiness probe failed: {trouble}", kind="Warning")
                if failures >= READINESS_FAILURES and self.status.ready:
                    self._change(ready=False)
            starting = not self.status.ready and time.time() - began < READINESS_PERIOD_S
            await asyncio.sleep(_FIRST_PROBES_S if starting else READINESS_PERIOD_S)

    async def _probe_once(self, http: aiohttp.ClientSession) -> str:
        """What a readiness probe met, in the kubelet's words; empty when all is well."""
        address = f"{self.plan.ip}:{self.plan.port}"
        url = f"http://{address}/health"
        try:
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=READINESS_TIMEOUT_S)) as reply:
                return "" if reply.status < 400 else f"HTTP probe failed with statuscode: {reply.status}"
        except TimeoutError:
            return f'Get "{url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
        except aiohttp.ClientConnectorError:
            return f'Get "{url}": dial tcp {address}: connect: connection refused'
        except aiohttp.ClientError:
            return f'Get "{url}": EOF'

    def _say(self, reason: str, message: str, kind: str = "Normal") -> None:
        self._events.pod(self.plan.name, kind, reason, message, host=self.plan.node)

    def _say_out_of_memory(self) -> None:
        node = {"kind": "Node", "apiVersion": "v1", "name": self.plan.node}
        message = (
            f"Memory cgroup out of memory: killed a process of container {self._container} in pod {self.plan.name}"
        )
        self._events.about(node, "Warning", "OOMKilling", message, "kernel-monitor")

    def _change(self, **changes: object) -> None:
        if "ready" in changes and changes["ready"] != self.status.ready:
            changes["ready_changed_at"] = time.time()
        self.status = dataclasses.replace(self.status, **changes)  # type: ignore[arg-type]  # fields of the one class
        self._on_change(self)
