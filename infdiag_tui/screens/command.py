"""A companion's command as it runs, and what it said: to read, and to pin to the report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from infdiag_tui.companions.running import MOST_BYTES, TIME_LIMIT_S, Ran, run_line
from infdiag_tui.model import CompanionOffer
from infdiag_tui.text import one_line
from widgets import units
from widgets.ink import flat

SHOWN_CHARACTERS = 200_000
"""Of a long output the end is shown."""
PINNED_CHARACTERS = 400


class CommandScreen(ModalScreen[None]):
    """Runs a command that the operator agreed to; Esc stops and closes it, `p` pins it to the report.

    Args:
        offer: the companion.
        pin: adds a line to the report's timeline.
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "guidance.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close", show=False),
        Binding("p", "pin", "Pin", show=False),
    ]

    def __init__(self, offer: CompanionOffer, pin: Callable[[str], None], *, ascii_only: bool) -> None:
        super().__init__()
        self._offer = offer
        self._pin = pin
        self._ascii_only = ascii_only
        self._began = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._state = Static("", classes="guidance-dim", markup=False)
        self._output = Static("", markup=False)
        self.ran: Ran | None = None
        """How it ended, once it has."""

    def compose(self) -> ComposeResult:
        """The command, how it goes, and what it said."""
        self.set_class(self._ascii_only, "-ascii")
        with Vertical(id="guidance-box") as box:
            box.border_title = Content(flat(self._offer.tool))
            box.border_subtitle = "p pins it to the report, esc stops and closes"
            yield Static(Content(flat(self._offer.command)), classes="guidance-command")
            yield self._state
            with VerticalScroll(id="guidance-text") as scroll:
                scroll.can_focus = True
                yield self._output

    def on_mount(self) -> None:
        """Starts the command."""
        self.query_one("#guidance-text").focus()
        self._task = asyncio.create_task(self._run(), name=f"companion {self._offer.tool}")
        self.set_interval(0.5, self._tell)
        self._tell()

    async def on_unmount(self) -> None:
        """Nothing of it goes on unseen."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def action_pin(self) -> None:
        """Adds the command, how it ended and the beginning of what it said to the report's timeline."""
        if self.ran is None:
            self.notify("It still runs; pin it when it has ended.", markup=False)
            return
        said = one_line(self.ran.text, PINNED_CHARACTERS) or "no output"
        self._pin(f"{self._offer.command}: {_ended(self.ran)}: {said}")
        self.notify("Pinned to the report.", markup=False)

    async def _run(self) -> None:
        try:
            self.ran = await run_line(self._offer.command, self._show)
        except OSError as error:
            self.ran = Ran(f"It cannot be started: {error.strerror}", None, 0.0)
        self._show(self.ran.text)
        self._tell()

    def _show(self, text: str) -> None:
        self._output.update(Content(text[-SHOWN_CHARACTERS:]))

    def _tell(self) -> None:
        if self.ran is not None:
            self._state.update(Content(_ended(self.ran)))
        else:
            self._state.update(Content(f"running for {units.duration(time.monotonic() - self._began)}"))


def _ended(ran: Ran) -> str:
    took = units.duration(ran.took_s)
    if ran.late:
        return f"stopped after {TIME_LIMIT_S:.0f} s, its time limit"
    if ran.cut:
        return f"stopped after {took}: it wrote more than {MOST_BYTES:,} bytes"
    return f"stopped after {took}" if ran.code is None else f"exit code {ran.code} after {took}"
