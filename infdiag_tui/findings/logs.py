"""Evidence from log lines: how many errors of late, and the last of them."""

from __future__ import annotations

from collections.abc import Iterator

from infdiag_tui.config import Thresholds
from infdiag_tui.model import Evidence, Snapshot, Verdict
from infdiag_tui.text import one_line

WINDOW_S = 300.0
_QUOTED_CHARACTERS = 160


def assess(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Evidence]:
    """The error lines of the last five minutes, by when they arrived; none when no log is read."""
    if not snapshot.logs.total:
        return
    since = snapshot.at - WINDOW_S
    recent = 0
    for line in reversed(snapshot.logs.errors):
        if line.received_at < since:
            break
        recent += 1
    watched_s = min(WINDOW_S, max(60.0, snapshot.at - snapshot.incident.started_at))
    per_minute = recent / watched_s * 60
    last = f"; the last: {one_line(snapshot.logs.errors[-1].headline, _QUOTED_CHARACTERS)}" if recent else ""
    kept_all = recent < len(snapshot.logs.errors) or not snapshot.logs.first_error_seq
    count = f"{recent}" if kept_all else f"more than {recent}"
    yield Evidence(
        id="logs.errors",
        statement=f"{count} error lines in {watched_s / 60:.0f} min{last}",
        verdict=Verdict.WARN if per_minute > thresholds.log_errors_per_min else Verdict.OK,
        source="logs",
        at=snapshot.at,
        value=per_minute,
        unit="lines/min",
        window_s=watched_s,
        sample_size=recent,
        threshold=thresholds.log_errors_per_min,
        threshold_source="config thresholds.log_errors_per_min",
    )
