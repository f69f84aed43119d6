"""Lays observations out by the USE method: for each resource its utilisation, saturation and errors.

USE (Brendan Gregg, 2012) asks of every resource how busy it is, how much work waits for it, and whether it fails. Each
cell says where it was read and how old it is; what nobody measured is None, and `missing` says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from infdiag_tui.model import ClusterEvent, GpuDevice, HostState, Pod, PodUsage, ProcessState, Snapshot
from infdiag_tui.text import clean, one_line

UTILISATION, SATURATION, ERRORS = "utilisation", "saturation", "errors"
FIELDS = (UTILISATION, SATURATION, ERRORS)

EVICTING = ("Evicted", "NodeNotReady", "TaintManagerEviction", "NodeLost", "SystemOOM", "OOMKilling", "Preempted")
"""Reasons of events and pods that speak of the node rather than of the pod."""


@dataclass(slots=True)
class Row:
    """One resource and its three cells."""

    resource: str
    subject: str
    at: float
    source: str
    now: float
    cells: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def put(
        self, name: str, value: float | None, unit: str, text: str, *, why_not: str, at: float | None = None
    ) -> None:
        """Fills a cell, or says why it cannot be filled."""
        if value is None:
            self.cells[name] = None
            self.missing[name] = why_not
            return
        age_s = max(0.0, self.now - (self.at if at is None else at))
        printable = one_line(clean(text), 300)
        self.cells[name] = {"value": value, "unit": unit, "text": printable, "source": self.source, "age_s": age_s}

    def lack(self, name: str, why: str) -> None:
        """Says why a cell is empty."""
        self.put(name, None, "", "", why_not=why)

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with every cell present."""
        cells = {name: self.cells.get(name) for name in FIELDS}
        return {"resource": self.resource, "subject": self.subject, **cells, "missing": dict(self.missing)}


def use_rows(snapshot: Snapshot) -> list[Row]:
    """The rows of all pods, GPUs, nodes, processes and of this machine."""
    return [
        *(row for pod in snapshot.pods for row in _pod(pod, snapshot)),
        *(row for gpu in snapshot.gpus for row in _gpu(gpu, snapshot.at)),
        *_nodes(snapshot),
        *_scheduling(snapshot),
        *(row for process in snapshot.processes for row in _process(process, snapshot.at)),
        *(_host(snapshot.host, snapshot.at) if snapshot.host is not None else ()),
    ]


def _share(used: float, of: float | None) -> float | None:
    return used / of if of else None


def _requests(pod: Pod, name: str) -> float | None:
    """The sum of the containers' requests; None as soon as one has none."""
    values = [getattr(container, name) for container in pod.containers]
    return float(sum(values)) if values and None not in values else None


def _pod(pod: Pod, snapshot: Snapshot) -> Iterator[Row]:
    usage = snapshot.usage.get(pod.key)
    no_usage = "metrics.k8s.io gave no usage of this pod"
    read_at = snapshot.steady(usage.at) if usage else pod.at
    yield _pod_cpu(pod, usage, no_usage, read_at, snapshot.at)
    memory = Row("pod memory", pod.key, read_at, "pods", snapshot.at)
    limit, request = pod.memory_limit_bytes, _requests(pod, "memory_request_bytes")
    if usage is None:
        memory.lack(UTILISATION, no_usage)
    else:
        of_request = _share(usage.memory_bytes, request)
        beside = f", {of_request:.0%} of its request" if of_request is not None else ", no request set"
        text = f"{_mib(usage.memory_bytes)} of {_mib(limit or 0)}{beside}"
        memory.put(
            UTILISATION,
            _share(usage.memory_bytes, limit),
            "share of limit",
            text,
            why_not=f"no memory limit is set{beside}",
        )
    memory.lack(SATURATION, "memory pressure (PSI) is read inside the container only: --in-pod")
    killed = [one for one in pod.containers if one.termination is not None and one.termination.reason == "OOMKilled"]
    names = ", ".join(one.name for one in killed)
    memory.put(
        ERRORS,
        float(len(killed)),
        "containers OOMKilled",
        f"OOMKilled in its last run: {names}" if killed else "no container's last run ended by OOM",
        why_not="",
        at=pod.at,
    )
    yield memory
    containers = Row("pod containers", pod.key, pod.at, "pods", snapshot.at)
    ready = sum(one.ready for one in pod.containers)
    containers.put(
        UTILISATION,
        _share(ready, float(len(pod.containers))),
        "share ready",
        f"{ready} of {len(pod.containers)} containers ready, {pod.status}",
        why_not="no container is listed yet",
    )
    containers.lack(SATURATION, "a container has no queue of its own; see the service's rate and duration")
    ends = [f"{one.name}: {end.reason} (exit {end.exit_code})" for one in pod.containers if (end := one.termination)]
    restarts = f"{pod.restart_count} restarts" + (f"; last ends: {', '.join(ends)}" if ends else "")
    containers.put(ERRORS, float(pod.restart_count), "restarts", restarts, why_not="")
    yield containers


def _pod_cpu(pod: Pod, usage: PodUsage | None, no_usage: str, read_at: float, now: float) -> Row:
    row = Row("pod cpu", pod.key, read_at, "pods", now)
    limit, request = pod.cpu_limit_cores, _requests(pod, "cpu_request_cores")
    if usage is None:
        row.lack(UTILISATION, no_usage)
    else:
        of_request = _share(usage.cpu_cores, request)
        beside = f", {of_request:.0%} of its request" if of_request is not None else ", no request set"
        text = f"{usage.cpu_cores:.2f} of {limit or 0:g} cores{beside}"
        row.put(
            UTILISATION,
            _share(usage.cpu_cores, limit),
            "share of limit",
            text,
            why_not=f"no CPU limit is set: {usage.cpu_cores:.2f} cores used{beside}",
        )
    row.lack(SATURATION, "CPU throttling is counted inside the container only: --in-pod")
    row.lack(ERRORS, "a CPU reports no errors here")
    return row


def _gpu(gpu: GpuDevice, now: float) -> Iterator[Row]:
    subject = f"GPU {gpu.index} {gpu.uuid}" + (f" on {gpu.host}" if gpu.host else "")
    row = Row("gpu", subject, gpu.at, gpu.provider, now)
    absent = f"{gpu.provider} does not give it"
    percent = gpu.utilization_percent
    row.put(
        UTILISATION,
        percent,
        "percent",
        f"{percent or 0:.0f} % of the time a kernel was resident (not how much of the chip it used)",
        why_not=gpu.lost or absent,
    )
    reasons = None if gpu.clock_reasons is None else [one for one in gpu.clock_reasons if one.value != "idle"]
    held = ", ".join(one.value for one in reasons or ())
    row.put(
        SATURATION,
        None if reasons is None else float(len(reasons)),
        "reasons that hold clocks back",
        f"clocks held back: {held}" if held else "nothing holds the clocks back",
        why_not=absent,
    )
    row.put(ERRORS, *_gpu_errors(gpu), why_not=absent)
    yield row
    memory = Row("gpu memory", subject, gpu.at, gpu.provider, now)
    used, total = gpu.memory_used_bytes, gpu.memory_total_bytes
    share = _share(used, total) if used is not None else None
    text = f"{_mib(used or 0)} of {_mib(total or 0)}; servers that allocate a pool up front fill it by design"
    memory.put(UTILISATION, share, "share", text, why_not=gpu.lost or absent)
    memory.lack(SATURATION, "waiting for GPU memory shows in the server's queue and preemptions: see stages")
    uncorrected = gpu.ecc_uncorrected
    memory.put(
        ERRORS,
        None if uncorrected is None else float(uncorrected),
        "uncorrected ECC errors",
        f"{uncorrected} uncorrected, {'unknown' if gpu.ecc_corrected is None else gpu.ecc_corrected} corrected"
        + (", a row remap failed" if gpu.remap_failed else ""),
        why_not=absent,
    )
    yield memory


def _gpu_errors(gpu: GpuDevice) -> tuple[float | None, str, str]:
    if gpu.lost:
        return 1.0, "faults", f"lost: {gpu.lost}"
    if gpu.xid:
        when = "" if gpu.xid_at is not None else ", at a time not known"
        return 1.0, "faults", f"Xid {gpu.xid}{when}"
    if gpu.xid is None and gpu.ecc_uncorrected is None:
        return None, "", ""
    return 0.0, "faults", "no Xid seen"


def _nodes(snapshot: Snapshot) -> Iterator[Row]:
    """What pods and events tell of their nodes; the nodes themselves are not read."""
    pods_of: dict[str, list[Pod]] = {}
    for pod in snapshot.pods:
        if pod.node:
            pods_of.setdefault(pod.node, []).append(pod)
    for node, pods in sorted(pods_of.items()):
        row = Row("node", node, max(pod.at for pod in pods), "pods", snapshot.at)
        row.lack(UTILISATION, "nodes are not read: use kubectl top node")
        names = {pod.name for pod in pods}
        events = [one for one in snapshot.events if one.name in names]
        row.lack(SATURATION, "pods that fit on no node are in the row of scheduling")
        evicted = [pod for pod in pods if pod.reason in EVICTING or "DisruptionTarget" in pod.conditions]
        node_events = [one for one in events if one.reason in EVICTING]
        told = _told(node_events) or ", ".join(f"{pod.name}: {pod.reason} {pod.message}" for pod in evicted)
        errors = max(_count(node_events), float(len(evicted)))
        row.put(ERRORS, errors, "evictions and node events", told or "none told by pods and events", why_not="")
        yield row


def _scheduling(snapshot: Snapshot) -> Iterator[Row]:
    if not snapshot.pods:
        return
    row = Row("scheduling", "cluster", max(pod.at for pod in snapshot.pods), "pods", snapshot.at)
    row.lack(UTILISATION, "what nodes have left is not read")
    waiting = [pod for pod in snapshot.pods if pod.phase == "Pending" and not pod.node]
    why = "; ".join(f"{pod.name}: {pod.conditions.get('PodScheduled', 'no reason yet')}" for pod in waiting[:3])
    row.put(SATURATION, float(len(waiting)), "pods without a node", why or "every pod has a node", why_not="")
    failed = [event for event in snapshot.events if event.reason == "FailedScheduling"]
    row.put(ERRORS, _count(failed), "failed schedulings", _told(failed) or "none told by events", why_not="")
    yield row


def _count(events: list[ClusterEvent]) -> float:
    return float(sum(event.count for event in events))


def _told(events: list[ClusterEvent]) -> str:
    return "; ".join(f"{event.reason} ({event.count}×): {event.message}" for event in events[:3])


def _process(process: ProcessState, now: float) -> Iterator[Row]:
    row = Row("process", process.looked_for, process.at, "process", now)
    percent = process.cpu_percent
    row.put(
        UTILISATION,
        percent,
        "percent of one core",
        f"{percent or 0:.0f} % of one core, {_mib(process.rss_bytes or 0)} resident, {process.threads} threads",
        why_not="" if process.running else "it is not running",
    )
    row.lack(SATURATION, "its accept queue is not read")
    text = f"{process.restarts} restarts since infdiag looks" + ("" if process.running else "; not running now")
    row.put(ERRORS, float(process.restarts + (not process.running)), "restarts", text, why_not="")
    yield row


def _host(host: HostState, now: float) -> Iterator[Row]:
    subject = f"this machine ({host.hostname})"
    cpu = Row("host cpu", subject, host.at, "host", now)
    cpu.put(UTILISATION, host.cpu_percent, "percent", f"{host.cpu_percent or 0:.0f} % busy", why_not="not read yet")
    load = host.load[0] if host.load is not None else None
    per_core = _share(load, float(host.cores)) if load is not None else None
    cpu.put(SATURATION, per_core, "load per core", f"load {load or 0:.2f} on {host.cores} cores", why_not="not told")
    cpu.lack(ERRORS, "a CPU reports no errors here")
    yield cpu
    memory = Row("host memory", subject, host.at, "host", now)
    total, free = host.memory_total_bytes, host.memory_available_bytes
    share = None if free is None or not total else 1 - free / total
    memory.put(
        UTILISATION, share, "share", f"{_mib((total or 0) - (free or 0))} of {_mib(total or 0)}", why_not="not told"
    )
    swap = host.swap_used_bytes
    memory.put(
        SATURATION,
        None if swap is None else float(swap),
        "bytes swapped",
        f"{_mib(swap or 0)} in swap",
        why_not="not told",
    )
    memory.lack(ERRORS, "kernel OOM kills are in the kernel's log, which is not read")
    yield memory
    for mount, percent in sorted(host.disk_used_percent.items()):
        disk = Row("host disk", f"{subject} {mount}", host.at, "host", now)
        disk.put(UTILISATION, percent, "percent full", f"{percent:.0f} % full", why_not="")
        disk.lack(SATURATION, "disk queues are not read")
        disk.lack(ERRORS, "disk errors are in the kernel's log, which is not read")
        yield disk


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"
