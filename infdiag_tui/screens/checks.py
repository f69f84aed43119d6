"""The checks: what is on offer, what runs with its progress, and the outcome of the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from infdiag_tui.clock import Clock
from infdiag_tui.model import CheckRun, OfferedCheck, RunState, Snapshot
from infdiag_tui.screens.bar import Bar, check_items
from infdiag_tui.screens.check_consent import ConsentScreen
from infdiag_tui.screens.check_form import FormScreen
from infdiag_tui.screens.port import EnginePort
from widgets.canvas import LineCanvas
from widgets.check_lines import offer_detail, offer_lines, run_detail, run_lines
from widgets.glyphs import ASCII, UNICODE
from widgets.ink import Line, Span, Tone, flat, line
from widgets.pick_list import PickList

WIDE_COLUMNS = 100
"""From here on the detail stands beside the lists; below, Enter gives it the screen."""

HELP = """\
The checks of the protocol. Those that the incident's symptom asks for come first, marked. A dim one lacks an input; \
the reason names the config key or flag that gives it, and its form takes it, too.

Enter on a check opens its form, with the config's values in place. A check that sends load or runs a command beside \
the model says what it is about to do and asks first. Several can run at a time, also while you look elsewhere.

Esc stops the run under the cursor, without a question; else it leads back. What a check finds joins the Findings.
"""


class ChecksScreen(Screen[None]):
    """Offers, runs and their outcomes, drawn from the engine's snapshots.

    Args:
        engine: where snapshots come from and wishes go.
        clock: what time it is.
        typed: what was typed into the forms so far, by check; kept up to date.
        refresh_s: seconds between two redraws.
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "checks.tcss"
    AUTO_FOCUS = "#offers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Stop the run, or back", show=False),
        Binding("tab", "next_part(1)", "Next part", show=False),
        Binding("shift+tab", "next_part(-1)", "Previous part", show=False),
        Binding("question_mark,f1", "help", "Help", show=False),
    ]

    def __init__(
        self,
        engine: EnginePort,
        clock: Clock,
        *,
        typed: dict[str, dict[str, str]],
        refresh_s: float,
        ascii_only: bool,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._clock = clock
        self._typed = typed
        self._refresh_s = min(refresh_s, 1.0)
        self._ascii_only = ascii_only
        self._glyphs = ASCII if ascii_only else UNICODE
        self._title = Static("", id="checks-title", markup=False)
        self._offers = PickList(id="offers")
        self._runs = PickList(id="runs")
        self._detail = LineCanvas(id="detail")
        self._keys = Bar(id="keys")
        self._snapshot: Snapshot | None = None
        self._asked: set[int] = set()
        self._about: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Title, the two lists beside or instead of the detail, keys."""
        yield self._title
        with Horizontal(id="checks-body"):
            with Vertical(id="checks-lists"):
                with Vertical(id="offers-box", classes="checks-box") as box:
                    box.border_title = "Checks"
                    yield self._offers
                with Vertical(id="runs-box", classes="checks-box") as box:
                    box.border_title = "Runs"
                    yield self._runs
            with Vertical(id="detail-box", classes="checks-box") as box:
                box.border_title = "Details"
                yield self._detail
        yield self._keys

    def on_mount(self) -> None:
        """Draws, and goes on drawing."""
        for canvas in self.query(LineCanvas):
            canvas.ascii_only = self._ascii_only
        self.set_class(self._ascii_only, "-ascii")
        self.set_class(self.size.width >= WIDE_COLUMNS, "-wide")
        self.set_interval(self._refresh_s, self.tick)
        self.call_after_refresh(self.tick)

    def on_resize(self, _event: events.Resize) -> None:
        """Takes up what fits."""
        self.set_class(self.size.width >= WIDE_COLUMNS, "-wide")
        self.call_after_refresh(self.tick)

    def on_line_canvas_resized(self) -> None:
        """Lines are made for a width."""
        self.tick()

    # --- drawing

    def tick(self) -> None:
        """Draws what is new and asks what is to be asked."""
        self._snapshot = self._engine.snapshot()
        now = self._clock.now()
        incident = self._snapshot.incident if self._snapshot is not None else None
        words = ["Checks", incident.model if incident else "", incident.symptom if incident else ""]
        self._title.update(Content(flat(f" {self._glyphs.dot} ".join(word for word in words if word))), layout=False)
        width = self._offers.room.width
        waiting = self._snapshot is None or self._snapshot.offered is None
        nothing = "Looking which checks can run." if waiting else "There are no checks."
        self._offers.show_rows(
            offer_lines(self.offered, width, self._glyphs),
            [one.name for one in self.offered],
            otherwise=line(Span(nothing, Tone.DIM)),
        )
        runs = self.runs
        self._runs.show_rows(
            run_lines(runs, now, self._runs.room.width, self._glyphs),
            [run.id for run in runs],
            otherwise=line(Span("Nothing was run yet.", Tone.DIM)),
        )
        self._draw_detail(now)
        self._draw_keys()
        self._ask()

    @property
    def offered(self) -> tuple[OfferedCheck, ...]:
        """The checks on offer."""
        return (self._snapshot.offered if self._snapshot is not None else None) or ()

    @property
    def runs(self) -> tuple[CheckRun, ...]:
        """What runs or has run, newest first; what never began was said in its form."""
        found = self._snapshot.checks if self._snapshot is not None else ()
        return tuple(run for run in reversed(found) if run.state not in (RunState.INVALID, RunState.STARTING))

    @property
    def focused_run(self) -> CheckRun | None:
        """The run under the cursor while the runs, or its details, have the focus."""
        if self.focused is self._offers or (self.focused is self._detail and not self.has_class("-runs")):
            return None
        return next((run for run in self.runs if run.id == self._runs.picked), None)

    def _draw_detail(self, now: float) -> None:
        width = self._detail.room.width
        if width <= 0:
            return
        about: CheckRun | OfferedCheck | None
        if self.has_class("-runs"):
            about = next((run for run in self.runs if run.id == self._runs.picked), None)
        else:
            about = next((one for one in self.offered if one.name == self._offers.picked), None)
        # An outcome may be large; it stays as it is once it is there.
        running = isinstance(about, CheckRun) and about.is_open
        known = (about, width, int(now) if running else None)
        if known == self._about:
            return
        self._about = known
        lines: list[Line] = []
        if isinstance(about, CheckRun):
            lines = run_detail(about, now, width, self._glyphs)
        elif about is not None:
            lines = offer_detail(about, width, self._glyphs)
        self._detail.show(lines)

    def _draw_keys(self) -> None:
        run = self.focused_run
        self._keys.set_items(
            check_items(
                offers=self.focused is self._offers,
                stops=run is not None and run.is_open,
                asks=run is not None and run.state is RunState.ASKING,
                reading=self.focused is self._detail,
            )
        )

    def _ask(self) -> None:
        """Asks once for each run that waits for consent; later Enter on the run asks again."""
        for run in self.runs:
            if run.state is RunState.ASKING and run.id not in self._asked and self.is_current:
                self._asked.add(run.id)
                self._consent(run)
                return

    def _consent(self, run: CheckRun) -> None:
        def decided(agreed: bool | None) -> None:
            if agreed is None:
                return
            if agreed:
                self._engine.confirm_check(run.id)
            else:
                self._engine.cancel_check(run.id)
                self.notify(f"{run.title} was not run.")
            self.tick()

        self.app.push_screen(ConsentScreen.of_check(run, ascii_only=self._ascii_only), decided)

    # --- focus

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The detail is about the list that has, or last had, the focus."""
        if event.widget is self._offers:
            self.remove_class("-runs", "-reading")
        elif event.widget is self._runs:
            self.add_class("-runs")
            self.remove_class("-reading")
        self.call_after_refresh(self.tick)

    def action_next_part(self, step: int) -> None:
        """Goes on to the next part that is shown; out of the details where they have the whole screen."""
        if self.has_class("-reading"):
            self._leave_detail()
            return
        parts = [self._offers, self._runs, *([self._detail] if self.has_class("-wide") else [])]
        at = parts.index(self.focused) if self.focused in parts else 0
        self.set_focus(parts[(at + step) % len(parts)])

    def _leave_detail(self) -> None:
        target = self._runs if self.has_class("-runs") else self._offers
        self.remove_class("-reading")
        self.set_focus(target)

    # --- actions

    @on(PickList.Moved)
    def _moved(self, event: PickList.Moved) -> None:
        event.stop()
        if type(event) is PickList.Moved:
            self.tick()

    @on(PickList.Picked)
    def _picked(self, event: PickList.Picked) -> None:
        event.stop()
        if event.pick_list is self._offers:
            self._open_form()
            return
        run = self.focused_run
        if run is not None and run.state is RunState.ASKING:
            self._consent(run)
        elif run is not None:
            self.add_class("-reading")
            self.set_focus(self._detail)
            self._detail.scroll_home(animate=False)

    def _open_form(self) -> None:
        chosen = next((one for one in self.offered if one.name == self._offers.picked), None)
        if chosen is None:
            return

        def started(run_id: int | None) -> None:
            if run_id is not None:
                self.tick()
                self._runs.pick(run_id)
                self.set_focus(self._runs)

        form = FormScreen(self._engine, chosen, self._typed.setdefault(chosen.name, {}), ascii_only=self._ascii_only)
        self.app.push_screen(form, started)

    def action_back(self) -> None:
        """Stops the run that is in focus; else out of the details, else back to the panels."""
        run = self.focused_run
        if run is not None and run.is_open:
            self._engine.cancel_check(run.id)
            self.notify(f"Stopping {run.title}.")
            self.tick()
        elif self.focused is self._detail:
            self._leave_detail()
        else:
            count = sum(run.is_open for run in self.runs)
            if count:
                goes_on = "1 check goes on" if count == 1 else f"{count} checks go on"
                self.notify(f"{goes_on}; c shows how far.")
            self.dismiss()

    def action_help(self) -> None:
        """Opens help on the checks."""
        from infdiag_tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen("Checks", HELP, ()))

    @on(Bar.Picked)
    async def _key_clicked(self, event: Bar.Picked) -> None:
        event.stop()
        if event.item_id == "enter" and isinstance(self.focused, PickList):
            self.focused.action_pick()
        elif event.item_id:
            await self.run_action(event.item_id)
