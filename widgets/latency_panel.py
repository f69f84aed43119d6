"""What a client of the model server sees: quantiles with their uncertainty, failures, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from infdiag_tui.model import LatencyView, SeriesView, Snapshot, SourceState
from widgets import units
from widgets.chart import ChartSpec, render_chart, span_of
from widgets.glyphs import Glyphs
from widgets.ink import Line, Tone, beside, toned, wrap
from widgets.latency_lines import (
    Judged,
    brief_lines,
    error_counts,
    error_lines,
    judged,
    phase_lines,
    table_lines,
    target_line,
)
from widgets.panel import LinePanel
from widgets.pins import latency_pin
from widgets.replica_lines import replica_lines
from widgets.server_latency import server_chart

_CHART_SPAN_S = 300.0
_CHART_ROWS = 6
_CHART_WIDTH = 50
_BESIDE_WIDTH = 104
"""From this width on the chart stands beside the table."""
_TABLE_ROWS = 8
_ROOMY = 18
"""From so many rows on there is room for the replicas, as in the zoomed panel."""


def recent_chart(view: LatencyView, now: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """The newest replies over time; failures are crosses at the foot, and no line is drawn through them."""
    points = SeriesView(
        times=tuple(at for at, _ in view.recent),
        values=tuple(float("nan") if total is None else total for _, total in view.recent),
    )
    spec = ChartSpec(
        f"each request ({glyphs.problem} failed), last",
        span_of(view.recent[0][0] if view.recent else None, now, _CHART_SPAN_S),
        now,
        text=units.milliseconds,
        area=False,
        marks=tuple(at for at, total in view.recent if total is None),
        ascii_only=glyphs.ascii_only,
    )
    return render_chart(points, spec, width, height)


def render_target(
    view: LatencyView, now: float, width: int, height: int, verdicts: Judged, glyphs: Glyphs
) -> list[Line]:
    """One target in `height` rows: the table if it fits, then the last error, phases, and a chart in what is left."""
    failure = error_lines(view, now, width, glyphs)
    heading = [target_line(view, width, glyphs)]
    brief = [*brief_lines(view, width, verdicts, glyphs), *failure]
    table_rows = _TABLE_ROWS + len(failure)
    beside_fits = width >= _BESIDE_WIDTH and height >= table_rows
    if height < table_rows + _CHART_ROWS and width >= _CHART_WIDTH and not beside_fits and view.recent:
        # Between too small for the table and roomy: how it goes tells more than the longer windows' figures.
        room = height - len(brief)
        if room >= _CHART_ROWS:
            return [*brief, *recent_chart(view, now, width, room, glyphs)]
    if height < table_rows:
        return _as_fits([heading, brief, error_counts(view, width), phase_lines(view, width)], height)
    lines = [*table_lines(view, width, verdicts, glyphs), *failure]
    more = [*error_counts(view, width), *phase_lines(view, width)]
    if width >= _BESIDE_WIDTH and view.recent:
        left = 9 + 26 * min(2, len(view.windows))
        lines = [*table_lines(view, left, verdicts, glyphs), *failure]
        rows = len(lines) - len(failure)
        chart = recent_chart(view, now, width - left - 2, rows, glyphs)
        lines = [*beside(lines[:rows], chart, left + 2), *failure]
        return _as_fits([heading, lines, more], height)
    fitted = _as_fits([heading, lines, more], height)
    room = height - len(fitted)
    if room >= _CHART_ROWS and view.recent:
        return [*fitted, *recent_chart(view, now, width, min(room, 12), glyphs)]
    without = _as_fits([heading, lines], height)
    room = height - len(without)
    if room >= _CHART_ROWS and view.recent:
        return [*without, *recent_chart(view, now, width, room, glyphs)]
    return fitted


def _as_fits(blocks: Sequence[Sequence[Line]], height: int) -> list[Line]:
    """The blocks in order, leaving out the first (a heading) and what follows the second where rows are short."""
    heading, body, *rest = blocks
    lines = list(body)
    for block in rest:
        if len(lines) + len(block) <= height:
            lines += block
    return [*heading, *lines] if len(lines) + len(heading) <= height else lines


def render_latency(snapshot: Snapshot, now: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Every probed target; with several each gets its share of the rows, and no less than a brief line."""
    verdicts = judged(snapshot.evidence)
    lines: list[Line] = []
    room = height // 3 if height >= _ROOMY else 0
    replicas = replica_lines(snapshot.by_replica, width, room, glyphs)
    each = max(1, (height - len(replicas)) // max(1, len(snapshot.latency)))
    for view in snapshot.latency:
        block = render_target(view, now, width, each, verdicts, glyphs)
        if len(snapshot.latency) > 1 and block[:1] != [target_line(view, width, glyphs)]:
            block = [target_line(view, width, glyphs), *block]
        lines += block
    return [*lines, *replicas]


def _with_server(snapshot: Snapshot, now: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """The targets, and below them the server's own p99 where at least half of the rows stay theirs."""
    chart = server_chart(snapshot, now, width, height // 2, glyphs)
    return [*render_latency(snapshot, now, width, height - len(chart), glyphs), *chart]


class LatencyPanel(LinePanel):
    """Latency of the model server as its clients see it."""

    HELP: ClassVar[str | None] = """\
# Latency

A probe posts the known-good input on a fixed schedule, whatever the server does, and measures each reply.

- **p50, p95, p99** with a 95 % interval in brackets: `123 ms (118–131)`.
- `43–80+ ms`: too few replies yet to bound it from above. `≥ 5.00 s`: it falls among timeouts, the truth is longer.
- **jitter** is p99 over p50; **errors** counts every failed request, timeouts too.
- **dns, connect, tls** take place on fresh connections only. A long **wait** is the server's own time.
- **tunnel** is what the way to the server adds (the API server, an SSH host): no client of the model meets it.
- **by replica** (`endpoint.per_replica`) compares pods that are probed in turn; zoom in to see them.
- In the chart each failed request is a cross at the foot; an empty stretch means no requests.

`n` is the number of requests in a window; `all` is since the start.
"""

    def pin_of(self, snapshot: Snapshot) -> str:
        """Quantiles and errors of every target."""
        return latency_pin(snapshot)

    def render_lines_for(self, snapshot: Snapshot, now: float, width: int, height: int) -> Sequence[Line]:
        """The targets at this size."""
        if snapshot.latency:
            return _with_server(snapshot, now, width, height, self.glyphs)
        words = {
            SourceState.OFF: "No endpoint is configured, so nothing is probed.",
            SourceState.STARTING: "Waiting for the first reply.",
        }.get(self.panel_state.state, "No reply yet.")
        lines = [toned(text, Tone.DIM) for text in wrap(words, width)]
        return [*lines, *server_chart(snapshot, now, width, height - len(lines), self.glyphs)]
