"""Evidence from log lines: how many errors of late, and the last of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infdiag_tui.clock import utc_text
from infdiag_tui.config import Thresholds
from infdiag_tui.model import Evidence, LogLine, Snapshot, Verdict
from infdiag_tui.text import one_line

WINDOW_S = 300.0
EARLIER_S = 3600.0
"""An error within the hour before may belong to this incident; older ones are told of, but are no finding."""
_QUOTED_CHARACTERS = 160


def assess(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Evidence]:
    """The error lines of the last five minutes, and those that stood in the logs before; none when no log is read.

    A line counts by when it arrived, because the times that logs state are in unknown zones. Only what arrived at the
    very start, from the end of a log that was there already, counts by the time it states.
    """
    if not snapshot.logs.total:
        return
    recent: list[LogLine] = []
    earlier: list[LogLine] = []
    for line in reversed(snapshot.logs.errors):
        if line.received_at < snapshot.at - WINDOW_S:
            break
        (earlier if _stood_before(line, snapshot) else recent).append(line)
    yield _recent(recent, snapshot, thresholds)
    if earlier:
        newest = max(line.at or 0.0 for line in earlier)
        yield Evidence(
            id="logs.earlier_errors",
            statement=f"{len(earlier)} error lines from before infdiag watched, the last at {utc_text(newest)}",
            verdict=Verdict.WARN if snapshot.at - newest <= EARLIER_S else Verdict.OK,
            source="logs",
            at=newest,
            value=float(len(earlier)),
            unit="lines",
            sample_size=len(earlier),
        )


def _stood_before(line: LogLine, snapshot: Snapshot) -> bool:
    return line.happened_at(snapshot.incident.started_at) < line.received_at - WINDOW_S


def _recent(recent: Sequence[LogLine], snapshot: Snapshot, thresholds: Thresholds) -> Evidence:
    # Lines of the backlog reach back beyond the start, and with them the time that is known of.
    known_from = min(
        (snapshot.incident.started_at, *(line.happened_at(snapshot.incident.started_at) for line in recent))
    )
    window_s = min(WINDOW_S, max(1.0, snapshot.at - known_from))
    per_minute = len(recent) / window_s * 60
    kept_all = len(recent) < len(snapshot.logs.errors) or not snapshot.logs.first_error_seq
    count = f"{len(recent)}" if kept_all else f"more than {len(recent)}"
    span = f"{window_s / 60:.0f} min" if window_s >= 120 else f"{window_s:.0f} s"
    last = f"; the last: {one_line(recent[0].headline, _QUOTED_CHARACTERS)}" if recent else ""
    # In the first seconds one line would be many a minute: what a whole minute may hold must have come as well.
    limit = thresholds.log_errors_per_min
    if per_minute > limit and len(recent) > limit:
        verdict = Verdict.WARN
    else:
        verdict = Verdict.OK if _somebody_reads(snapshot) else Verdict.UNKNOWN
    return Evidence(
        id="logs.errors",
        statement=f"{count} error lines in {span}{last}",
        verdict=verdict,
        source="logs",
        at=snapshot.at,
        value=per_minute,
        unit="lines/min",
        window_s=window_s,
        sample_size=len(recent),
        threshold=limit,
        threshold_source="config thresholds.log_errors_per_min",
    )


def _somebody_reads(snapshot: Snapshot) -> bool:
    """False when every log has fallen silent: no errors are then no news."""
    logs = [name for name in snapshot.sources if name.startswith("logs:") or name == "pod-logs"]
    return not logs or any(snapshot.outdated_since(name) is None for name in logs)
