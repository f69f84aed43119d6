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
from infdiag_tui.lab.events import EventRecorder
from infdiag_tui.lab.manifests import NAMESPACE, NODES, PodPlan
from infdiag_tui.lab.pod import PodRunner
from infdiag_tui.lab.podstatus import pod_object
from infdiag_tui.lab.processes import free_port
from infdiag_tui.lab.scenarios import Scenario
from infdiag_tui.lab.server.settings import Settings
from infdiag_tui.lab.usage import UsageSampler

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_FIRST_USAGE_S = 1.0


class Kubelet:
    """Kubelet, ReplicaSet controller and endpoints controller of the lab in one.

    `on_endpoints` gets the ready pods whenever they change.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        folder: Path,
        store: Store,
        on_endpoints: Callable[[list[PodPlan]], None],
    ) -> None:
        self._scenario = scenario
        self._seed = seed
        self._folder = folder
        self._store = store
        self._on_endpoints = on_endpoints
        self._events = EventRecorder(store)
        self._names = random.Random(seed)
        # A network of its own within 127/8, so that two labs do not meet.
        self._network = f"127.{random.randint(16, 250)}.{random.randint(1, 250)}"
        self._created = 0
        self._began_at = time.time()
        self._usage = UsageSampler()
        self._tasks: set[asyncio.Task[None]] = set()
        self._http: aiohttp.ClientSession | None = None
        self.service_port = 0
        self.runners: dict[str, PodRunner] = {}
        self.first_ready = asyncio.Event()

    async def start(self, service_port: int) -> None:
        """Creates the cluster's fixed objects and starts the replicas."""
        self.service_port = service_port
        # One connection for each probe: a probe must meet the listening socket, not an old connection.
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        for name in ("default", "kube-system", NAMESPACE, "restricted"):
            self._store.put("namespaces", manifests.namespace(name, self._began_at))
        for name in NODES:
            self._store.put("nodes", manifests.node(name, self._began_at))
        self._store.put("services", manifests.service(service_port, self._began_at))
        for _ in range(self._scenario.replicas):
            self.create_pod()
        self._spawn(self._sample_usage())
        if self._scenario.replace_pod_every_s:
            self._spawn(self._replace_pods())

    async def close(self) -> None:
        """Kills every replica and ends."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def create_pod(self, port: int | None = None) -> PodRunner:
        """A new pod of the ReplicaSet. One that takes another's place also takes its port, at an address of its own."""
        index = self._created
        self._created += 1
        suffix = "".join(self._names.choices(_SUFFIX, k=5))
        ip = f"{self._network}.{10 + index % 240}"
        plan = PodPlan(
            name=f"{manifests.REPLICA_SET}-{suffix}",
            node=NODES[index % len(NODES)],
            ip=ip,
            port=port or free_port(ip),
            memory_limit_bytes=self._scenario.memory_limit_bytes,
            created_at=time.time(),
        )
        folder = self._folder / "pods" / plan.name
        folder.mkdir(parents=True)
        settings = self._settings(plan, index)
        runner = PodRunner(plan, settings, folder, self._scenario, self._events, self._publish)
        self.runners[plan.name] = runner
        replica_set = {"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": manifests.REPLICA_SET}
        created = f"Created pod: {plan.name}"
        self._events.about(replica_set, "Normal", "SuccessfulCreate", created, "replicaset-controller")
        assigned = f"Successfully assigned {NAMESPACE}/{plan.name} to {plan.node}"
        self._events.pod(plan.name, "Normal", "Scheduled", assigned, source="default-scheduler")
        self._publish(runner)
        self._spawn(self._live(runner))
        return runner

    def delete_pod(self, pod: str) -> None:
        """Ends a pod gracefully; the ReplicaSet creates another at once. A pod already ending is left alone."""
        runner = self.runners[pod]
        if runner.deleted_at is None:
            self._spawn(runner.end())
            self.create_pod(runner.plan.port)

    def log_of(self, pod: str, container: str, *, previous: bool) -> ContainerLog:
        """The container's log, of the current or the previous run."""
        runner = self._runner(pod, container)
        log = runner.previous_log if previous else runner.log
        # While a container waits for its restart, its last run is both the current and the previous one.
        if previous and runner.run_now is None and runner.status.last is not None:
            log = runner.log
        if log is None:
            if previous:
                raise NodeError(f'previous terminated container "{manifests.CONTAINER}" in pod "{pod}" not found')
            reason = runner.status.waiting
            raise NodeError(f'container "{manifests.CONTAINER}" in pod "{pod}" is waiting to start: {reason}')
        return log

    def exec_place(self, pod: str, container: str) -> ExecPlace:
        """The pod's folder and the environment of commands in it."""
        runner = self._runner(pod, container)
        if runner.run_now is None:
            raise NodeError(f'unable to upgrade connection: container not found ("{manifests.CONTAINER}")')
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOSTNAME": pod, "HOME": str(runner.folder)}
        return ExecPlace(runner.folder, environment)

    def usage(self) -> dict[str, list[dict[str, Any]]]:
        """The last sample as PodMetrics and NodeMetrics."""
        return {"pods": self._usage.pods, "nodes": self._usage.nodes}

    @property
    def log_files(self) -> list[Path]:
        """The log files that the replicas write themselves."""
        return [self._log_file(name) for name in self.runners]

    def ready_plans(self) -> list[PodPlan]:
        """The pods that take requests."""
        return [runner.plan for runner in self.runners.values() if runner.status.ready]

    def _runner(self, pod: str, container: str) -> PodRunner:
        if container not in ("", manifests.CONTAINER):
            raise NodeError(f"container {container} is not valid for pod {pod}")
        return self.runners[pod]

    def _log_file(self, pod: str) -> Path:
        return self._folder / "logs" / f"{pod}.log"

    def _settings(self, plan: PodPlan, index: int) -> Settings:
        scenario = self._scenario
        degrade_at = self._began_at + scenario.fault_after_s + index * scenario.fault_stagger_s
        lazy = scenario.lazy_load and plan.created_at >= self._began_at + scenario.fault_after_s
        return Settings(
            host=plan.ip,
            port=plan.port,
            log_file=str(self._log_file(plan.name)),
            pod_name=plan.name,
            seed=self._seed,
            merchants=scenario.merchants,
            warmup_rows=scenario.warmup_rows if lazy else 0,
            lazy_load=lazy,
            degrade_at=degrade_at,
            kept_bytes_per_request=scenario.kept_bytes_per_request,
            scan_merchants=scenario.scan_merchants,
        )

    async def _live(self, runner: PodRunner) -> None:
        if self._http is None:
            raise RuntimeError("the kubelet was not started")
        await runner.live(self._http)
        del self.runners[runner.plan.name]
        self._store.delete("pods", NAMESPACE, runner.plan.name)
        self._publish_workload()

    def _publish(self, runner: PodRunner) -> None:
        self._store.put("pods", pod_object(runner.plan, runner.status, runner.deleted_at))
        self._publish_workload()
        if runner.status.ready:
            self.first_ready.set()

    def _publish_workload(self) -> None:
        ready = self.ready_plans()
        before = self._store.get("endpoints", NAMESPACE, manifests.APP)
        after = manifests.endpoints(ready, self._began_at)
        if before is not None and before["subsets"] == after["subsets"]:
            return
        self._store.put("endpoints", after)
        limit = self._scenario.memory_limit_bytes
        counts = (self._scenario.replicas, min(len(ready), self._scenario.replicas), self.service_port, limit)
        self._store.put("deployments", manifests.deployment(*counts, self._began_at))
        self._store.put("replicasets", manifests.replica_set(*counts, self._began_at))
        self._on_endpoints(ready)

    async def _sample_usage(self) -> None:
        await asyncio.sleep(_FIRST_USAGE_S)
        while True:
            self._usage.sample(self.runners.values())
            await asyncio.sleep(self._scenario.usage_interval_s)

    async def _replace_pods(self) -> None:
        await asyncio.sleep(self._scenario.fault_after_s)
        while True:
            oldest = min(self.runners.values(), key=lambda runner: runner.plan.created_at)
            self.delete_pod(oldest.plan.name)
            await asyncio.sleep(self._scenario.replace_pod_every_s)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # A lab that limps would teach wrong things: the whole of it ends, with the traceback.
            asyncio.get_running_loop().call_exception_handler({"message": "lab task failed", "exception": error})
