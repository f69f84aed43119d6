"""The replicas that are probed in turn, side by side; pure."""

from __future__ import annotations

from collections.abc import Sequence

from infdiag_tui.model import LatencyView, LatencyWindow
from widgets import units
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, clip, columns, keep_tail, line
from widgets.latency_lines import quantile_words

_WINDOW_S = 300.0
_CELL = 12
_LEAST_NAME = 12
_COLUMNS = ("p50", "p95", "p99", "errors", "n")


def replica_lines(views: Sequence[LatencyView], width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """A heading and a row for each, the slowest first, in at most `height` rows; none for fewer than two rows."""
    if not views or height < 2:
        return []
    shown = sorted(views, key=_slowness, reverse=True)
    left = len(shown) - (height - 1)
    if left > 0:
        shown = shown[: height - 2]
        left = len(views) - len(shown)
    cells = [name for number, name in enumerate(_COLUMNS) if _LEAST_NAME + (number + 1) * _CELL <= width]
    name_width = max(_LEAST_NAME, width - _CELL * len(cells))
    heading = columns(f"by replica, last {units.window_name(_window(views[0]))}", name_width)
    lines = [line(Span(heading, Tone.HEAD), *(Span(columns(name, _CELL), Tone.HEAD) for name in cells))]
    for view in shown:
        window = _window(view)
        name = keep_tail(view.target.rpartition("/")[2], name_width - 1, glyphs.ellipsis)
        texts = {
            **{one: quantile_words(getattr(window, one), _CELL - 1, glyphs) for one in ("p50", "p95", "p99")},
            "errors": units.share(window.error_rate),
            "n": f"{window.timed:,}",
        }
        tone = Tone.BAD if window.error_rate else Tone.PLAIN
        spans = [Span(columns(texts[one], _CELL), tone if one == "errors" else Tone.PLAIN) for one in cells]
        lines.append(line(Span(columns(name, name_width), Tone.DIM), *spans))
    if left > 0:
        lines.append(line(Span(clip(f"and {left} faster", width, glyphs.ellipsis), Tone.DIM)))
    return lines


def _window(view: LatencyView) -> LatencyWindow:
    return next((window for window in view.windows if window.window_s == _WINDOW_S), view.windows[-1])


def _slowness(view: LatencyView) -> float:
    window = _window(view)
    # One that answers nothing at all is the first to look at.
    return window.p50.value_ms if window.p50 is not None else float("inf")
