"""What metrics-server would say: CPU and memory of the replicas' processes, sampled now and then."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import psutil

from infdiag_tui.lab.manifests import CONTAINER, LABELS, NAMESPACE, NODES
from infdiag_tui.lab.pod import PodRunner
from infdiag_tui.lab.times import timestamp

Object = dict[str, Any]


class UsageSampler:
    """Keeps the last sample of every running container; one that started since has the time since its start."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[float, float]] = {}
        self.pods: list[Object] = []
        self.nodes: list[Object] = []

    def sample(self, runners: Iterable[PodRunner]) -> None:
        """Reads the processes as they are now."""
        seen: dict[int, tuple[float, float]] = {}
        pods: list[Object] = []
        totals = {name: [0.0, 0] for name in NODES}
        for runner in runners:
            run = runner.run_now
            if run is None:
                continue
            try:
                process = psutil.Process(run.pid)
                times = process.cpu_times()
                memory_bytes = process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
            now, cpu_s = time.time(), times.user + times.system
            before, cpu_before_s = self._seen.get(run.pid, (run.started_at, 0.0))
            window_s = max(now - before, 0.001)
            cores = max(0.0, cpu_s - cpu_before_s) / window_s
            seen[run.pid] = (now, cpu_s)
            totals[runner.plan.node][0] += cores
            totals[runner.plan.node][1] += memory_bytes
            containers = [{"name": CONTAINER, "usage": _usage(cores, memory_bytes)}]
            name = {"name": runner.plan.name, "namespace": NAMESPACE, "labels": LABELS}
            pods.append({**_head("PodMetrics", name, now, window_s), "containers": containers})
        self._seen, self.pods = seen, pods
        now = time.time()
        self.nodes = [
            {**_head("NodeMetrics", {"name": name}, now, 5.0), "usage": _usage(cores, int(memory_bytes))}
            for name, (cores, memory_bytes) in totals.items()
        ]


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
