"""One line of text for the report's timeline."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static


class NoteScreen(ModalScreen[str | None]):
    """Asks for a note; Enter adds it with the present time, Esc leaves it.

    Args:
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "check_dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Leave", show=False)]

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__()
        self._ascii_only = ascii_only

    def compose(self) -> ComposeResult:
        """A line to type in and its keys."""
        self.set_class(self._ascii_only, "-ascii")
        with Vertical(id="dialog", classes="-note") as box:
            box.border_title = Content("Note for the timeline")
            yield Input(placeholder="what was done or seen, such as: rolled back to 1.8", max_length=500)
            yield Static(Content("enter: add with the present time    esc: do not"), classes="dialog-keys")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)
