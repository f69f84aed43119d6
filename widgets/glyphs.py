"""The signs that panels draw, with an ASCII set for terminals that lack them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infdiag_tui.model import Severity, SourceState
from widgets.ink import Tone


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of signs; every sign is one column wide, except `pause`."""

    state: Mapping[SourceState, str]
    severity: Mapping[Severity, str]
    bar_full: str
    bar_parts: str
    """Signs for a partly filled cell, from empty to nearly full."""
    bar_empty: str
    bar_second: str
    """Fills a bar that another one is compared with."""
    limit: str
    """Where along a line a limit or a moment is: stands upright."""
    level: str
    """A level across a chart."""
    ellipsis: str
    warning: str
    problem: str
    ok: str
    cursor: str
    dot: str
    rule: str
    up: str
    down: str
    vertical: str
    axis: str
    missing: str
    at_least: str
    dash: str
    times: str
    ascii_only: bool = False


UNICODE = Glyphs(
    state={
        SourceState.STARTING: "○",
        SourceState.LIVE: "●",
        SourceState.STALE: "◐",
        SourceState.DEGRADED: "▲",
        SourceState.FORBIDDEN: "⊘",
        SourceState.UNAVAILABLE: "✗",
        SourceState.PAUSED: "‖",
        SourceState.OFF: "·",
    },
    severity={
        Severity.DEBUG: "·",
        Severity.INFO: "·",
        Severity.WARNING: "▲",
        Severity.ERROR: "✗",
        Severity.CRITICAL: "‼",
        Severity.UNKNOWN: " ",
    },
    bar_full="█",
    bar_parts=" ▏▎▍▌▋▊▉",
    bar_empty="░",
    bar_second="▒",
    limit="┆",
    level="╌",
    ellipsis="…",
    warning="▲",
    problem="✗",
    ok="✓",
    cursor="▸",
    dot="·",
    rule="─",
    up="↑",
    down="↓",
    vertical="│",
    axis="┤",
    missing="–",
    at_least="≥",
    dash="–",
    times="×",
)

ASCII = Glyphs(
    state={
        SourceState.STARTING: "o",
        SourceState.LIVE: "*",
        SourceState.STALE: "~",
        SourceState.DEGRADED: "!",
        SourceState.FORBIDDEN: "#",
        SourceState.UNAVAILABLE: "x",
        SourceState.PAUSED: "=",
        SourceState.OFF: "-",
    },
    severity={
        Severity.DEBUG: ".",
        Severity.INFO: ".",
        Severity.WARNING: "!",
        Severity.ERROR: "x",
        Severity.CRITICAL: "X",
        Severity.UNKNOWN: " ",
    },
    bar_full="#",
    bar_parts=" ",
    bar_empty=".",
    bar_second="=",
    limit="|",
    level="-",
    ellipsis="~",
    warning="!",
    problem="x",
    ok="+",
    cursor=">",
    dot="-",
    rule="-",
    up="^",
    down="v",
    vertical="|",
    axis="+",
    missing="-",
    at_least=">=",
    dash="-",
    times="x",
    ascii_only=True,
)

STATE_TONES: Mapping[SourceState, Tone] = {
    SourceState.STARTING: Tone.DIM,
    SourceState.LIVE: Tone.GOOD,
    SourceState.STALE: Tone.WARN,
    SourceState.DEGRADED: Tone.WARN,
    SourceState.FORBIDDEN: Tone.BAD,
    SourceState.UNAVAILABLE: Tone.BAD,
    SourceState.PAUSED: Tone.MARK,
    SourceState.OFF: Tone.DIM,
}
"""The tone of each state; the word and the sign always stand beside it."""
