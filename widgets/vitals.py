"""The vitals line: what the incident is about, how bad it is, how long it runs, and how every source fares."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from infdiag_tui.clock import utc_text
from infdiag_tui.model import PROBLEM_STATES, Snapshot, SourceHealth, SourceState
from widgets import units
from widgets.canvas import LineCanvas
from widgets.glyphs import ASCII, STATE_TONES, UNICODE, Glyphs
from widgets.ink import Line, Span, Tone, cells, keep_tail, line, line_cells
from widgets.source_state import PanelState, combine, current

WIDE = 150
"""From this width on one line holds all."""

_SHORT = {
    "gpu_nvml": "gpu",
    "gpu_dcgm": "dcgm",
    "gpu-source": "gpu",
    "gpu-prometheus": "gpu",
    "server_prometheus": "prometheus",
    "cluster": "pods",
}
_SHORTER = {"latency": "lat", "process": "proc"}
_SILENT = ("engine",)
"""Sources whose lamp is drawn only when something is wrong."""
_SEVERITY_TONES = {"Critical": Tone.BAD, "High": Tone.BAD, "Medium": Tone.WARN}


@dataclass(frozen=True, slots=True)
class Pause:
    """What arrived since the view was frozen at `since` (Unix seconds)."""

    since: float
    lines: int
    replies: int


def pause_words(pause: Pause, now: float) -> str:
    """The pause in words: `PAUSED 12 s: +1,234 lines, +60 replies`."""
    arrived = f"+{pause.lines:,} lines, +{pause.replies:,} replies"
    return f"PAUSED {units.duration(max(0.0, now - pause.since))}: {arrived}"


def replies(snapshot: Snapshot) -> int:
    """Probe requests answered or failed since the start, of all targets."""
    return sum(window.requests for view in snapshot.latency for window in view.windows if window.window_s is None)


class Vitals(LineCanvas):
    """One line on wide terminals, two on narrow ones, at the top of the screen."""

    DEFAULT_CSS = """
    Vitals { height: 2; overflow-y: hidden; background: $panel; padding: 0; }
    """
    can_focus = False

    def __init__(self, title: str, *, id: str | None = None, ascii_only: bool = False) -> None:  # noqa: A002
        super().__init__(id=id)
        self._title = title
        self._glyphs = ASCII if ascii_only else UNICODE
        self._drawn: tuple[Snapshot | None, float, Pause | None] | None = None

    def draw(self, snapshot: Snapshot | None, *, now: float, pause: Pause | None = None) -> None:
        """Draws the state of `now` (Unix seconds); None before the first snapshot."""
        self._drawn = (snapshot, now, pause)
        width = self.room.width
        if width <= 0:
            return
        if snapshot is None:
            rows = [line(Span(f" {self._title}", Tone.STRONG), "  starting…")]
        else:
            rows = vitals_lines(snapshot, now, width, self._glyphs, pause)
        height = 1 if width >= WIDE else 2
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.show(rows)

    def on_line_canvas_resized(self, event: LineCanvas.Resized) -> None:
        """Draws again at the new width."""
        event.stop()
        if self._drawn is not None:
            snapshot, now, pause = self._drawn
            self.draw(snapshot, now=now, pause=pause)


def vitals_lines(
    snapshot: Snapshot,
    now: float,
    width: int,
    glyphs: Glyphs = UNICODE,
    pause: Pause | None = None,
) -> list[Line]:
    """The vitals for `width` columns: what has no room is left out by priority, a problem never before a fine lamp."""
    lamp_row = lamps(snapshot, now, glyphs)
    if width < WIDE and _total(lamp_row) > width - 1:
        lamp_row = lamps(snapshot, now, glyphs, brief=True)
    if width >= WIDE:
        head = _head(snapshot, now, glyphs, width - min(_total(lamp_row) + 4, width // 2), pause)
        room = width - line_cells(head) - 4
        return [line(head, "   ", _fitting(lamp_row, room, glyphs))]
    return [_head(snapshot, now, glyphs, width, pause), line(" ", _fitting(lamp_row, width - 1, glyphs))]


def _head(snapshot: Snapshot, now: float, glyphs: Glyphs, width: int, pause: Pause | None) -> Line:
    """Severity and clock always; then an unsaved draft, the pause, elapsed time and title as far as there is room."""
    incident = snapshot.incident
    severity = _severity(snapshot, now, glyphs)
    clock = Span(utc_text(snapshot.wall(now))[11:], Tone.STRONG)
    extras: list[tuple[str, Span]] = []
    room = width - 1 - cells(severity.text) - 2 - cells(clock.text)
    if snapshot.draft.save_error:
        # Said here as well: the report's panel, which has the reason, may be hidden.
        extras.append(("unsaved", Span(f"{glyphs.problem} DRAFT NOT SAVED", Tone.BAD)))
    if pause is not None:
        words = f"{glyphs.state[SourceState.PAUSED]} {pause_words(pause, now)}"
        extras.append(("pause", Span(words, Tone.MARK)))
    elapsed = units.duration(max(0.0, now - incident.started_at))
    extras.append(("elapsed", Span(f"{elapsed} elapsed" if pause is None else elapsed)))
    kept: dict[str, Span] = {}
    for name, span in extras:
        if cells(span.text) + 2 <= room - (12 if name == "elapsed" else 0):
            kept[name] = span
            room -= cells(span.text) + 2
    title = _title(incident.model, incident.symptom, room - 2)
    parts: list[Span] = []
    for one in (*title, severity, *kept.values(), clock):
        parts += [Span("  " if parts else " "), one]
    return line(*parts)


def _title(model: str, symptom: str, room: int) -> list[Span]:
    if room < 4:
        return []
    if symptom and cells(model) + 2 + cells(symptom) <= room:
        return [Span(model, Tone.STRONG), Span(symptom)]
    return [Span(keep_tail(model, room), Tone.STRONG)]


def _severity(snapshot: Snapshot, now: float, glyphs: Glyphs) -> Span:
    """Never calls a system fine that is not watched: without evidence it says so."""
    if snapshot.severity:
        sign = glyphs.warning if snapshot.severity == "Medium" else glyphs.problem
        return Span(f"{sign} {snapshot.severity.upper()}", _SEVERITY_TONES.get(snapshot.severity, Tone.BAD))
    if not snapshot.evidence:
        return Span("measuring", Tone.DIM)
    blind = any(current(health, now) in PROBLEM_STATES for health in snapshot.sources.values())
    return Span("no findings, but blind spots", Tone.WARN) if blind else Span(f"{glyphs.ok} no findings", Tone.GOOD)


def lamps(
    snapshot: Snapshot,
    now: float,
    glyphs: Glyphs = UNICODE,
    *,
    brief: bool = False,
) -> list[tuple[SourceState, Line]]:
    """One lamp per source or kind of source: sign, short name, the state where it is a problem, age of the data.

    `brief` leaves the state to the sign.
    """
    kinds: dict[str, list[SourceHealth]] = {}
    for name, health in snapshot.sources.items():
        if health.state is not SourceState.OFF:
            kinds.setdefault(re.split(r"[:/ ]", name, maxsplit=1)[0], []).append(health)
    found = []
    for kind, healths in kinds.items():
        state = combine(healths, now)
        if kind in _SILENT and state.state not in PROBLEM_STATES:
            continue
        found.append((state.state, _lamp(kind, state, len(healths), glyphs, brief=brief)))
    return found


def _lamp(kind: str, state: PanelState, sources: int, glyphs: Glyphs, *, brief: bool) -> Line:
    name = _SHORT.get(kind, kind)
    if brief:
        name = _SHORTER.get(name, name)
    if sources > 1:
        name += f" {sources - len(state.problems)}/{sources}"
    sign = glyphs.state[state.state] if brief else f"{glyphs.state[state.state]} "
    tone = STATE_TONES[state.state]
    words = [(name, Tone.PLAIN if state.state is SourceState.LIVE else tone)]
    if not brief and state.state is not SourceState.LIVE:
        words.append((str(state.state), tone))
    if state.age_s is not None:
        words.append(("<2s" if state.age_s < 2 else units.age(state.age_s), Tone.DIM))
    spaced = [(f"{word} ", tone) for word, tone in words[:-1]]
    return line(Span(sign, tone), *(Span(*word) for word in (*spaced, words[-1])))


def _fitting(found: Sequence[tuple[SourceState, Line]], room: int, glyphs: Glyphs) -> Line:
    """As many lamps as fit, in their order; fine ones give way to problems, and what is missing is counted."""
    kept = list(found)
    hidden = 0
    while kept and _total(kept) + (6 if hidden else 0) > room:
        fine = [index for index, (state, _) in enumerate(kept) if state not in PROBLEM_STATES]
        del kept[fine[-1] if fine else -1]
        hidden += 1
    parts: list[Span] = []
    for _, lamp in kept:
        parts += [Span("  "), *lamp] if parts else lamp
    if hidden:
        parts.append(Span(f"  +{hidden}{glyphs.ellipsis}", Tone.DIM))
    return line(*parts)


def _total(found: Sequence[tuple[SourceState, Line]]) -> int:
    return sum(line_cells(lamp) + 2 for _, lamp in found)
