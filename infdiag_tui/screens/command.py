"""A companion's command as it runs, and what it said: to read, and to pin to the report."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from infdiag_tui.model import CompanionOffer, CompanionRun
from infdiag_tui.screens.port import EnginePort
from infdiag_tui.text import one_line
from widgets import units
from widgets.ink import flat

SHOWN_CHARACTERS = 50_000
"""Of a long output the end is shown."""
PINNED_CHARACTERS = 400
_LOOK_EVERY_S = 0.25


class CommandScreen(ModalScreen[None]):
    """Has the engine run a command that the operator agreed to; Esc stops it, then closes, `p` pins it.

    Args:
        offer: the companion.
        engine: where it runs.
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "guidance.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Stop or close", show=False),
        Binding("p", "pin", "Pin", show=False),
    ]

    def __init__(self, offer: CompanionOffer, engine: EnginePort, *, ascii_only: bool) -> None:
        super().__init__()
        self._offer = offer
        self._engine = engine
        self._ascii_only = ascii_only
        self._began = time.monotonic()
        self._state = Static("", classes="guidance-dim", markup=False)
        self._output = Static("", markup=False)
        self._number = 0
        self._run = CompanionRun(0)

    def compose(self) -> ComposeResult:
        """The command, how it goes, and what it said."""
        self.set_class(self._ascii_only, "-ascii")
        with Vertical(id="guidance-box") as box:
            box.border_title = Content(flat(self._offer.tool))
            box.border_subtitle = "esc stops it"
            yield Static(Content(flat(self._offer.command)), classes="guidance-command")
            yield self._state
            with VerticalScroll(id="guidance-text") as scroll:
                scroll.can_focus = True
                yield self._output

    def on_mount(self) -> None:
        """Starts the command."""
        self.query_one("#guidance-text").focus()
        self._number = self._engine.start_companion(self._offer)
        self.set_interval(_LOOK_EVERY_S, self._look)
        self._look()

    def on_unmount(self) -> None:
        """Nothing of it goes on unseen."""
        self._engine.stop_companion(self._number)

    def action_leave(self) -> None:
        """Stops the command, so that what it said can be read; one that has ended is left."""
        if self._run.ending or not self._run.id:
            self.dismiss()
        else:
            self._engine.stop_companion(self._number)

    def action_pin(self) -> None:
        """Adds the command, how it ended and the beginning of what it said to the report's timeline."""
        if not self._run.ending:
            self.notify("It still runs; pin it when it has ended.", markup=False)
            return
        said = one_line(self._run.text, PINNED_CHARACTERS) or "no output"
        self._engine.add_note(f"{self._offer.command} ({self._offer.where}): {self._run.ending}: {said}")
        self.notify("Pinned to the report.", markup=False)

    def _look(self) -> None:
        snapshot = self._engine.snapshot()
        run = snapshot.companion if snapshot is not None else None
        if run is not None and run.id == self._number:
            if run.text != self._run.text:
                self._output.update(Content(run.text[-SHOWN_CHARACTERS:]))
            self._run = run
            if run.ending:
                self.query_one("#guidance-box", Vertical).border_subtitle = "p pins it to the report, esc closes"
        state = self._run.ending or f"running {self._offer.where} for {units.duration(time.monotonic() - self._began)}"
        cut = f"; the last {SHOWN_CHARACTERS:,} characters are shown" if len(self._run.text) > SHOWN_CHARACTERS else ""
        self._state.update(Content(flat(state + cut)))
