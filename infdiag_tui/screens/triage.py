"""The triage screen: vitals, panels, tabs and footer, drawn from the engine's snapshots a few times a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from infdiag_tui.actions import ACTIONS, bound
from infdiag_tui.clock import Clock
from infdiag_tui.model import CheckStatus, Snapshot, Verdict
from infdiag_tui.screens.bar import Bar, footer_items, tab_items
from infdiag_tui.screens.board import Board
from infdiag_tui.screens.layout import Arrangement, arrangement_for, too_small_words
from infdiag_tui.screens.port import EnginePort
from widgets.glyphs import ASCII, UNICODE
from widgets.vitals import Pause, Vitals, replies

if TYPE_CHECKING:
    from infdiag_tui.screens.panels import Panels
    from widgets.logs_panel import LogsPanel
    from widgets.report_editor import ReportPanel


class TriageScreen(Screen[None]):
    """All of the console. Pulls snapshots; whatever it does, the engine goes on.

    Args:
        engine: where snapshots come from and the operator's words go.
        clock: what time it is.
        title: shown until the first snapshot.
        refresh_s: seconds between two redraws.
        ascii_only: draw with ASCII signs.
        on_failure: called once when the engine has no session and never will.
    """

    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(",".join(action.keys), action.target, action.title, show=False, id=action.id, tooltip=action.help)
        for action in bound()
        if action.id != "palette"
    ]

    def __init__(
        self,
        engine: EnginePort,
        clock: Clock,
        *,
        title: str,
        refresh_s: float,
        ascii_only: bool,
        on_failure: Callable[[], None],
    ) -> None:
        super().__init__()
        self._engine = engine
        self._clock = clock
        self._refresh_s = refresh_s
        self._on_failure = on_failure
        self._glyphs = ASCII if ascii_only else UNICODE
        self._vitals = Vitals(title, id="vitals", ascii_only=ascii_only)
        self._tabs = Bar(id="tabs")
        self._keys = Bar(id="keys")
        self._too_small = Static("", id="too-small", markup=False)
        self._ascii_only = ascii_only
        self._panels: Panels | None = None
        self.board = Board(self._warn)
        self.snapshot: Snapshot | None = None
        """The newest snapshot that was drawn, or counted while paused."""
        self._frozen: Snapshot | None = None
        self._zoomed = False
        self._arrangement = Arrangement.SINGLE
        self._typed: dict[str, dict[str, str]] = {}
        self._open_checks: set[int] = set()
        self._export_asked_at: float | None = None

    def compose(self) -> ComposeResult:
        """Vitals and tabs above, the panels, the keys below."""
        yield self._vitals
        yield self._tabs
        yield self.board
        yield self._too_small
        yield self._keys

    def on_mount(self) -> None:
        """Once there is something to look at: the panels, then the engine."""
        self._arrange()
        self._vitals.draw(None, now=self._clock.now())
        # The first refresh gives the bars their size, the second draws them.
        self.call_after_refresh(self.call_after_refresh, self._start)

    async def _start(self) -> None:
        from infdiag_tui.screens.panels import build_panels

        self._panels = build_panels(self._engine.edit_draft, ascii_only=self._ascii_only)
        await self.board.populate(self._panels.by_id())
        self._arrange()
        self._engine.start()
        self.set_interval(self._refresh_s, self.tick)
        self.tick()

    @property
    def logs_panel(self) -> LogsPanel:
        """The logs; only after the first frame."""
        return self.panels.logs

    @property
    def report_panel(self) -> ReportPanel:
        """The report draft; only after the first frame."""
        return self.panels.report

    @property
    def panels(self) -> Panels:
        """The panels.

        Raises:
            RuntimeError: before the first frame.
        """
        if self._panels is None:
            raise RuntimeError("the panels are made after the first frame")
        return self._panels

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of this screen work as soon as there are panels."""
        if self._panels is None and hasattr(self, f"action_{action}"):
            return False
        return super().check_action(action, parameters)

    # --- drawing

    def tick(self) -> None:
        """Draws what is new."""
        if self._engine.failure() is not None:
            self._on_failure()
            return
        snapshot = self._engine.snapshot()
        now = self._clock.now()
        if snapshot is not None:
            self.snapshot = snapshot
            self.board.draw(snapshot, now=now, paused=self.paused)
            self._tell_ended(snapshot)
            self._tell_export(snapshot)
        self._vitals.draw(self.snapshot, now=now, pause=self._pause())
        self._draw_tabs()

    def _tell_ended(self, snapshot: Snapshot) -> None:
        """Says what became of a check that ended while the operator looked elsewhere."""
        for run in snapshot.checks:
            if run.id in self._open_checks and run.result is not None and self.app.screen is self:
                text = f"{run.title}: {run.result.status.value.upper()}: {run.result.summary}"
                self.notify(text, severity="information" if run.result.status is CheckStatus.OK else "warning")
        self._open_checks = {run.id for run in snapshot.checks if run.is_open}

    @property
    def paused(self) -> bool:
        """True while the panels are frozen."""
        return self._frozen is not None

    def _pause(self) -> Pause | None:
        if self._frozen is None or self.snapshot is None:
            return None
        new, old = self.snapshot, self._frozen
        return Pause(old.at, new.logs.total - old.logs.total, replies(new) - replies(old))

    def _draw_tabs(self) -> None:
        shown = self._frozen or self.snapshot
        evidence = shown.evidence if shown is not None else ()
        count = sum(one.verdict in (Verdict.WARN, Verdict.FAIL) for one in evidence)
        states = {name: panel.panel_state for name, panel in self.board.panels.items()}
        self._tabs.set_items(tab_items(self.board.active, states, count, self.size.width, self._glyphs))

    def _draw_keys(self) -> None:
        self._keys.set_items(footer_items(editing=self.editing, paused=self.paused, zoomed=self._zoomed))

    # --- arrangement

    @property
    def editing(self) -> bool:
        """True while what is typed is text of the report."""
        return self._panels is not None and self.focused is self._panels.report.editor

    def on_resize(self, _event: events.Resize) -> None:
        """Takes up the arrangement that fits."""
        self._arrange()

    def _arrange(self) -> None:
        if not self.size.area:
            return
        fitting = arrangement_for(self.size.width, self.size.height)
        if fitting is Arrangement.TOO_SMALL:
            self._too_small.update(Content(too_small_words(self.size.width, self.size.height)))
        single = fitting is Arrangement.SINGLE or (self._zoomed and fitting is not Arrangement.TOO_SMALL)
        self._arrangement = fitting
        shown = Arrangement.SINGLE if single else fitting
        for each in Arrangement:
            self.set_class(each is shown, f"-{each}")
        self.board.take_up(fitting, single=single)
        self._draw_tabs()
        self._draw_keys()
        if self.focused is None and self._panels is not None and fitting is not Arrangement.TOO_SMALL:
            self._focus(self.board.entry(self.board.active))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The panel that has the focus is the active one."""
        for name, panel in self.board.panels.items():
            if panel in event.widget.ancestors_with_self:
                self.board.activate(name)
        self._draw_tabs()
        self._draw_keys()

    def on_descendant_blur(self) -> None:
        """The keys that work depend on the focus."""
        self._draw_keys()

    @on(Bar.Picked)
    async def _picked(self, event: Bar.Picked) -> None:
        event.stop()
        if event.bar is self._tabs:
            self.action_show_panel(event.item_id)
            return
        target = next((action.target for action in ACTIONS if action.id == event.item_id), "")
        if target:
            await self.run_action(target)
        elif event.item_id == "editor.undo":
            self.report_panel.editor.undo()
        elif event.item_id == "editor.redo":
            self.report_panel.editor.redo()

    # --- actions

    def action_show_panel(self, name: str) -> None:
        """Goes to a panel; in the report the operator can type at once."""
        self.board.activate(name)
        if name == "report":
            self.report_panel.editor.begin()
            self._focus(self.report_panel.editor)
        else:
            self._focus(self.board.entry(name))

    def _focus(self, widget: Widget) -> None:
        """Takes effect at once, where `Widget.focus` would let the next keys go elsewhere."""
        self.set_focus(widget)

    def action_focus_panel(self, step: int) -> None:
        """Goes to the next or previous panel; never into the report's text, where commands would be typed in."""
        name = self.board.neighbour(step)
        self.board.activate(name)
        self._focus(self.report_panel if name == "report" else self.board.entry(name))

    def action_zoom(self) -> None:
        """Gives the active panel the whole screen, or takes it back."""
        if self._arrangement is Arrangement.SINGLE and not self._zoomed:
            self.notify("Every panel already has the whole screen at this size.")
            return
        self._zoomed = not self._zoomed
        self._arrange()

    def action_pause(self) -> None:
        """Freezes the panels, or lets them go on."""
        if self.snapshot is None:
            return
        self._frozen = self.snapshot if self._frozen is None else None
        self.tick()
        self._draw_keys()

    def action_back(self) -> None:
        """Leaves the report's text, else the zoom."""
        if self.editing:
            self._focus(self.report_panel)
        elif self._zoomed:
            self.action_zoom()

    def action_help(self) -> None:
        """Opens help on the active panel."""
        from infdiag_tui.screens.help import HelpScreen

        panel = self.board.active_panel
        self.app.push_screen(HelpScreen(panel.panel_title, str(panel.HELP or ""), panel.explanations))

    def action_checks(self) -> None:
        """Opens the checks."""
        from infdiag_tui.screens.checks import ChecksScreen

        self.app.push_screen(
            ChecksScreen(
                self._engine,
                self._clock,
                typed=self._typed,
                refresh_s=self._refresh_s,
                ascii_only=self._ascii_only,
            )
        )

    def action_guidance(self) -> None:
        """Opens the guidance on the hypothesis at hand."""
        view = self.snapshot.guidance if self.snapshot is not None else None
        if view is None:
            self.notify("No guidance yet: no cause stands out and no symptom was seen.", markup=False)
            return
        from infdiag_tui.screens.guidance import GuidanceScreen

        self.app.push_screen(GuidanceScreen(view, self._engine, ascii_only=self._ascii_only))

    def action_pin(self) -> None:
        """Adds what the active panel shows to the report."""
        text = self.board.active_panel.pin_text()
        if not text:
            self.notify("There is nothing here that could be pinned.", markup=False)
            return
        self.flush()
        self._engine.add_note(text)
        self.notify("Pinned to the report's timeline.", markup=False)

    def action_note(self) -> None:
        """Asks for a note for the report's timeline."""
        from infdiag_tui.screens.note import NoteScreen

        def take(text: str | None) -> None:
            if text:
                self.flush()
                self._engine.add_note(text)

        self.app.push_screen(NoteScreen(ascii_only=self._ascii_only), take)

    def action_export(self) -> None:
        """Writes what is handed on with the report."""
        if self.snapshot is None:
            return
        self.flush()
        self._export_asked_at = self._clock.now()
        self._engine.export()

    def _tell_export(self, snapshot: Snapshot) -> None:
        """Says how an export that was asked for went."""
        draft, asked_at = snapshot.draft, self._export_asked_at
        if asked_at is None:
            return
        if draft.export_error:
            self._warn(f"The report could not be exported: {draft.export_error}. The draft itself is {draft.path}.")
        elif draft.exported_at is not None and draft.exported_at >= asked_at:
            folder = draft.path.rpartition("/")[0]
            self.notify(f"report.html, report.json and what goes with them are in {folder}.", markup=False)
        else:
            return
        self._export_asked_at = None

    def action_footnotes(self) -> None:
        """Shows or hides the report's footnotes."""
        if self.snapshot is not None:
            self._engine.show_footnotes(shown=not self.snapshot.draft.footnotes)

    def action_give_back(self) -> None:
        """Has infdiag fill the line under the cursor again."""
        if not self.editing:
            return
        self.flush()
        self._engine.give_back_line(self.report_panel.editor.cursor_location[0])

    def action_log_filter(self) -> None:
        """Goes to the logs and opens their filter."""
        self.action_show_panel("logs")
        self.logs_panel.action_filter()
        self._focus(self.logs_panel.input)

    def action_log_severity(self) -> None:
        """Goes to the logs and shows the next least severity."""
        self.action_show_panel("logs")
        self.logs_panel.action_severity()

    def action_log_follow(self) -> None:
        """Goes to the newest log line."""
        self._show_logs()
        self.logs_panel.action_follow()

    def action_log_error(self, direction: int) -> None:
        """Goes to the next or previous error line."""
        self._show_logs()
        self.logs_panel.action_error(direction)

    def _show_logs(self) -> None:
        """Goes to the logs; a panel that was hidden has no lines to move among yet."""
        shown = self._frozen or self.snapshot
        if shown is not None and not self.logs_panel.size.area:
            self.logs_panel.tail.show_logs(shown.logs)
        self.action_show_panel("logs")

    def flush(self) -> None:
        """Sends the engine what the operator typed in the last moment."""
        if self._panels is not None:
            self._panels.report.editor.flush()

    def _warn(self, text: str) -> None:
        self.notify(text, severity="error", markup=False, timeout=15)
