"""A line of things to pick by mouse: the panels' tabs and the footer's keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from textual import events
from textual.message import Message

from infdiag_tui.actions import PANELS, Action, in_footer, key_name
from infdiag_tui.model import PROBLEM_STATES
from widgets.canvas import LineCanvas
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, line, line_cells
from widgets.source_state import PanelState

_SHORT_NAMES_BELOW = 72
"""Columns below which the panels' names are cut to three letters."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on the bar: what is posted when it is clicked, and how it looks."""

    id: str
    face: Line


class Bar(LineCanvas):
    """One row of items; clicking one posts `Picked`."""

    DEFAULT_CSS = """
    Bar { height: 1; overflow-y: hidden; background: $panel; }
    """
    can_focus = False

    class Picked(Message):
        """An item was clicked."""

        def __init__(self, bar: Bar, item_id: str) -> None:
            super().__init__()
            self.bar = bar
            self.item_id = item_id

        @property
        def control(self) -> Bar:
            """The bar."""
            return self.bar

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._items: tuple[Item, ...] = ()
        self._ends: list[tuple[int, str]] = []

    def set_items(self, items: Iterable[Item]) -> None:
        """Shows `items`, as many as fit."""
        self._items = tuple(items)
        width = self.room.width
        used = 0
        shown: list[Span] = []
        self._ends = []
        for item in self._items:
            size = line_cells(item.face)
            if width and used + size > width:
                break
            used += size
            shown += item.face
            self._ends.append((used, item.id))
        self.show([tuple(shown)])

    def on_line_canvas_resized(self, event: LineCanvas.Resized) -> None:
        """Shows what fits now."""
        event.stop()
        self.set_items(self._items)

    def on_click(self, event: events.Click) -> None:
        """Posts the item under the pointer."""
        for end, item_id in self._ends:
            if event.x < end:
                self.post_message(self.Picked(self, item_id))
                return


def tab_items(
    active: str,
    states: dict[str, PanelState],
    findings: int,
    width: int,
    glyphs: Glyphs,
) -> list[Item]:
    """The panels' tabs: number, name, a sign where a source is in trouble, brackets around the one that is shown."""
    items = []
    for panel in PANELS:
        name = panel.name if width >= _SHORT_NAMES_BELOW else panel.name[:3]
        count = f" {findings}" if panel.id == "findings" and findings else ""
        spans = [Span(f"{panel.number} {name}{count}", Tone.STRONG if panel.id == active else Tone.PLAIN)]
        state = states.get(panel.id)
        if state is not None and state.state in PROBLEM_STATES:
            spans.append(Span(glyphs.state[state.state], Tone.WARN))
        left, right = ("[", "]") if panel.id == active else (" ", " ")
        items.append(Item(panel.id, line(Span(left, Tone.MARK), *spans, Span(right, Tone.MARK))))
    return items


def footer_items(*, editing: bool, paused: bool, zoomed: bool) -> list[Item]:
    """The keys that matter now, the most needed first; while the operator types, only those that are not text."""
    if editing:
        return [
            _key("editor.leave", "esc", "back to commands"),
            _key("editor.undo", "ctrl+z", "undo"),
            _key("editor.redo", "ctrl+y", "redo"),
            _key("quit", "ctrl+q", "quit"),
            _key("palette", "ctrl+p", "commands"),
        ]
    labels = {"pause": "resume" if paused else "pause", "zoom": "unzoom" if zoomed else "zoom"}
    items = [_action_item(action, labels.get(action.id, action.label)) for action in in_footer()]
    return [*items[:1], _key("", f"1-{len(PANELS)}", "panel"), *items[1:]]


def check_items(*, offers: bool, stops: bool, asks: bool, reading: bool) -> list[Item]:
    """The keys of the checks: by the part that has the focus and what its run is doing."""
    enter = "open form" if offers else "answer" if asks else "details"
    return [
        *([] if reading else [_key("enter", "enter", enter)]),
        _key("back", "esc", "stop the run" if stops else "lists" if reading else "back"),
        _key("next_part(1)", "tab", "lists" if reading else "next part"),
        _key("help", "?", "help"),
        _key("app.quit", "ctrl+q", "quit"),
    ]


def _action_item(action: Action, label: str) -> Item:
    return _key(action.id, key_name(action.keys[0]), label)


def _key(item_id: str, key: str, label: str) -> Item:
    return Item(item_id, line(Span(f" {key} ", Tone.MARK), f"{label} "))
