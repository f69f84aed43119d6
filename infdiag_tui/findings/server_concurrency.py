"""Whether the server's failures come only while many requests come at once, by its own counts."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import pairwise

from infdiag_tui.findings.series import recent
from infdiag_tui.findings.server import SOURCE, View
from infdiag_tui.model import Evidence, Snapshot, Verdict
from infdiag_tui.stats.wilson import wilson

WINDOW_S = 300.0
LEAST_READINGS = 8
LEAST_REQUESTS, LEAST_FAILURES = 15, 8
"""While it is quiet and while it is busy: fewer tell nothing of a share."""
BUSIER = 2.0
"""Readings are busy from so many times the quiet half's rate on; a rate that hardly varies separates nothing."""
CLEARLY = 2.0
"""The busy share's lower bound (95 %, Wilson) must be so many times the quiet share's upper one."""


def assess(snapshot: Snapshot) -> Iterator[Evidence]:
    """`server.errors_when_busy`: readings at the quieter half of the rates against those at twice as much and more."""
    view = View(snapshot.series, snapshot.at)
    rate, errors = recent(view.of("server.request_rate"), WINDOW_S), view.of("server.error_share")
    share_at = dict(zip(errors.times, errors.values, strict=True))
    readings = [
        (value, value * (at - before), share_at[at])
        for (before, at), value in zip(pairwise(rate.times), rate.values[1:], strict=True)
        if at in share_at
    ]
    if len(readings) < LEAST_READINGS:
        return
    usual = statistics.median(value for value, _, _ in readings)
    quiet = [(n, n * share) for value, n, share in readings if value <= usual]
    level = sum(n for n, _ in quiet) / len(quiet)
    busy = [(n, n * share) for value, n, share in readings if value > usual and n >= BUSIER * level]
    n_quiet, bad_quiet = (round(sum(part)) for part in zip(*quiet, strict=True))
    n_busy, bad_busy = (round(sum(part)) for part in zip(*busy, strict=True)) if busy else (0, 0)
    if min(n_quiet, n_busy) < LEAST_REQUESTS or bad_quiet + bad_busy < LEAST_FAILURES:
        return
    low, high = wilson(min(bad_quiet, n_quiet), n_quiet), wilson(min(bad_busy, n_busy), n_busy)
    only = high[0] >= CLEARLY * low[1]
    alike = low[0] <= high[1] and high[0] <= low[1]
    verdict = Verdict.FAIL if only else Verdict.OK if alike else Verdict.UNKNOWN
    yield Evidence(
        id="server.errors_when_busy",
        statement=(
            f"{bad_busy} of {n_busy} requests failed while many came at once, {bad_quiet} of {n_quiet} while few did"
        ),
        verdict=verdict,
        source=SOURCE,
        at=rate.times[-1],
        value=bad_busy / n_busy,
        unit="share",
        window_s=rate.times[-1] - rate.times[0],
        sample_size=n_busy + n_quiet,
        low=high[0],
        high=high[1],
        threshold=CLEARLY * low[1],
        threshold_source=f"{CLEARLY:g} times the upper bound of the share at the quieter half of the rates",
    )
