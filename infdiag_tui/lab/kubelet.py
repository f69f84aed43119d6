"""The cluster's hands: it keeps the wanted number of pods alive and tells the store what became of them."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from infdiag_tui.lab import manifests
from infdiag_tui.lab.api.node import ExecPlace, NodeError
from infdiag_tui.lab.api.store import Store
from infdiag_tui.lab.containerlog import ContainerLog
from infdiag_tui.lab.devicefile import DeviceFile
from infdiag_tui.lab.events import EventRecorder
from infdiag_tui.lab.manifests import PodPlan
from infdiag_tui.lab.pod import PodRunner
from infdiag_tui.lab.podstatus import ContainerStatus, pod_object
from infdiag_tui.lab.processes import free_port
from infdiag_tui.lab.scenarios import Scenario
from infdiag_tui.lab.server.settings import Settings
from infdiag_tui.lab.usage import UsageSampler

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_FIRST_USAGE_S = 1.0
_ACCOUNT_S = 1.0


class Kubelet:
    """Kubelet, scheduler, ReplicaSet controller and endpoints controller of the lab in one.

    `on_endpoints` gets the ready pods whenever they change; `settings` makes those of a new pod's server.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        folder: Path,
        store: Store,
        on_endpoints: Callable[[list[PodPlan]], None],
        settings: Callable[[PodPlan, Path], Settings],
    ) -> None:
        self._scenario = scenario
        self._dialect = scenario.names
        self._folder = folder
        self._store = store
        self._on_endpoints = on_endpoints
        self._settings = settings
        self._events = EventRecorder(store, self._dialect)
        self._names = random.Random(seed)
        # A network of its own within 127/8, so that two labs do not meet.
        self._network = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"
        self._created = 0
        self._began_at = time.time()
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self.usage_sampler = UsageSampler(self._dialect)
        self.service_port = 0
        self.runners: dict[str, PodRunner] = {}
        self.all_ready = asyncio.Event()

    async def start(self, service_port: int) -> None:
        """Creates the cluster's fixed objects and starts the replicas."""
        self.service_port = service_port
        # One connection for each probe: a probe must meet the listening socket, not an old connection.
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        for name in dict.fromkeys(("default", "kube-system", self._dialect.namespace, "restricted")):
            self._store.put("namespaces", manifests.namespace(name, self._began_at))
        for name in self._dialect.nodes:
            self._store.put("nodes", manifests.node(name, self._began_at))
        self._store.put("services", manifests.service(self._dialect, service_port, self._began_at))
        for index in range(self._scenario.replicas):
            self.create_pod(index)
        self._spawn(self._sample_usage())
        self._spawn(self._keep_accounts())

    async def close(self) -> None:
        """Kills every replica and ends."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def create_pod(self, index: int, port: int | None = None, *, models: Path | None = None) -> PodRunner:
        """A new pod of the ReplicaSet for replica `index`.

        One that takes another's place also takes its port, at an address of its own. `models` is the folder that it
        mounts; by default the shared repository.
        """
        plan = self._plan(index, port)
        folder = self._folder / "pods" / plan.name
        folder.mkdir(parents=True)
        (folder / "models").symlink_to(models or self._folder / "repository", target_is_directory=True)
        runner = PodRunner(plan, self._settings(plan, folder), folder, self._scenario, self._events, self._publish)
        self.runners[plan.name] = runner
        self._say_created(plan)
        assigned = f"Successfully assigned {self._dialect.namespace}/{plan.name} to {plan.node}"
        self._events.pod(plan.name, "Normal", "Scheduled", assigned, source="default-scheduler")
        self._publish(runner)
        self._spawn(self._live(runner))
        return runner

    def create_pending(self, index: int, message: str) -> None:
        """A new pod that no node takes."""
        plan = self._plan(index, 8080, placed=False)
        self._say_created(plan)
        self._events.pod(plan.name, "Warning", "FailedScheduling", message, source="default-scheduler")
        self._store.put("pods", pod_object(plan, ContainerStatus(unschedulable=message), None))

    def replica(self, index: int) -> PodRunner:
        """The pod that stands for a replica at present.

        Raises:
            KeyError: There is none.
        """
        found = [one for one in self.runners.values() if one.plan.index == index and one.deleted_at is None]
        if not found:
            raise KeyError(f"no pod stands for replica {index}")
        return found[-1]

    def replace_pod(self, pod: str, **changes: Any) -> None:
        """Ends a pod gracefully; another takes its place at once. A pod already ending is left alone."""
        runner = self.runners[pod]
        if runner.deleted_at is None:
            self._spawn(runner.end())
            self.create_pod(runner.plan.index, runner.plan.port, **changes)

    def strand_pod(self, pod: str, message: str) -> None:
        """Ends a pod gracefully; its successor finds no node."""
        runner = self.runners[pod]
        self._spawn(runner.end())
        self.create_pending(runner.plan.index, message)

    async def evict_pod(self, pod: str, message: str) -> None:
        """The pod's node, short of memory, puts it out; another pod takes its place."""
        runner = self.runners[pod]
        self._store.put("nodes", manifests.node(runner.plan.node, self._began_at, pressure=True))
        await runner.evict(message)
        self.create_pod(runner.plan.index, runner.plan.port)

    def delete_pod(self, pod: str) -> None:
        """What the API's DELETE does."""
        if pod in self.runners:
            self.replace_pod(pod)
        else:
            self._store.delete("pods", self._dialect.namespace, pod)

    def log_of(self, pod: str, container: str, *, previous: bool) -> ContainerLog:
        """The container's log, of the current or the previous run."""
        runner = self._runner(pod, container)
        log = runner.previous_log if previous else runner.log
        # While a container waits for its restart, its last run is both the current and the previous one.
        if previous and runner.run_now is None and runner.status.last is not None:
            log = runner.log
        if log is None:
            if previous:
                name = self._dialect.container
                raise NodeError(f'previous terminated container "{name}" in pod "{pod}" not found')
            reason = runner.status.waiting
            raise NodeError(f'container "{self._dialect.container}" in pod "{pod}" is waiting to start: {reason}')
        return log

    def exec_place(self, pod: str, container: str) -> ExecPlace:
        """The pod's folder and the environment of commands in it."""
        runner = self._runner(pod, container)
        if runner.run_now is None:
            raise NodeError(f'unable to upgrade connection: container not found ("{self._dialect.container}")')
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOSTNAME": pod, "HOME": str(runner.folder)}
        return ExecPlace(runner.folder, environment)

    def usage(self) -> dict[str, list[dict[str, Any]]]:
        """The last sample as PodMetrics and NodeMetrics."""
        return {"pods": self.usage_sampler.pods, "nodes": self.usage_sampler.nodes}

    def log_file(self, pod: str) -> Path:
        """The log file that a replica writes itself."""
        return self._folder / "logs" / f"{pod}.log"

    @property
    def log_files(self) -> list[Path]:
        """Those of the present replicas."""
        return [self.log_file(name) for name in self.runners]

    def device_path(self, pod: str) -> Path:
        """The file that a replica's GPU and its driver share."""
        return self._folder / "devices" / pod

    def ready_plans(self) -> list[PodPlan]:
        """The pods that take requests."""
        return [runner.plan for runner in self.runners.values() if runner.status.ready]

    def _plan(self, index: int, port: int | None, *, placed: bool = True) -> PodPlan:
        suffix = "".join(self._names.choices(_SUFFIX, k=5))
        ip = f"{self._network}.{10 + self._created % 240}" if placed else ""
        self._created += 1
        return PodPlan(
            dialect=self._dialect,
            name=f"{self._dialect.replica_set}-{suffix}",
            node=self._dialect.nodes[index % len(self._dialect.nodes)] if placed else "",
            ip=ip,
            port=port or free_port(ip),
            memory_limit_bytes=self._scenario.memory_limit_bytes,
            created_at=time.time(),
            index=index,
        )

    def _say_created(self, plan: PodPlan) -> None:
        replica_set = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": self._dialect.replica_set}
        created = f"Created pod: {plan.name}"
        self._events.about(replica_set, "Normal", "SuccessfulCreate", created, "replicaset-controller")

    def _runner(self, pod: str, container: str) -> PodRunner:
        if container not in ("", self._dialect.container):
            raise NodeError(f"container {container} is not valid for pod {pod}")
        if pod not in self.runners:
            raise NodeError(f'container "{self._dialect.container}" in pod "{pod}" is not running')
        return self.runners[pod]

    async def _live(self, runner: PodRunner) -> None:
        if self._http is None:
            raise RuntimeError("the kubelet was not started")
        await runner.live(self._http)
        del self.runners[runner.plan.name]
        self.device_path(runner.plan.name).unlink(missing_ok=True)
        # An evicted pod stays as a record until somebody deletes it.
        if not runner.status.evicted and not runner.evicting:
            self._store.delete("pods", self._dialect.namespace, runner.plan.name)
        self._publish_workload()

    def _publish(self, runner: PodRunner) -> None:
        self._store.put("pods", pod_object(runner.plan, runner.status, runner.deleted_at))
        self._publish_workload()
        if len(self.ready_plans()) >= self._scenario.replicas:
            self.all_ready.set()

    def _publish_workload(self) -> None:
        ready = self.ready_plans()
        before = self._store.get("endpoints", self._dialect.namespace, self._dialect.app)
        after = manifests.endpoints(self._dialect, ready, self._began_at)
        if before is not None and before["subsets"] == after["subsets"]:
            return
        self._store.put("endpoints", after)
        limit = self._scenario.memory_limit_bytes
        counts = (self._scenario.replicas, min(len(ready), self._scenario.replicas), self.service_port, limit)
        self._store.put("deployments", manifests.deployment(self._dialect, *counts, self._began_at))
        self._store.put("replicasets", manifests.replica_set(self._dialect, *counts, self._began_at))
        self._on_endpoints(ready)

    async def _sample_usage(self) -> None:
        await asyncio.sleep(_FIRST_USAGE_S)
        while True:
            self.usage_sampler.sample(self.runners.values())
            await asyncio.sleep(self._scenario.usage_interval_s)

    async def _keep_accounts(self) -> None:
        """Writes the containers' own accounts; a card remembers nothing of a process that is gone."""
        while True:
            for runner in self.runners.values():
                if runner.run_now is not None:
                    runner.cgroup.write(runner.run_now.pid)
                elif self.device_path(runner.plan.name).exists():
                    device = DeviceFile(self.device_path(runner.plan.name))
                    device.used_mib = 0.0
                    device.close()
            await asyncio.sleep(_ACCOUNT_S)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A lab that limps would teach wrong things: the whole of it ends, with the traceback.
            asyncio.get_running_loop().call_exception_handler({"message": "lab task failed", "exception": error})
