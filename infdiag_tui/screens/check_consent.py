"""The question before a check that sends load or runs a command beside the model."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from infdiag_tui.model import CheckRun
from widgets.check_lines import IMPACT_WORDS
from widgets.ink import flat


class ConsentScreen(ModalScreen[bool | None]):
    """Says what a check is about to do; `y` agrees, Esc and `n` decline. Enter does neither: it is pressed in forms.

    Args:
        run: the run that asks.
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "check_dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Agree", show=False),
        Binding("n,escape", "dismiss(False)", "Decline", show=False),
    ]

    def __init__(self, run: CheckRun, *, ascii_only: bool) -> None:
        super().__init__()
        self._run = run
        self._ascii_only = ascii_only

    def compose(self) -> ComposeResult:
        """The announcement and the two answers."""
        self.set_class(self._ascii_only, "-ascii")
        with Vertical(id="dialog") as box:
            box.border_title = Content(flat(f"Run {self._run.title}?"))
            with VerticalScroll(id="dialog-text"):
                yield Static(Content(flat(self._run.question)), classes="dialog-question")
                yield Static(Content(f"It {IMPACT_WORDS[self._run.impact].partition(',')[0]}."), classes="dialog-dim")
            yield Static(Content("y: run it    n, esc: do not"), classes="dialog-keys")
