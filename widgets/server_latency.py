"""The server's own latency beside what its clients see, with the time before the incident; pure."""

from __future__ import annotations

from infdiag_tui.model import SeriesKey, Snapshot
from widgets import units
from widgets.chart import ChartSpec, render_chart, span_with_history
from widgets.glyphs import Glyphs
from widgets.ink import Line

LEAST_ROWS = 6
_MOST_ROWS = 10
_SPAN_S = 300.0
_P99 = SeriesKey("server.p99_ms")


def server_chart(snapshot: Snapshot, now: float, width: int, room: int, glyphs: Glyphs) -> list[Line]:
    """The p99 by the server's histograms over time; nothing where nobody tells it, or there is no room."""
    points = snapshot.series.get(_P99)
    if points is None or room < LEAST_ROWS:
        return []
    spec = ChartSpec(
        f"server p99 ({_bucket(snapshot, points.times[-1] if points.times else now)})",
        span_with_history(points, now, _SPAN_S),
        now,
        text=units.milliseconds,
        ascii_only=glyphs.ascii_only,
    )
    return render_chart(points, spec, width, min(room, _MOST_ROWS))


def _bucket(snapshot: Snapshot, at: float) -> str:
    """The bucket in which the newest figure is interpolated: the truth may be anywhere between."""
    ends = [snapshot.series.get(SeriesKey(f"server.p99_{end}_ms")) for end in ("low", "high")]
    told = [units.milliseconds(end.values[-1]) for end in ends if end is not None and end.times[-1:] == (at,)]
    return f"somewhere in {told[0]} to {told[1]}" if len(told) == 2 else "histogram"
