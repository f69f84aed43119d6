"""A scrolling area of toned lines that repaints only the columns that changed: each byte travels over an SSH link."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from widgets.ink import Line, Span, Tone, fit, in_ascii, line_cells


class LineCanvas(ScrollView):
    """Draws lines it is handed, literally; scrolls when there are more than fit."""

    DEFAULT_CSS = """
    LineCanvas {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: transparent;
        & > .tone--plain { color: $foreground; }
        & > .tone--dim { color: $text-muted; }
        &:ansi > .tone--dim { text-style: dim; }
        & > .tone--strong { color: $foreground; text-style: bold; }
        & > .tone--head { color: $text-muted; text-style: underline; }
        & > .tone--good { color: $text-success; }
        & > .tone--warn { color: $text-warning; text-style: bold; }
        & > .tone--bad { color: $text-error; text-style: bold; }
        & > .tone--mark { color: $text-primary; text-style: bold; }
        & > .tone--found { color: $text-primary; text-style: bold underline; }
        & > .canvas--cursor { background: $primary 30%; text-style: bold; }
        &:ansi > .canvas--cursor, &:nocolor > .canvas--cursor { text-style: reverse; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {*(f"tone--{tone}" for tone in Tone), "canvas--cursor"}
    """One class per tone, and the line that the cursor is on while the canvas has the focus."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "line_up", "Up", show=False),
        Binding("down,j", "line_down", "Down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("home,g", "scroll_home", "First line", show=False),
        Binding("end,G", "scroll_end", "Last line", show=False),
    ]
    can_focus = True

    class Resized(Message):
        """The canvas has another size: whoever drew on it must draw again."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self.ascii_only = False
        """True where the terminal lacks the program's signs."""
        self._lines: tuple[Line, ...] = ()
        self._cursor: int | None = None
        self.repainted_lines = 0
        """Lines marked for repainting so far; rests while the content does."""

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines that are shown, fitted to the width."""
        return self._lines

    @property
    def room(self) -> Size:
        """Columns and rows for lines; one column is kept free for the scroll bar."""
        width, height = self.container_size
        return Size(max(0, width - 1), height)

    @property
    def cursor_line(self) -> int | None:
        """The line that the cursor is on."""
        return self._cursor

    def show(self, lines: Iterable[Sequence[Span]], *, cursor: int | None = None) -> None:
        """Shows `lines`, repainting what differs from before, with the cursor on line `cursor`."""
        width = self.room.width
        fresh = tuple(fit(spans, width) for spans in lines)
        if self.ascii_only:
            fresh = tuple(tuple(Span(in_ascii(text), tone) for text, tone in spans) for spans in fresh)
        before, old_cursor = self._lines, self._cursor
        self._lines, self._cursor = fresh, cursor
        size = Size(width, len(fresh))
        if size != self.virtual_size:
            # Assigning it would lay out the whole screen anew, 20 ms and more, though only the scroll bar is touched.
            self.set_reactive(Widget.virtual_size, size)
            if self.styles.overflow_y == "auto":
                self.show_vertical_scrollbar = len(fresh) > self.container_size.height
            self._scroll_update(size)
        top, height = self.scroll_offset.y, self.container_size.height
        for y in range(top, min(top + height, max(len(before), len(fresh)))):
            old = before[y] if y < len(before) else ()
            new = fresh[y] if y < len(fresh) else ()
            if (y == cursor) != (y == old_cursor):
                self._repaint(y, 0, width + 1)
            elif old != new:
                self._repaint(y, *_changed_columns(old, new))

    def _repaint(self, y: int, start: int, end: int) -> None:
        self.repainted_lines += 1
        self.refresh(Region(start, y - self.scroll_offset.y, end - start, 1))

    def reveal(self, y: int) -> None:
        """Scrolls as little as needed to have line `y` in view."""
        top, height = self.scroll_offset.y, self.container_size.height
        if y < top:
            self.scroll_to(y=y, animate=False)
        elif height and y >= top + height:
            self.scroll_to(y=y - height + 1, animate=False)

    def render_line(self, y: int) -> Strip:
        """One row of the view."""
        width = self.size.width
        # Kept by Textual as every tone is; the widget's own `rich_style` is worked out anew for each line, at 0.2 ms.
        base = self.get_component_rich_style(f"tone--{Tone.PLAIN}")
        index = y + self.scroll_offset.y
        if index >= len(self._lines):
            return Strip.blank(width, base)
        segments = [Segment(text, self.get_component_rich_style(f"tone--{tone}")) for text, tone in self._lines[index]]
        strip = Strip(segments).extend_cell_length(width, base).crop(0, width)
        if index == self._cursor and self.has_focus:
            strip = strip.apply_style(self.get_component_rich_style("canvas--cursor", partial=True))
        return strip

    def on_resize(self, _event: events.Resize) -> None:
        """Asks for lines of the new size."""
        self.post_message(self.Resized())

    def on_focus(self) -> None:
        """The cursor line shows the focus."""
        self._repaint_cursor()

    def on_blur(self) -> None:
        """The cursor line no longer shows the focus."""
        self._repaint_cursor()

    def _repaint_cursor(self) -> None:
        if self._cursor is not None:
            self._repaint(self._cursor, 0, self.room.width + 1)

    def action_line_up(self) -> None:
        """Scrolls one line up."""
        self.scroll_relative(y=-1, animate=False)

    def action_line_down(self) -> None:
        """Scrolls one line down."""
        self.scroll_relative(y=1, animate=False)


def _changed_columns(old: Line, new: Line) -> tuple[int, int]:
    """The columns that differ: spans that are alike at both ends need no repaint."""
    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    start = line_cells(new[:head])
    old_end, new_end = line_cells(old), line_cells(new)
    if old_end != new_end:
        return start, max(old_end, new_end)
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    return start, new_end - line_cells(new[len(new) - tail :])
