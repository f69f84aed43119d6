"""A check's form: a row per parameter with the config's value in place, and what is wrong with it in words below."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Button, Checkbox, Input, Select, Static

from infdiag_tui.model import CheckRun, FieldKind, FormField, OfferedCheck, RunState
from infdiag_tui.screens.port import EnginePort
from widgets.check_lines import IMPACT_WORDS
from widgets.ink import flat

POLL_S = 0.05
_HINTS = {FieldKind.WORDS: "several, with spaces between", FieldKind.PAIRS: "KEY=VALUE, several with spaces between"}


class FormScreen(ModalScreen[int | None]):
    """Takes parameters and starts the check; closes with the run's id once they are accepted, with None on Esc.

    Args:
        engine: validates and runs.
        check: what is to be run.
        typed: what was typed before, by parameter; kept up to date.
        ascii_only: draw with ASCII signs.
    """

    CSS_PATH = "check_dialogs.tcss"
    AUTO_FOCUS = "Input, Checkbox, Select, Button"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
    ]

    def __init__(
        self,
        engine: EnginePort,
        check: OfferedCheck,
        typed: dict[str, str],
        *,
        ascii_only: bool,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._check = check
        self._typed = typed
        self._ascii_only = ascii_only
        self._inputs: dict[str, Widget] = {}
        self._problems: dict[str, Static] = {}
        self._run_id: int | None = None
        self._polling: Timer | None = None

    def compose(self) -> ComposeResult:
        """What the check does and lacks, its fields, and the way to start it."""
        self.set_class(self._ascii_only, "-ascii")
        with Vertical(id="dialog", classes="form") as box:
            box.border_title = Content(flat(self._check.title))
            with VerticalScroll(id="dialog-text", can_focus=False):
                yield Static(Content(flat(self._check.about)))
                yield Static(Content(f"It {IMPACT_WORDS[self._check.impact]}."), classes="dialog-dim")
                yield self._problem("", self._check.missing)
                for field in self._check.fields:
                    yield from self._row(field)
            yield Button(Content("Start"), id="start", compact=True)
            yield Static(Content("enter: start    tab: next field    esc: back"), classes="dialog-keys")

    def _row(self, field: FormField) -> ComposeResult:
        text = self._typed.get(field.name, field.value)
        widget = self._widget(field, text)
        # What is set already can still be taken back.
        widget.disabled = bool(field.lacking) and text in ("", field.default)
        self._inputs[field.name] = widget
        with Horizontal(classes="form-row"):
            yield Static(Content(flat(field.name.replace("_", " "))), classes="form-name")
            yield widget
        if field.help:
            yield Static(Content(flat(field.help)), classes="form-help")
        if field.lacking:
            yield Static(Content(flat(f"Not now: {field.lacking}")), classes="form-help")
        yield self._problem(field.name, "")

    def _widget(self, field: FormField, text: str) -> Widget:
        if field.kind is FieldKind.SWITCH:
            return Checkbox(Content("on"), value=(text or field.default) == "true", compact=True)
        if field.kind is FieldKind.CHOICE and (not text or text in field.choices):
            options = [(Content(choice), choice) for choice in field.choices]
            chosen = text or field.default
            return Select(
                options,
                value=chosen if chosen in field.choices else Select.NULL,
                allow_blank=field.default not in field.choices,
                prompt="not set",
                compact=True,
            )
        default = f"default {field.default}" if field.default else _HINTS.get(field.kind, "not set")
        return Input(text, placeholder=flat(default), select_on_focus=False, compact=True)

    def _problem(self, name: str, text: str) -> Static:
        shown = Static(Content(flat(text)), classes="form-problem" if name else "form-problem form-whole")
        shown.display = bool(text)
        self._problems[name] = shown
        return shown

    @property
    def values(self) -> dict[str, str]:
        """What stands in the fields, as text."""
        return {name: _text(widget) for name, widget in self._inputs.items()}

    @on(Input.Submitted)
    @on(Button.Pressed)
    def submit(self) -> None:
        """Hands the values to the engine; it answers in a moment."""
        if self._run_id is not None:
            return
        self._remember()
        self._run_id = self._engine.start_check(self._check.name, self.values)
        self._polling = self.set_interval(POLL_S, self.poll)

    def poll(self) -> None:
        """Closes once the run was accepted, or says what is wrong with which field."""
        run = self._run()
        if run is None or run.state is RunState.STARTING:
            return
        if run.state is not RunState.INVALID:
            self.dismiss(run.id)
            return
        if self._polling is not None:
            self._polling.stop()
        self._run_id = None
        unplaced = [f"{name}: {text}" for name, text in run.problems.items() if name not in self._problems]
        for name, shown in self._problems.items():
            own = run.problems.get(name, "")
            text = "; ".join([*([own] if own else []), *unplaced]) if not name else own
            shown.update(Content(flat(text)))
            shown.display = bool(text)
        wrong = next((widget for name, widget in self._inputs.items() if name in run.problems), None)
        if wrong is not None:
            self.set_focus(wrong)
        else:
            self._problems[""].scroll_visible(animate=False)

    def _run(self) -> CheckRun | None:
        snapshot = self._engine.snapshot()
        return next((run for run in snapshot.checks if run.id == self._run_id), None) if snapshot else None

    def _remember(self) -> None:
        unchanged = {field.name: field.value for field in self._check.fields}
        self._typed.clear()
        self._typed.update({name: text for name, text in self.values.items() if text != unchanged[name]})

    def action_leave(self) -> None:
        """Back to the list; a start under way is taken back."""
        self._remember()
        if self._run_id is not None:
            self._engine.cancel_check(self._run_id)
        self.dismiss(None)


def _text(widget: Widget) -> str:
    if isinstance(widget, Checkbox):
        return "true" if widget.value else "false"
    if isinstance(widget, Select):
        return "" if widget.is_blank() else str(widget.value)
    return widget.value if isinstance(widget, Input) else ""
