"""The error tail: exact counts, filters, and the log itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from infdiag_tui.model import LogLine, LogView, Severity, Snapshot
from widgets.canvas import LineCanvas
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, fit, line, line_cells
from widgets.log_filter import LogFilter
from widgets.log_view import LogTail
from widgets.panel import Panel
from widgets.pins import log_pin

_TOLD_S = 3.0
_STEPS = (Severity.UNKNOWN, Severity.INFO, Severity.WARNING, Severity.ERROR)


def counts_line(logs: LogView, shown: int, chosen: LogFilter, width: int, glyphs: Glyphs) -> Line:
    """Exact counts of everything that ever came, and what part of it is shown."""
    errors = sum(number for severity, number in logs.counts.items() if severity.is_error)
    warnings = logs.counts.get(Severity.WARNING, 0)
    sign, warning = glyphs.severity[Severity.ERROR], glyphs.severity[Severity.WARNING]
    spans = [
        Span(f"{logs.total:,} lines", Tone.STRONG),
        Span("  "),
        Span(f"{sign} {errors:,} {'error' if errors == 1 else 'errors'}", Tone.BAD if errors else Tone.DIM),
    ]
    if width >= 44:
        spans += [
            Span("  "),
            Span(f"{warning} {warnings:,} warning{'' if warnings == 1 else 's'}", Tone.WARN if warnings else Tone.DIM),
        ]
    if chosen.error:
        spans += [Span("  "), Span(f"{glyphs.problem} {chosen.error}", Tone.BAD)]
    elif not chosen.is_open:
        spans += [Span("  "), Span(f"showing {shown:,}: {chosen.describe()}", Tone.MARK)]
    elif shown < logs.total:
        spans += [Span("  "), Span(f"newest {shown:,} kept", Tone.DIM)]
    return fit(spans, width, glyphs.ellipsis)


def place_line(tail: LogTail, *, paused: bool, glyphs: Glyphs) -> Line:
    """Whether the tail is followed, or how much has come since it is not."""
    if tail.following and not paused:
        return (Span(f"{glyphs.down} following", Tone.GOOD),)
    what = "paused" if tail.following else "scrolled"
    new = tail.new_entries
    spans = [Span(f"{what}: ", Tone.MARK), Span(f"+{new:,} new", Tone.MARK if new else Tone.DIM)]
    if not tail.following:
        spans.append(Span(" (End: follow)", Tone.DIM))
    return tuple(spans)


class LogsPanel(Panel):
    """Log entries of every source with counts, filter and severity."""

    HELP = """\
# Logs

The newest lines of every followed file and container. Counts are exact even where lines are no longer kept; errors are
kept apart, so that a flood of other lines cannot push them out.

- `/` filter: a word, `/a regular expression/`, or either after `!` to leave out what matches. `Esc` clears it.
- `s` least severity: all, info, warning, error.
- `e` and `E` next and previous error.
- `Enter` shows all of an entry, such as a traceback or a line's own time, and folds it again.
- `w` wraps long lines; without wrapping `←` and `→` scroll sideways.
- Moving up holds what is in view while new lines are counted; `End` follows again.

Times are UTC.
"""
    DEFAULT_CSS = """
    LogsPanel {
        & > .logs--status { height: 1; }
        & > Input { display: none; height: 1; border: none; padding: 0; background: $surface; }
        & > Input.-open { display: block; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="logs.filter", key_display="/", tooltip="Show only matching lines"),
        Binding("s", "severity", "Severity", id="logs.severity", tooltip="Least severity that is shown"),
        Binding("e", "error(1)", "Next error", id="logs.next-error", show=False),
        Binding("E", "error(-1)", "Previous error", id="logs.previous-error", show=False),
        Binding("w", "wrap", "Wrap", id="logs.wrap", show=False),
        Binding("escape", "clear_filter", "Clear filter", id="logs.clear-filter", show=False),
    ]

    def __init__(
        self,
        title: str = "Logs",
        *,
        sources: tuple[str, ...],
        id: str | None = None,  # noqa: A002 - Textual's name
        ascii_only: bool = False,
    ) -> None:
        super().__init__(title, sources=sources, id=id, ascii_only=ascii_only)
        self.status = LineCanvas(classes="logs--status")
        self.status.can_focus = False
        self.tail = LogTail(ascii_only=ascii_only)
        self.input = Input(placeholder="word, /regex/ or !without", select_on_focus=True, compact=True)
        self._before = ""
        self._logs = LogView()
        self._told = ""
        self._told_at = 0.0
        self._now = 0.0

    def compose_body(self) -> Iterable[Widget]:
        """Counts, the log, and the filter's input while it is open."""
        return (self.status, self.tail, self.input)

    @property
    def current_entry(self) -> LogLine | None:
        """The entry that the cursor is on, for evidence."""
        return self.tail.selected

    def pin_of(self, snapshot: Snapshot) -> str:
        """The entry that the cursor is on, else the newest error."""
        entry = self.tail.selected or (snapshot.logs.errors[-1] if snapshot.logs.errors else None)
        return log_pin(entry) if entry is not None else ""

    def draw_body(self, snapshot: Snapshot, now: float) -> None:
        """Shows the snapshot's logs."""
        self._logs = snapshot.logs
        self._now = now
        self.tail.dimmed = not self.panel_state.trusted
        self.tail.show_logs(snapshot.logs)
        self._draw_status()

    def draw_arrivals(self, snapshot: Snapshot) -> None:
        """Counts what comes while paused."""
        self._logs = snapshot.logs
        self.tail.show_logs(snapshot.logs, hold=True)
        self._draw_status()

    @on(LogTail.Moved)
    def _moved(self, event: LogTail.Moved) -> None:
        event.stop()
        self._draw_status()

    def _draw_status(self) -> None:
        width = self.status.room.width
        if width <= 0:
            return
        place = place_line(self.tail, paused=self.paused, glyphs=self.glyphs)
        if self._told and self._now - self._told_at < _TOLD_S:
            place = (Span(self._told, Tone.WARN),)
        room = width - line_cells(place) - 2
        if room < 22:
            place, room = ((), width) if self.tail.following else (fit(place, width // 2), width - width // 2 - 2)
        counts = counts_line(self._logs, len(self.tail.rows), self.tail.filter, max(room, 0), self.glyphs)
        gap = max(2 if place else 0, width - line_cells(counts) - line_cells(place))
        self.status.show([line(counts, " " * gap, place)])

    def set_filter(self, text: str) -> None:
        """Shows only entries that match `text` (see `LogFilter`)."""
        self.tail.set_filter(replace(self.tail.filter, text=text))
        self._tell("")

    def set_severity(self, least: Severity) -> None:
        """Shows only entries of `least` and worse."""
        self.tail.set_filter(replace(self.tail.filter, least=least))
        self._tell("")

    def set_source(self, source: str) -> None:
        """Shows only entries whose source contains `source` (a pod's name); empty shows all."""
        self.tail.set_filter(replace(self.tail.filter, source=source))
        self._tell("")

    def action_filter(self) -> None:
        """Opens the filter's input."""
        self._before = self.tail.filter.text
        self.input.value = self._before
        self.input.add_class("-open")
        self.input.focus()

    def action_severity(self) -> None:
        """The next severity."""
        place = _STEPS.index(self.tail.filter.least) if self.tail.filter.least in _STEPS else 0
        self.set_severity(_STEPS[(place + 1) % len(_STEPS)])

    def action_error(self, direction: int) -> None:
        """The next or previous error, or a word that there is none."""
        found = self.tail.jump_to_error(direction)
        self._tell("" if found else f"no {'later' if direction > 0 else 'earlier'} error kept here")

    def action_wrap(self) -> None:
        """Wraps long lines or not."""
        self.tail.toggle_wrap()
        self._tell("long lines wrapped" if self.tail.wrapped else "long lines run on (arrow keys)")

    def action_clear_filter(self) -> None:
        """Closes the input with the filter as it was; a second time clears every filter."""
        if self.input.has_class("-open"):
            self.set_filter(self._before)
            self._close_input()
        elif not self.tail.filter.is_open or self.tail.filter.error:
            self.tail.set_filter(LogFilter())

    def action_follow(self) -> None:
        """Goes to the newest entry and stays there."""
        self.tail.action_follow()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while the operator types."""
        event.stop()
        if self.input.has_class("-open") and event.value != self.tail.filter.text:
            self.set_filter(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keeps the filter and goes back to the log."""
        event.stop()
        self._close_input()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        """Closes the input when the focus goes elsewhere."""
        if event.widget is self.input:
            self.input.remove_class("-open")

    def _close_input(self) -> None:
        self.input.remove_class("-open")
        self.tail.focus()

    def _tell(self, text: str) -> None:
        """A word in place of the position, for a few seconds."""
        self._told, self._told_at = text, self._now
        self._draw_status()
