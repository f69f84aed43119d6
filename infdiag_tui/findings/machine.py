"""Evidence from this machine and the model server's process."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from functools import partial

from infdiag_tui.config import Thresholds
from infdiag_tui.findings.known import Known
from infdiag_tui.findings.memory_growth import SETTLE_S, growth_of, slope_evidence
from infdiag_tui.model import Evidence, HostState, ProcessState, SeriesKey, SeriesView, Snapshot, Verdict
from infdiag_tui.stats.growth import Growth

CPU_WINDOW_S = 60.0
CPU_SUSTAINED_S = 30.0
"""A CPU must have been busy for this long on average to be a finding."""


LEAK_SPAN_S = 120.0
"""A process must have been watched for so long before its growth is judged: its figures come every few seconds."""


def assess(snapshot: Snapshot, thresholds: Thresholds, known: Known) -> Iterator[Evidence]:
    """Evidence of the host and of each watched process."""
    if snapshot.host is not None:
        yield from _cpu(snapshot.host, snapshot, thresholds)
        yield from _host(snapshot.host, thresholds)
    for process in snapshot.processes:
        if not process.running:
            yield Evidence(
                id="process.running",
                statement=f"No process answers to {process.looked_for}",
                verdict=Verdict.FAIL,
                source="process",
                at=process.at,
                value=False,
                subject=process.key,
            )
        if process.restarts:
            yield Evidence(
                id="process.restarts",
                statement=f"{process.looked_for}: another process took its place ({process.restarts} so far)",
                verdict=Verdict.WARN,
                source="process",
                at=process.at,
                value=float(process.restarts),
                unit="restarts",
                subject=process.key,
            )
        if process.rss_bytes is not None:
            yield Evidence(
                id="process.rss",
                statement=f"{process.looked_for} holds {process.rss_bytes / 2**20:.0f} MiB",
                verdict=Verdict.OK,
                source="process",
                at=process.at,
                value=float(process.rss_bytes),
                unit="bytes",
                subject=process.key,
            )
            yield from _growth(process, snapshot, known)


def _growth(process: ProcessState, snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """Whether the process' memory grows, since its first minute is over."""
    view = snapshot.series.get(SeriesKey("process.rss_bytes", process.key), SeriesView())
    start = bisect_left(view.times, (process.started_at or 0.0) + SETTLE_S)
    run = SeriesView(view.times[start:], view.values[start:])
    if not run.times or run.times[-1] - run.times[0] < LEAK_SPAN_S:
        return
    limit = snapshot.host.memory_total_bytes if snapshot.host is not None else None
    make = partial(growth_of, process.key, run, limit)
    of = known.memo.heavily(("process.memory_slope", process.key), (view,), make)
    if of is not None and of.growth is not Growth.TOO_SHORT:
        yield slope_evidence(process.key, run, of, "process.memory_slope", "process")


def _cpu(host: HostState, snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Evidence]:
    """CPU over the last minute: a busy moment is no finding, on a jump host least of all."""
    if host.cpu_percent is None:
        return
    view = snapshot.series.get(SeriesKey("host.cpu_percent"), SeriesView())
    first = bisect_left(view.times, host.at - CPU_WINDOW_S)
    values = view.values[first:] or (host.cpu_percent,)
    window_s = view.times[-1] - view.times[first] if view.times[first:] else 0.0
    mean, limit = sum(values) / len(values), 100 * thresholds.cpu_share
    over = Verdict.WARN if window_s >= CPU_SUSTAINED_S else Verdict.UNKNOWN
    yield Evidence(
        id="host.cpu",
        statement=f"This machine ({host.hostname}): CPU {mean:.0f} % busy on {host.cores} cores",
        verdict=over if mean > limit else Verdict.OK,
        source="host",
        at=host.at,
        value=mean,
        unit="percent",
        window_s=window_s,
        sample_size=len(values),
        threshold=limit,
        threshold_source="config thresholds.cpu_share",
    )


def _host(host: HostState, thresholds: Thresholds) -> Iterator[Evidence]:
    if host.memory_total_bytes and host.memory_available_bytes is not None:
        share = 1 - host.memory_available_bytes / host.memory_total_bytes
        over = share > thresholds.memory_share
        yield Evidence(
            id="host.memory_share",
            statement=(
                f"This machine ({host.hostname}): {share:.0%} of {host.memory_total_bytes / 2**30:.1f} GiB memory used"
            ),
            verdict=Verdict.WARN if over else Verdict.OK,
            source="host",
            at=host.at,
            value=share,
            unit="share",
            threshold=thresholds.memory_share,
            threshold_source="config thresholds.memory_share",
        )
    for mount, percent in host.disk_used_percent.items():
        if percent > 100 * thresholds.disk_share:
            yield Evidence(
                id="host.disk",
                statement=f"This machine ({host.hostname}): {mount} is {percent:.0f} % full",
                verdict=Verdict.WARN,
                source="host",
                at=host.at,
                value=percent,
                unit="percent",
                subject=mount,
                threshold=100 * thresholds.disk_share,
                threshold_source="config thresholds.disk_share",
            )
