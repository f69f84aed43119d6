"""The help over the screen: what the focused panel shows, what ails its sources, and every key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from infdiag_tui.actions import ACTIONS, Action, Scope, key_names
from widgets.canvas import LineCanvas
from widgets.ink import Line, Span, Tone, line, wrap

_HEADINGS = {
    Scope.BOARD: "Keys while you are not typing",
    Scope.EVERYWHERE: "Keys that always work",
    Scope.LOGS: "Keys in the logs",
    Scope.CHECKS: "Keys in the checks",
    Scope.EDITOR: "Keys in the report editor",
}
_MOVING = (
    ("up, down, k, j", "One line."),
    ("pgup, pgdn", "One page."),
    ("home, end, g, G", "First and last line."),
    ("mouse", "A click focuses a panel, picks a tab or presses a key of the footer; the wheel scrolls."),
)
_KEY_COLUMN = 17


class HelpScreen(ModalScreen[None]):
    """Scrollable help; `?`, Esc or q closes it.

    Args:
        title: the focused panel's name.
        text: its help, paragraphs separated by empty lines.
        problems: sentences about its sources.
    """

    CSS_PATH = "help.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q,enter", "dismiss", "Close", show=False),
    ]

    def __init__(self, title: str, text: str, problems: Sequence[str]) -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._problems = tuple(problems)
        self._canvas = LineCanvas(id="help-text")

    def compose(self) -> ComposeResult:
        """One bordered canvas."""
        with Vertical(id="help-box") as box:
            box.border_title = "Help"
            box.border_subtitle = "esc closes"
            yield self._canvas

    def on_mount(self) -> None:
        """Arrow keys scroll at once."""
        self._canvas.focus()

    def on_line_canvas_resized(self) -> None:
        """Wraps the text to the new width."""
        width = self._canvas.room.width
        if width > 0:
            self._canvas.show(help_lines(self._title, self._text, self._problems, ACTIONS, width))


def help_lines(
    title: str,
    text: str,
    problems: Sequence[str],
    actions: Sequence[Action],
    width: int,
) -> list[Line]:
    """The panel's purpose and troubles, then every key by where it works, wrapped to `width` columns."""
    rows: list[Line] = [line(Span(title, Tone.HEAD))]
    for problem in problems:
        rows += [*(line(Span(row, Tone.WARN)) for row in wrap(problem, width)), ()]
    rows += _prose(text, width)
    for scope, heading in _HEADINGS.items():
        chosen = [action for action in actions if action.scope is scope]
        if not chosen:
            continue
        rows += [(), line(Span(heading, Tone.HEAD))]
        for action in chosen:
            rows += _entry(key_names(action), f"{action.title}. {action.help}", width)
    rows += [(), line(Span("Keys and mouse inside a panel", Tone.HEAD))]
    for names, meaning in _MOVING:
        rows += _entry(names, meaning, width)
    return rows


def _prose(text: str, width: int) -> list[Line]:
    """Simple Markdown as plain rows: paragraphs, lists; headings are left out since the title stands above."""
    blocks: list[str] = []
    for row in text.strip().splitlines():
        new_block = not blocks or not row.strip() or row.startswith(("- ", "#")) or not blocks[-1]
        if new_block:
            blocks.append(row.strip())
        else:
            blocks[-1] += f" {row.strip()}"
    kept = [block.replace("`", "").replace("**", "") for block in blocks if not block.startswith("#")]
    while kept and not kept[0]:
        del kept[0]
    return [line(row) for block in kept for row in (wrap(block, width) or [""])]


def _entry(names: str, meaning: str, width: int) -> list[Line]:
    rows = wrap(meaning, max(8, width - _KEY_COLUMN))
    return [
        line(Span((names if number == 0 else "").ljust(_KEY_COLUMN), Tone.MARK), row) for number, row in enumerate(rows)
    ]
