"""The moment at which the server's own latency rose, over the hour that Prometheus remembers and what came since."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from infdiag_tui.clock import utc_text
from infdiag_tui.findings.known import Known
from infdiag_tui.findings.latency_change import CERTAIN, DOUBLED, LEAST_POINTS, RAISED, rise
from infdiag_tui.model import Evidence, SeriesKey, SeriesView, Snapshot, Verdict

SOURCE = "server_prometheus"
METRICS = {"server.p50_ms": "median", "server.p99_ms": "p99"}
"""The level first: what rose for everybody dates an incident better than a tail."""
SUBJECT = "server"
LEAST_APART_S = 50.0
"""Rates are over windows of a minute or more: points closer than that share events and are no readings of their own."""
FRESH_S = 180.0
_THRESHOLD_SOURCE = "change-point test (maximally selected rank statistic)"


def assess(snapshot: Snapshot, known: Known) -> Iterator[Evidence]:
    """`latency.change` of the server as Prometheus tells it, where that reaches back to before the incident."""
    found: list[Evidence] = []
    for metric in METRICS:
        view = snapshot.series.get(SeriesKey(metric))
        if view is None or view.history_until is None or not view.times or snapshot.at - view.times[-1] > FRESH_S:
            continue
        made = known.memo.of(("latency.change", metric), (view,), partial(_judge, metric, view))
        if made is not None:
            found.append(made)
    worst = next((one for one in found if one.verdict is Verdict.FAIL), None)
    worst = worst or next((one for one in found if one.verdict is Verdict.WARN), None)
    yield from [worst] if worst is not None else found[:1]


def _judge(metric: str, view: SeriesView) -> Evidence | None:
    times, values = _apart(view)
    if len(values) < LEAST_POINTS:
        return None
    change = rise(values)
    window_s = times[-1] - times[0]
    name = METRICS[metric]
    if change is None:
        verdict, since, ratio = Verdict.OK, None, 1.0
        text = f"the server's {name} has kept its level over {window_s / 60:.0f} min (Prometheus)"
    else:
        # A point tells of the time since the one before: the rise lies between the two.
        since, ratio = times[change.index - 1], change.ratio
        apart = change.after_low > change.before_high
        verdict = Verdict.FAIL if ratio >= DOUBLED and change.p <= CERTAIN and apart else Verdict.WARN
        text = (
            f"the server's {name} is {ratio:.1f} times what it was since {utc_text(since)[11:]}:"
            f" {change.after:.0f} ms against {change.before:.0f} ms (histogram, Prometheus)"
        )
    return Evidence(
        id="latency.change",
        statement=text,
        verdict=verdict,
        source=SOURCE,
        at=times[-1],
        value=ratio,
        unit="ratio",
        subject=SUBJECT,
        window_s=window_s,
        sample_size=len(values),
        threshold=RAISED,
        threshold_source=_THRESHOLD_SOURCE,
        since=since,
    )


def _apart(view: SeriesView) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The points that share no event with the one before."""
    times: list[float] = []
    values: list[float] = []
    for at, value in zip(view.times, view.values, strict=True):
        if not times or at - times[-1] >= LEAST_APART_S:
            times.append(at)
            values.append(value)
    return tuple(times), tuple(values)
