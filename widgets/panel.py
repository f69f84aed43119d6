"""The frame that every panel shares: title, state of its sources in words, reasons and remedies, dimmed old data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from infdiag_tui.model import PROBLEM_STATES, Snapshot, SourceState
from widgets import source_state, units
from widgets.canvas import LineCanvas
from widgets.glyphs import ASCII, STATE_TONES, UNICODE
from widgets.ink import Line, Span, Tone, cells, clip, flat, in_ascii, muted, wrap
from widgets.source_state import PanelState

_TONE_STYLES = {
    Tone.DIM: "$text-muted",
    Tone.GOOD: "$text-success",
    Tone.WARN: "bold $text-warning",
    Tone.BAD: "bold $text-error",
    Tone.MARK: "bold $text-primary",
}
_NOTICE_SHARE = 3
"""Reasons take at most this part (a third) of the panel's rows; they scroll when they are longer."""


class Panel(Vertical):
    """A bordered panel over one or more sources. Subclasses compose a body and draw it in `draw_body`.

    The state is carried by a word, a sign and a class (`-live`, `-stale`, `-degraded`, `-forbidden`, `-unavailable`,
    `-off`, `-starting`, `-paused`). A source name may end in `*` for however many there are of a kind.
    """

    ALLOW_MAXIMIZE = True
    DEFAULT_CSS = """
    Panel {
        border: round $foreground 40%;
        border-title-style: bold;
        border-title-color: $foreground;
        border-subtitle-color: $text-muted;
        padding: 0 0 0 1;
        &:focus-within { border: round $primary; }
        &.-stale, &.-degraded { border: round $warning; }
        &.-forbidden, &.-unavailable { border: round $error; }
        &.-stale:focus-within, &.-degraded:focus-within { border: heavy $warning; }
        &.-forbidden:focus-within, &.-unavailable:focus-within { border: heavy $error; }
        &.-ascii { border: ascii $foreground 60% !important; }
        & > .panel--notice { height: auto; display: none; }
    }
    """

    def __init__(
        self,
        title: str,
        *,
        sources: tuple[str, ...],
        id: str | None = None,  # noqa: A002 - Textual's name
        ascii_only: bool = False,
    ) -> None:
        super().__init__(id=id)
        self.panel_title = title
        self.sources = sources
        self.glyphs = ASCII if ascii_only else UNICODE
        self.panel_state = PanelState(SourceState.STARTING, None)
        """The combined state last drawn."""
        self._notice = LineCanvas(classes="panel--notice")
        self._notice.can_focus = False
        self._drawn: tuple[Snapshot, float] | None = None
        self._paused = False
        self._edge: tuple[str, Tone, str] | None = None
        self._edge_only: Region | None = None
        self._problems: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        """The notice above the body."""
        self.set_class(self.glyphs.ascii_only, "-ascii")
        yield self._notice
        yield from self.compose_body()

    def on_mount(self) -> None:
        """Canvases draw with the panel's signs."""
        for canvas in self.query(LineCanvas):
            canvas.ascii_only = self.glyphs.ascii_only

    def compose_body(self) -> Iterable[Widget]:
        """The widgets of the body."""
        return ()

    def draw(self, snapshot: Snapshot, *, now: float, paused: bool = False) -> None:
        """Draws `snapshot` as of `now` (Unix seconds). While paused the body keeps the picture it had."""
        if paused and self._paused and self._drawn is not None:
            self._draw_frame(snapshot, now)
            self.draw_arrivals(snapshot)
            return
        self._paused = paused
        self._drawn = (snapshot, now)
        self._draw_frame(snapshot, now)
        self._draw_body()

    def draw_body(self, snapshot: Snapshot, now: float) -> None:
        """Draws the body; called with the frozen picture while paused."""

    def pin_text(self) -> str:
        """What the panel shows, on one line for the report; empty when there is nothing worth keeping."""
        return self.pin_of(self._drawn[0]) if self._drawn is not None else ""

    def pin_of(self, snapshot: Snapshot) -> str:
        """The same of a snapshot; panels that can be pinned say it."""
        del snapshot
        return ""

    def draw_arrivals(self, snapshot: Snapshot) -> None:
        """Told of newer pictures while paused, for panels that count what the operator has not seen."""

    @property
    def paused(self) -> bool:
        """True while the body is frozen."""
        return self._paused

    @property
    def explanations(self) -> tuple[str, ...]:
        """Every problem of the panel's sources as a sentence with its remedy, worst first."""
        return self._problems

    def focus(self, scroll_visible: bool = True) -> Self:
        """Gives the focus to the first part of the body that takes it."""
        for child in self.query("*"):
            if child.focusable and child is not self._notice:
                child.focus(scroll_visible)
                return self
        return super().focus(scroll_visible)

    def on_line_canvas_resized(self, event: LineCanvas.Resized) -> None:
        """Draws again at the new size."""
        event.stop()
        if self._drawn is not None:
            self._draw_notice()
            self._draw_body()

    def on_resize(self) -> None:
        """The frame's words depend on its width."""
        if self._drawn is not None:
            self._draw_frame(*self._drawn)

    def _draw_body(self) -> None:
        if self._drawn is not None and self.is_mounted and self.size.area:
            self.draw_body(*self._drawn)

    def _draw_frame(self, snapshot: Snapshot, now: float) -> None:
        state = source_state.combine(source_state.matching(snapshot, self.sources), now)
        self.panel_state = state
        shown = SourceState.PAUSED if self._paused and state.state not in PROBLEM_STATES else state.state
        for each in SourceState:
            self.set_class(each is shown or (each is SourceState.PAUSED and self._paused), f"-{each}")
        self._problems = tuple(source_state.explanation(health, now) for health in state.problems)
        self._draw_edges(state, shown, now)
        self._draw_notice()

    def _draw_edges(self, state: PanelState, shown: SourceState, now: float) -> None:
        tone = STATE_TONES[shown]
        title = self.panel_title
        if shown in PROBLEM_STATES:
            title = f"{title} {self.glyphs.state[shown]} {shown}"
        edge = (title, tone, self._subtitle(state, shown, now))
        if self.glyphs.ascii_only:
            edge = (in_ascii(edge[0]), tone, in_ascii(edge[2]))
        if edge == self._edge:
            return
        before, self._edge = self._edge, edge
        if before is None or before[:2] != edge[:2]:
            self.border_title = _toned(edge[0], tone if shown in PROBLEM_STATES else Tone.STRONG)
        with self._repainting_bottom(before, edge):
            self.border_subtitle = _toned(edge[2], tone)

    def _subtitle(self, state: PanelState, shown: SourceState, now: float) -> str:
        paused = ""
        if self._paused and self._drawn is not None:
            paused = f"{self.glyphs.state[SourceState.PAUSED]} paused {units.duration(now - self._drawn[0].at)}"
        if shown is SourceState.PAUSED:
            return paused
        text = f"{self.glyphs.state[shown]} {source_state.words(state)}"
        extra = " · ".join(part for part in (source_state.retry_words(state), paused) if part)
        room = max(0, self.outer_size.width - 6)
        if not extra or room < cells(extra) + 14:
            return clip(text, room) if room else text
        return f"{clip(text, room - cells(extra) - 3)} · {extra}"

    @contextmanager
    def _repainting_bottom(self, before: tuple[str, Tone, str] | None, edge: tuple[str, Tone, str]) -> Iterator[None]:
        """Within it a refresh repaints the subtitle's columns only; setting one would re-send the whole panel."""
        if before is not None and before[1] is edge[1] and self.is_mounted and self.outer_size.area:
            width = 4 + max(cells(before[2]), cells(edge[2]))
            outer = self.outer_size
            corner = Region(max(0, outer.width - width), outer.height - 1, min(width, outer.width), 1)
            self._edge_only = corner.translate(-self.content_offset)
        try:
            yield
        finally:
            self._edge_only = None

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """As Textual's, except for a new subtitle, which repaints itself alone."""
        if self._edge_only is not None and not regions and not layout and not recompose:
            regions = (self._edge_only,)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _draw_notice(self) -> None:
        """Reasons and remedies above the body; without any the body has the room."""
        notice = self._notice
        width = max(8, self.size.width - 2)
        rows: list[Line] = []
        for state, text in zip(_states(self.panel_state), self._problems, strict=True):
            sign = self.glyphs.state[state]
            for number, row in enumerate(wrap(text, width - 2)):
                rows.append(
                    (Span(f"{sign} " if number == 0 else "  ", STATE_TONES[state]), Span(row, STATE_TONES[state]))
                )
        limit = max(1, self.size.height // _NOTICE_SHARE)
        height = min(len(rows), limit)
        if notice.display != bool(rows):
            notice.display = bool(rows)
        if height and (notice.styles.height is None or notice.styles.height.value != height):
            notice.styles.height = height
        notice.can_focus = len(rows) > limit
        if rows:
            notice.show(rows)


def _states(panel: PanelState) -> Sequence[SourceState]:
    """The state of each problem; one that calls itself live has gone stale."""
    return [health.state if health.state in PROBLEM_STATES else SourceState.STALE for health in panel.problems]


def _toned(text: str, tone: Tone) -> Content:
    """Border text: Content is drawn as it stands, a plain string would be parsed as markup."""
    style = _TONE_STYLES.get(tone, "bold")
    text = flat(text)
    return Content.styled(text, style) if text else Content(" ")


class LinePanel(Panel):
    """A panel whose body is lines from a pure renderer, dimmed as soon as no source vouches for them."""

    def __init__(
        self,
        title: str,
        *,
        sources: tuple[str, ...],
        id: str | None = None,  # noqa: A002 - Textual's name
        ascii_only: bool = False,
    ) -> None:
        super().__init__(title, sources=sources, id=id, ascii_only=ascii_only)
        self.canvas = LineCanvas(classes="panel--body")

    def compose_body(self) -> Iterable[Widget]:
        """One canvas."""
        return (self.canvas,)

    def render_lines_for(self, snapshot: Snapshot, now: float, width: int, height: int) -> Sequence[Line]:
        """The body's lines for `width` columns; `height` rows are in view, more are scrolled to."""
        raise NotImplementedError

    def draw_body(self, snapshot: Snapshot, now: float) -> None:
        """Shows the renderer's lines."""
        width, height = self.canvas.room
        if width <= 0 or height <= 0:
            return
        lines = self.render_lines_for(snapshot, now, width, height)
        self.canvas.show(lines if self.panel_state.trusted else muted(lines))
