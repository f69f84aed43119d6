"""The guidance page on the hypothesis at hand, and the companion tools that serve it, beside the data."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Markdown, Static

from infdiag_tui.companions.running import TIME_LIMIT_S
from infdiag_tui.model import CompanionOffer, GuidanceView, Impact
from infdiag_tui.screens.check_consent import ConsentScreen
from infdiag_tui.screens.command import CommandScreen
from infdiag_tui.screens.hand_over import hand_over
from infdiag_tui.screens.port import EnginePort
from widgets.ink import flat

_MOST = 9
"""Commands that a digit copies or runs."""
_LOOK_EVERY_S = 0.5
_IMPACT_WORDS = {
    Impact.READ_ONLY: "only looks",
    Impact.LOAD: "puts load on what it runs on",
    Impact.EXEC: "may be felt by what runs there",
}


class _Commands(Vertical):
    """The commands with their numbers; what is new takes their place, and the page stays where it is scrolled to."""

    def __init__(self, view: GuidanceView) -> None:
        super().__init__(id="guidance-commands")
        self._view = view

    def show(self, view: GuidanceView) -> None:
        """Draws what is known now."""
        self._view = view
        self.refresh(recompose=True)

    def compose(self) -> ComposeResult:
        """A line on what it is for and where, the command, what to know before."""
        for number, offer in enumerate(self._view.offers[:_MOST], 1):
            where = f" ({flat(offer.where)})" if offer.where else ""
            yield Static(Content(f"{number}  {flat(offer.tool)}{where}: {flat(offer.purpose)}"))
            yield Static(Content(f"   {flat(offer.command)}"), classes="guidance-command")
            if offer.note:
                yield Static(Content(f"   {flat(offer.note)}"), classes="guidance-dim")
        if self._view.beside:
            yield Static(Content(flat(self._view.beside)), classes="guidance-dim")


class GuidanceScreen(ModalScreen[None]):
    """A page to read, with commands: a digit copies one (OSC 52), after `r` a digit runs one, which asks first.

    Args:
        view: the page and the companions.
        engine: tells what is known now, and runs commands.
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "guidance.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,i,q", "dismiss", "Close", show=False),
        Binding("r", "running", "Run a command", show=False),
        Binding("b", "beside", "Look beside the model", show=False),
        *(
            Binding(str(number), f"take({number})", f"Copy or run command {number}", show=False)
            for number in range(1, _MOST + 1)
        ),
    ]

    def __init__(self, view: GuidanceView, engine: EnginePort, *, ascii_only: bool) -> None:
        super().__init__()
        self._view = view
        self._engine = engine
        self._ascii_only = ascii_only
        self._runs = False
        self._commands = _Commands(view)

    def compose(self) -> ComposeResult:
        """The commands that are at hand first, then the page."""
        self.set_class(self._ascii_only, "-ascii")
        with Vertical(id="guidance-box") as box:
            box.border_title = Content(flat(self._view.title))
            box.border_subtitle = self._keys()
            with VerticalScroll(id="guidance-text") as scroll:
                scroll.can_focus = True
                yield self._commands
                yield Markdown(self._view.text, open_links=False)

    def on_mount(self) -> None:
        """Arrow keys scroll at once."""
        self.query_one("#guidance-text").focus()
        self.set_interval(_LOOK_EVERY_S, self._follow)

    def action_running(self) -> None:
        """From now on a digit runs a command, or copies it again."""
        self._runs = not self._runs
        self.query_one("#guidance-box", Vertical).border_subtitle = self._keys()

    def action_beside(self) -> None:
        """Asks, then looks for tools beside the model."""

        def decided(agreed: bool | None) -> None:
            if agreed:
                self._engine.look_beside_model()

        question = f"Run `command -v` for each known tool, once, {self._view.way or 'beside the model'}."
        about = "It runs a command beside the model and changes nothing."
        self._consent("Look for tools beside the model?", question, about, decided)

    def action_take(self, number: int) -> None:
        """Copies a command to the clipboard of the operator's own terminal, or runs it."""
        if number > len(self._view.offers):
            return
        offer = self._view.offers[number - 1]
        if self._runs:
            self._run(offer)
            return
        self.app.copy_to_clipboard(offer.command)
        self.notify(f"Copied the command of {offer.tool} ({len(offer.command)} characters).", markup=False)

    def _run(self, offer: CompanionOffer) -> None:
        if not offer.where:
            self.notify(f"{offer.tool} is no command to run here.", markup=False)
            return

        def decided(agreed: bool | None) -> None:
            if agreed and offer.interactive:
                self._hand_over(offer)
            elif agreed:
                self.app.push_screen(CommandScreen(offer, self._engine, ascii_only=self._ascii_only))

        how = "It takes over the terminal until it ends." if offer.interactive else f"For {TIME_LIMIT_S:.0f} s at most."
        exact = shlex.join(offer.beside.argv) if offer.beside is not None else offer.command
        about = f"It runs {offer.where} and {_IMPACT_WORDS[offer.impact]}. {how}"
        self._consent(f"Run {offer.tool}?", exact, about, decided)

    def _hand_over(self, offer: CompanionOffer) -> None:
        """Gives the terminal to a program with a screen of its own; collecting goes on in the engine's thread."""
        try:
            with self.app.suspend():
                code = hand_over(offer.argv)
        except SuspendNotSupported:
            self.notify("This terminal cannot be handed over; copy the command instead.", markup=False)
        except OSError as error:
            self.notify(f"{offer.tool} cannot be started: {error.strerror}", markup=False)
        else:
            self.notify(f"{offer.tool} ended with exit code {code}.", markup=False)

    def _consent(self, title: str, question: str, about: str, decided: Callable[[bool | None], None]) -> None:
        self.app.push_screen(ConsentScreen(title, question, about, ascii_only=self._ascii_only), decided)

    def _keys(self) -> str:
        digits = "1-9 run a command (asks first), r copy" if self._runs else "1-9 copy a command, r run"
        beside = "b tools beside the model"
        return f"{digits}, {beside}, esc closes" if self._view.offers else f"{beside}, esc closes"

    def _follow(self) -> None:
        """Shows what has been found since; the page itself stays as it was opened."""
        snapshot = self._engine.snapshot()
        view = snapshot.guidance if snapshot is not None else None
        if view is None or view.name != self._view.name or view == self._view or not self.is_current:
            return
        self._view = view
        self._commands.show(view)
        self.query_one("#guidance-box", Vertical).border_subtitle = self._keys()
