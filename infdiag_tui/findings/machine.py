"""Evidence from this machine and the model server's process."""

from __future__ import annotations

from collections.abc import Iterator

from infdiag_tui.config import Thresholds
from infdiag_tui.model import Evidence, HostState, Snapshot, Verdict


def assess(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Evidence]:
    """Evidence of the host and of each watched process."""
    if snapshot.host is not None:
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


def _host(host: HostState, thresholds: Thresholds) -> Iterator[Evidence]:
    if host.cpu_percent is not None:
        over = host.cpu_percent > 100 * thresholds.cpu_share
        yield Evidence(
            id="host.cpu",
            statement=f"This machine ({host.hostname}): CPU {host.cpu_percent:.0f} % busy on {host.cores} cores",
            verdict=Verdict.WARN if over else Verdict.OK,
            source="host",
            at=host.at,
            value=host.cpu_percent,
            unit="percent",
            threshold=100 * thresholds.cpu_share,
            threshold_source="config thresholds.cpu_share",
        )
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
