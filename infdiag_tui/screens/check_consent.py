"""The question before what sends load or runs a command."""

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
    """Says what is about to be done; `y` agrees, Esc and `n` decline. Enter does neither: it is pressed in forms.

    Args:
        title: what it is, as a question.
        question: what exactly will be done, and where.
        about: what that may do.
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "check_dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Agree", show=False),
        Binding("n,escape", "dismiss(False)", "Decline", show=False),
    ]

    def __init__(self, title: str, question: str, about: str, *, ascii_only: bool) -> None:
        super().__init__()
        self._title = title
        self._question = question
        self._about = about
        self._ascii_only = ascii_only

    @classmethod
    def of_check(cls, run: CheckRun, *, ascii_only: bool) -> ConsentScreen:
        """The question of a check that asks first."""
        about = f"It {IMPACT_WORDS[run.impact].partition(',')[0]}."
        return cls(f"Run {run.title}?", run.question, about, ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        """The announcement and the two answers."""
        self.set_class(self._ascii_only, "-ascii")
        with Vertical(id="dialog") as box:
            box.border_title = Content(flat(self._title))
            with VerticalScroll(id="dialog-text"):
                yield Static(Content(flat(self._question)), classes="dialog-question")
                yield Static(Content(flat(self._about)), classes="dialog-dim")
            yield Static(Content("y: run it    n, esc: do not"), classes="dialog-keys")
