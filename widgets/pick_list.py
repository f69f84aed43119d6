"""Rows of which one is picked with the cursor; the cursor stays on its row when others come and go."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from widgets.canvas import LineCanvas
from widgets.ink import Line


class PickList(LineCanvas):
    """A canvas with a cursor. Enter or a click on the cursor's row posts `Picked`; moving it posts `Moved`."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "pick", "Pick", show=False)]

    class Moved(Message):
        """The cursor is on another row."""

        def __init__(self, pick_list: PickList) -> None:
            super().__init__()
            self.pick_list = pick_list

        @property
        def control(self) -> PickList:
            """The list."""
            return self.pick_list

    class Picked(Moved):
        """The cursor's row was picked."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._keys: tuple[Hashable, ...] = ()
        self._at = 0
        self._rows: tuple[Line, ...] = ()

    @property
    def picked(self) -> Hashable | None:
        """The key of the cursor's row, None without rows."""
        return self._keys[self._at] if self._keys else None

    def show_rows(self, rows: Sequence[Line], keys: Sequence[Hashable], *, otherwise: Line = ()) -> None:
        """Shows a row for each key; `otherwise` stands there when there are none."""
        before = self.picked
        self._keys = tuple(keys)
        self._rows = tuple(rows)
        self._at = self._keys.index(before) if before in self._keys else min(self._at, max(0, len(self._keys) - 1))
        self.show(self._rows or (otherwise,), cursor=self._at if self._keys else None)

    def pick(self, key: Hashable) -> None:
        """Puts the cursor on a row."""
        if key in self._keys:
            self._move(self._keys.index(key))

    def _move(self, to: int) -> None:
        if not self._keys:
            return
        to = min(max(0, to), len(self._keys) - 1)
        if to != self._at:
            self._at = to
            self.show(self._rows, cursor=to)
            self.post_message(self.Moved(self))
        self.reveal(to)

    def action_line_up(self) -> None:
        """The row above."""
        self._move(self._at - 1)

    def action_line_down(self) -> None:
        """The row below."""
        self._move(self._at + 1)

    def action_page_up(self) -> None:
        """A page up."""
        self._move(self._at - max(1, self.room.height))

    def action_page_down(self) -> None:
        """A page down."""
        self._move(self._at + max(1, self.room.height))

    def action_scroll_home(self) -> None:
        """The first row."""
        self._move(0)

    def action_scroll_end(self) -> None:
        """The last row."""
        self._move(len(self._keys) - 1)

    def action_pick(self) -> None:
        """Picks the cursor's row."""
        if self._keys:
            self.post_message(self.Picked(self))

    def on_click(self, event: events.Click) -> None:
        """The first click moves the cursor, one on the cursor's row picks it."""
        row = event.y + self.scroll_offset.y
        if row >= len(self._keys):
            return
        if row == self._at:
            self.action_pick()
        else:
            self._move(row)
