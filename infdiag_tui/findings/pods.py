"""Evidence from pods: terminations, restarts, readiness, scheduling, use against limits."""

from __future__ import annotations

from collections.abc import Iterator

from infdiag_tui.clock import utc_text
from infdiag_tui.config import Thresholds
from infdiag_tui.findings import pods_state
from infdiag_tui.findings.pods_state import RECENT_S
from infdiag_tui.model import Evidence, Pod, PodUsage, Snapshot, Verdict

USAGE_FRESH_S = 120.0
"""Usage older than this says nothing about now: metrics-server refreshes every 15 s or so."""


def assess(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Evidence]:
    """Evidence of every pod, and of all of them together."""
    found = list(_singly(snapshot, thresholds))
    yield from found
    yield from pods_state.assess(snapshot, found)
    yield from _together(snapshot)


def _singly(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Evidence]:
    wall = snapshot.wall(snapshot.at)  # the cluster dates terminations and usage
    for pod in snapshot.pods:
        yield from _terminations(pod, snapshot.at, wall)
        yield from _trouble(pod, snapshot.at)
        usage = snapshot.usage.get(pod.key)
        if usage is not None and wall - usage.at <= USAGE_FRESH_S:
            yield from _shares(pod, usage, thresholds)


def _together(snapshot: Snapshot) -> Iterator[Evidence]:
    # Pods that ran to their end, and evicted ones that nobody has removed, are no replicas any more.
    replicas = [pod for pod in snapshot.pods if pod.phase not in ("Succeeded", "Failed")] or snapshot.pods
    if replicas:
        ready = sum(pod.ready for pod in replicas)
        yield Evidence(
            id="pods.ready",
            statement=f"{ready} of {len(replicas)} pods are ready",
            verdict=Verdict.OK if ready == len(replicas) else Verdict.WARN,
            source="pods",
            at=snapshot.at,
            value=float(ready),
            unit="pods",
            sample_size=len(replicas),
        )
        if not ready:
            yield Evidence(
                id="pods.none_ready",
                statement=f"None of the {len(replicas)} pods is ready",
                verdict=Verdict.FAIL,
                source="pods",
                at=snapshot.at,
                value=True,
            )


def _terminations(pod: Pod, at: float, wall: float) -> Iterator[Evidence]:
    for container in pod.containers:
        end = container.termination
        finished_at = end.finished_at if end else None
        recent = finished_at is None or wall - finished_at <= RECENT_S
        if container.restart_count:
            yield Evidence(
                id="pods.restarts",
                statement=f"{pod.name} has restarted {_times(container.restart_count)} (container {container.name})",
                verdict=Verdict.WARN if recent else Verdict.OK,
                source="pods",
                at=at,
                value=float(container.restart_count),
                unit="restarts",
                subject=pod.key,
            )
        if end is None or end.reason != "OOMKilled":
            continue
        when = "" if finished_at is None else f" at {utc_text(finished_at)}"
        limit = container.memory_limit_bytes
        bound = f" at its limit of {limit / 2**20:.0f} MiB" if limit is not None else ""
        yield Evidence(
            id="pods.oom_killed",
            statement=f"{pod.name} was OOMKilled{bound}{when} (exit code {end.exit_code})",
            verdict=Verdict.FAIL if recent else Verdict.WARN,
            source="pods",
            at=at,
            value=True,
            subject=pod.key,
            threshold=float(limit) if limit is not None else None,
            threshold_source="container memory limit" if limit is not None else "",
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _trouble(pod: Pod, at: float) -> Iterator[Evidence]:
    for container in (*pod.init_containers, *pod.containers):
        if container.state == "waiting" and container.state_reason == "CrashLoopBackOff":
            yield _finding("pods.crash_loop", f"{pod.name} is in {container.state_reason}", pod, at, Verdict.FAIL)
    if pod.reason == "Evicted":
        text = f"{pod.name} was evicted: {pod.message or 'no reason given'}"
        yield _finding("pods.evicted", text, pod, at, Verdict.FAIL)
    if pod.phase == "Pending" and "PodScheduled" in pod.conditions:
        text = f"{pod.name} cannot be scheduled: {pod.conditions['PodScheduled']}"
        yield _finding("pods.unschedulable", text, pod, at, Verdict.FAIL)
    elif not pod.ready and pod.phase == "Running" and not pod.deleting:
        yield _finding("pods.not_ready", f"{pod.name} runs but is not ready", pod, at, Verdict.WARN)


def _finding(id_: str, statement: str, pod: Pod, at: float, verdict: Verdict) -> Evidence:
    return Evidence(id=id_, statement=statement, verdict=verdict, source="pods", at=at, value=True, subject=pod.key)


def _shares(pod: Pod, usage: PodUsage, thresholds: Thresholds) -> Iterator[Evidence]:
    memory_limit, cpu_limit = pod.memory_limit_bytes, pod.cpu_limit_cores
    if memory_limit:
        share = usage.memory_bytes / memory_limit
        over = share > thresholds.memory_share
        yield Evidence(
            id="pods.memory_share",
            statement=(
                f"{pod.name} uses {usage.memory_bytes / 2**20:.0f} MiB, "
                f"{share:.0%} of its limit of {memory_limit / 2**20:.0f} MiB"
            ),
            verdict=Verdict.FAIL if over else Verdict.OK,
            source="pods",
            at=usage.at,
            value=share,
            unit="share",
            subject=pod.key,
            window_s=usage.window_s,
            threshold=thresholds.memory_share,
            threshold_source="config thresholds.memory_share",
        )
    if cpu_limit:
        share = usage.cpu_cores / cpu_limit
        yield Evidence(
            id="pods.cpu_share",
            statement=f"{pod.name} uses {usage.cpu_cores:.2f} cores, {share:.0%} of its limit of {cpu_limit:g}",
            verdict=Verdict.WARN if share > thresholds.cpu_share else Verdict.OK,
            source="pods",
            at=usage.at,
            value=share,
            unit="share",
            subject=pod.key,
            window_s=usage.window_s,
            threshold=thresholds.cpu_share,
            threshold_source="config thresholds.cpu_share",
        )
