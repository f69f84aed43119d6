"""Evidence from what pods use over time: CPU at its limit, nodes without CPU left; memory is in `memory_growth`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from infdiag_tui.findings import memory_growth
from infdiag_tui.findings.known import Known
from infdiag_tui.findings.series import EMPTY, is_fresh
from infdiag_tui.model import Evidence, Pod, SeriesKey, SeriesView, Snapshot, Verdict

FRESH_S = 120.0
"""metrics-server refreshes every 15 s or so; older figures say nothing about now."""
AT_LIMIT, NEAR_LIMIT, WELL_BELOW = 0.95, 0.9, 0.8
READINGS = 3
NODE_FULL, NODE_NEARLY, NODE_HAS_LEFT = 0.95, 0.9, 0.85
OTHERS_SHARE = 0.5
"""Of a full node's CPU others must take at least so much for contention to be their doing."""


def assess(snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """Evidence of every pod with a history, and of the nodes where they may be read."""
    for pod in snapshot.pods:
        memory = snapshot.series.get(SeriesKey("pod.memory_bytes", pod.key), EMPTY)
        if is_fresh(memory, snapshot.at, FRESH_S):
            yield from memory_growth.of_pod(pod, memory, snapshot, known)
        cpu = snapshot.series.get(SeriesKey("pod.cpu_cores", pod.key), EMPTY)
        if is_fresh(cpu, snapshot.at, FRESH_S):
            yield from _cpu(pod, cpu)
    yield from _nodes(snapshot)


# --- CPU ---


def _cpu(pod: Pod, cpu: SeriesView) -> Iterator[Evidence]:
    limit = pod.cpu_limit_cores
    if not limit or len(cpu.values) < READINGS:
        return
    shares = [value / limit for value in cpu.values[-READINGS:]]
    mean = statistics.fmean(shares)
    if mean >= AT_LIMIT and min(shares) >= NEAR_LIMIT:
        verdict = Verdict.FAIL
    elif min(shares) >= NEAR_LIMIT:
        verdict = Verdict.WARN
    else:
        verdict = Verdict.OK if max(shares) < WELL_BELOW else Verdict.UNKNOWN
    yield Evidence(
        id="pods.cpu_saturated",
        statement=f"{pod.name} has used {mean:.0%} of its CPU limit of {limit:g} cores over {READINGS} readings",
        verdict=verdict,
        source="pods",
        at=cpu.times[-1],
        value=mean,
        unit="share",
        subject=pod.key,
        window_s=cpu.times[-1] - cpu.times[-READINGS],
        sample_size=READINGS,
        threshold=AT_LIMIT,
        threshold_source="container CPU limit",
    )


def _nodes(snapshot: Snapshot) -> Iterator[Evidence]:
    """Nodes by their own use, where this user may read it; absent otherwise."""
    for node in sorted({pod.node for pod in snapshot.pods if pod.node}):
        share = snapshot.series.get(SeriesKey("node.cpu_share", node), EMPTY)
        used = snapshot.series.get(SeriesKey("node.cpu_cores", node), EMPTY)
        if not is_fresh(share, snapshot.at, FRESH_S) or len(share.values) < READINGS or not used.values:
            continue
        newest = share.values[-READINGS:]
        mean, cores = statistics.fmean(newest), used.values[-1]
        ours = sum(
            snapshot.usage[pod.key].cpu_cores for pod in snapshot.pods if pod.node == node and pod.key in snapshot.usage
        )
        others = max(0.0, 1.0 - ours / cores) if cores > 0 else 0.0
        full = mean >= NODE_FULL and min(newest) >= NODE_NEARLY
        if full and others >= OTHERS_SHARE:
            verdict = Verdict.FAIL
        elif min(newest) >= NODE_NEARLY:
            verdict = Verdict.WARN
        else:
            verdict = Verdict.OK if max(newest) < NODE_HAS_LEFT else Verdict.UNKNOWN
        yield Evidence(
            id="pods.node_contention",
            statement=(
                f"node {node} uses {mean:.0%} of its CPU over {READINGS} readings,"
                f" {others:.0%} of that for others than this model"
            ),
            verdict=verdict,
            source="pods",
            at=share.times[-1],
            value=mean,
            unit="share",
            subject=node,
            window_s=share.times[-1] - share.times[-READINGS],
            sample_size=READINGS,
            threshold=NODE_FULL,
            threshold_source="allocatable CPU of the node",
        )
