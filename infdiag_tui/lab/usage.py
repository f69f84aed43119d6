"""What metrics-server would say: CPU and memory of the replicas' processes, sampled now and then."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import psutil

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.pod import PodRunner
from infdiag_tui.lab.quota import process_clock
from infdiag_tui.lab.times import timestamp

Object = dict[str, Any]


class UsageSampler:
    """Keeps the last sample of every running container; one that started since has the time since its start."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._seen: dict[int, tuple[float, float]] = {}
        self.pods: list[Object] = []
        self.nodes: list[Object] = []
        self.neighbours: dict[int, str] = {}
        """Processes of other workloads, by pid the node that they run on."""

    def sample(self, runners: Iterable[PodRunner]) -> None:
        """Reads the processes as they are now."""
        seen: dict[int, tuple[float, float]] = {}
        pods: list[Object] = []
        totals = {name: [0.0, 0] for name in self._dialect.nodes}
        for runner in runners:
            run = runner.run_now
            used = None if run is None else self._used(run.pid, run.started_at, seen)
            if used is None:
                continue
            _add(totals[runner.plan.node], used)
            containers = [{"name": self._dialect.container, "usage": _usage(used.cores, used.memory_bytes)}]
            labels = {"namespace": self._dialect.namespace, "labels": self._dialect.labels}
            name = {"name": runner.plan.name, **labels}
            pods.append({**_head("PodMetrics", name, used.at, used.window_s), "containers": containers})
        for pid, node in self.neighbours.items():
            used = self._used(pid, time.time(), seen)
            if used is not None:
                _add(totals[node], used)
        self._seen, self.pods = seen, pods
        now = time.time()
        self.nodes = [
            {**_head("NodeMetrics", {"name": name}, now, 5.0), "usage": _usage(cores, int(memory_bytes))}
            for name, (cores, memory_bytes) in totals.items()
        ]

    def _used(self, pid: int, since: float, seen: dict[int, tuple[float, float]]) -> _Used | None:
        try:
            memory_bytes = psutil.Process(pid).memory_info().rss
            # In nanoseconds, as a kubelet reads it: /proc/PID/stat counts in ticks of 10 ms.
            now, cpu_s = time.time(), time.clock_gettime(process_clock(pid))
        except (psutil.NoSuchProcess, OSError):
            return None
        before, cpu_before_s = self._seen.get(pid, (since, 0.0))
        window_s = max(now - before, 0.001)
        seen[pid] = (now, cpu_s)
        # A process seen for the first time without knowing since when has used nothing that could be told.
        cores = max(0.0, cpu_s - cpu_before_s) / window_s if before < now - 0.01 else 0.0
        return _Used(now, window_s, cores, memory_bytes)


class _Used(NamedTuple):
    at: float
    window_s: float
    cores: float
    memory_bytes: int


def _add(total: list[float], used: _Used) -> None:
    total[0] += used.cores
    total[1] += used.memory_bytes


def _head(kind: str, metadata: Object, at: float, window_s: float) -> Object:
    return {
        "kind": kind,
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {**metadata, "creationTimestamp": timestamp(at)},
        "timestamp": timestamp(at),
        "window": f"{window_s:.3f}s",
    }


def _usage(cores: float, memory_bytes: int) -> Object:
    return {"cpu": f"{round(cores * 1e9)}n", "memory": f"{memory_bytes // 1024}Ki"}
