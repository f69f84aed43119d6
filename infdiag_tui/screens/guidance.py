"""The guidance page on the hypothesis at hand, and the companion tools that serve it, beside the data."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Markdown, Static

from infdiag_tui.model import GuidanceView
from widgets.ink import flat

_MOST = 9
"""Commands that a digit copies."""


class GuidanceScreen(ModalScreen[None]):
    """A page to read; a digit copies the command with that number (OSC 52), Esc or `i` closes it.

    Args:
        view: the page and the companions.
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "guidance.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,i,q", "dismiss", "Close", show=False),
        *(
            Binding(str(number), f"copy({number})", f"Copy command {number}", show=False)
            for number in range(1, _MOST + 1)
        ),
    ]

    def __init__(self, view: GuidanceView, *, ascii_only: bool) -> None:
        super().__init__()
        self._view = view
        self._ascii_only = ascii_only

    def compose(self) -> ComposeResult:
        """The commands that are at hand first, then the page."""
        self.set_class(self._ascii_only, "-ascii")
        with Vertical(id="guidance-box") as box:
            box.border_title = Content(flat(self._view.title))
            box.border_subtitle = "1-9 copy a command, esc closes" if self._view.offers else "esc closes"
            with VerticalScroll(id="guidance-text") as scroll:
                scroll.can_focus = True
                for number, offer in enumerate(self._view.offers[:_MOST], 1):
                    where = f" ({offer.place})" if offer.place else ""
                    yield Static(Content(f"{number}  {flat(offer.tool)}{where}: {flat(offer.purpose)}"))
                    yield Static(Content(f"   {flat(offer.command)}"), classes="guidance-command")
                    if offer.note:
                        yield Static(Content(f"   {flat(offer.note)}"), classes="guidance-dim")
                yield Markdown(self._view.text, open_links=False)

    def on_mount(self) -> None:
        """Arrow keys scroll at once."""
        self.query_one("#guidance-text").focus()

    def action_copy(self, number: int) -> None:
        """Copies a command to the clipboard of the operator's own terminal."""
        if number > len(self._view.offers):
            return
        offer = self._view.offers[number - 1]
        self.app.copy_to_clipboard(offer.command)
        self.notify(f"Copied the command of {offer.tool} ({len(offer.command)} characters).", markup=False)
