"""A window on the log: draws only the rows in view, follows the tail until the operator scrolls, then holds still."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from infdiag_tui.model import LogLine, LogView
from widgets.canvas import LineCanvas
from widgets.glyphs import ASCII, UNICODE
from widgets.ink import Line, Tone, toned
from widgets.log_filter import LogFilter
from widgets.log_rows import LogRows
from widgets.log_sources import source_labels
from widgets.log_text import LogLayout, render_row, source_room

_WHEEL_ROWS = 3
_SIDE_COLUMNS = 16


class LogTail(LineCanvas):
    """Log entries by row.

    While it follows, each newer view is shown at once. As soon as the operator moves, the entries in view are held
    (they stay even when the ring drops them) and newer ones are only counted; at the end of them following resumes.
    """

    DEFAULT_CSS = "LogTail { overflow-y: hidden; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home,g", "scroll_home", "Oldest", show=False),
        Binding("end,G", "follow", "Follow", show=False),
        Binding("left", "sideways(-1)", "Left", show=False),
        Binding("right", "sideways(1)", "Right", show=False),
        Binding("enter", "fold", "Unfold", show=False),
    ]

    class Moved(Message):
        """The place, the filter or what is held changed: what is said about it must too."""

    def __init__(self, *, id: str | None = None, ascii_only: bool = False) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.rows = LogRows(LogLayout(80, glyphs=ASCII if ascii_only else UNICODE))
        self.following = True
        self.dimmed = False
        """True while no source vouches that this is the newest."""
        self._shown = LogView()
        self._latest = LogView()
        self._wrap = False
        self._selected: int | None = None
        self._top = 0
        self._left = 0

    @property
    def selected(self) -> LogLine | None:
        """The entry that the cursor is on; while following, the newest in view."""
        seq = self._selected if self._selected is not None else self.rows.step(None, 0)
        return self.rows.entry(seq) if seq is not None and len(self.rows) else None

    @property
    def new_entries(self) -> int:
        """Entries that arrived since what is shown was held."""
        return max(0, self._latest.total - self._shown.total)

    @property
    def wrapped(self) -> bool:
        """True while long lines are wrapped."""
        return self._wrap

    @property
    def filter(self) -> LogFilter:
        """The filter in force."""
        return self.rows.filter

    def show_logs(self, view: LogView, *, hold: bool = False) -> None:
        """Takes a newer view; with `hold` (a paused screen) or while scrolled it is only counted."""
        self._latest = view
        if self.following and not hold:
            self._adopt()
        self._paint()

    def set_filter(self, chosen: LogFilter) -> None:
        """Shows only what `chosen` accepts, of everything that has arrived; the place is kept where possible."""
        kept, seq = (None, None) if self.following else (self.selected, self._selected)
        other_ring = chosen.least.is_error is not self.filter.least.is_error
        self._shown = self._latest
        self.rows.set_filter(chosen, self._shown)
        if other_ring and kept is not None:
            seq = self.rows.seq_of(kept)
        self._selected = None
        if seq is not None:
            self._select(self.rows.step(seq, 0))
        self._paint()
        self.post_message(self.Moved())

    def toggle_wrap(self) -> None:
        """Wraps long lines, or lets them run out to the right."""
        self._wrap = not self._wrap
        self._left = 0
        self._paint()
        if self._selected is not None:
            self._select(self._selected)

    def jump_to_error(self, direction: int) -> bool:
        """Moves to the next (1) or previous (-1) error among what is shown; False when there is none."""
        if direction > 0 and not self.following:
            self._adopt_and_keep()
        seq = self.rows.find_error(self._selected, direction)
        if seq is None:
            return False
        self._hold()
        self._select(seq)
        return True

    def position(self) -> tuple[int, int]:
        """The first row in view counted from 1 (0 without any), and all rows."""
        return (self._top + 1 if self.rows.row_count else 0), self.rows.row_count

    def action_follow(self) -> None:
        """Goes to the newest entry and stays there."""
        self.following = True
        self._selected = None
        self._left = 0
        self._adopt()
        self._paint()
        self.post_message(self.Moved())

    def action_fold(self) -> None:
        """Shows all of an entry's text, or folds it again."""
        seq = self._selected if self._selected is not None else self.rows.step(None, 0)
        if seq is None:
            return
        self._hold()
        self.rows.toggle_whole(seq)
        self._select(seq)

    def action_sideways(self, direction: int) -> None:
        """Scrolls lines that are not wrapped."""
        self._left = 0 if self._wrap else max(0, self._left + direction * _SIDE_COLUMNS)
        self._paint()

    def action_line_up(self) -> None:
        """The entry above."""
        self._step(-1)

    def action_line_down(self) -> None:
        """The entry below."""
        self._step(1)

    def action_page_up(self) -> None:
        """A page of rows up."""
        self._move_rows(-max(1, self.room.height - 1))

    def action_page_down(self) -> None:
        """A page of rows down."""
        self._move_rows(max(1, self.room.height - 1))

    def action_scroll_home(self) -> None:
        """The oldest entry."""
        self._hold()
        self._select(self.rows.step(-1, 0))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel."""
        event.stop()
        self._move_rows(-_WHEEL_ROWS)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel."""
        event.stop()
        self._move_rows(_WHEEL_ROWS)

    def on_click(self, event: events.Click) -> None:
        """Selects an entry; a click on the selected one unfolds it."""
        row = self._top + event.get_content_offset_capture(self).y
        if not 0 <= row < self.rows.row_count:
            return
        seq, _ = self.rows.at(row)
        if seq == self._selected:
            self.action_fold()
            return
        self._hold()
        self._select(seq)

    def _adopt(self) -> None:
        """Shows the newest view."""
        self._shown = self._latest
        self.rows.update(self._shown)
        self._top = max(0, self.rows.row_count - self.room.height)

    def _adopt_and_keep(self) -> None:
        """Takes newer entries in below, with the present ones where they are."""
        offset = self.rows.row_of(self._selected) - self._top if self._selected is not None else 0
        self._adopt()
        self._selected = self.rows.step(self._selected if self._selected is not None else -1, 0)
        if self._selected is not None:
            self._top = max(0, self.rows.row_of(self._selected) - offset)

    def _hold(self) -> None:
        """Stops following."""
        if self.following:
            self.following = False
            self.post_message(self.Moved())

    def _step(self, by: int) -> None:
        if not len(self.rows):
            return
        newest = self.rows.step(None, 0)
        if by > 0 and (self.following or self._selected in (None, newest)):
            self._continue_below()
            return
        self._hold()
        self._select(self.rows.step(self._selected, by) if self._selected is not None else newest)

    def _continue_below(self) -> None:
        """At the end of what is held: the entries that came since, or following when there are none."""
        if self.following:
            return
        before = self._selected
        self._adopt_and_keep()
        following = self.rows.step(self._selected, 1)
        if following is None or following == before:
            self.action_follow()
        else:
            self._select(following)

    def _move_rows(self, by: int) -> None:
        if not self.rows.row_count:
            return
        last_top = max(0, self.rows.row_count - self.room.height)
        if by > 0 and self._top >= last_top:
            if not self.following and not self.new_entries:
                self.action_follow()
                return
            if not self.following:
                self._adopt_and_keep()
                last_top = max(0, self.rows.row_count - self.room.height)
        if by < 0:
            self._hold()
        if self.following:
            return
        self._top = min(last_top, max(0, self._top + by))
        first, _ = self.rows.at(self._top)
        last, _ = self.rows.at(min(self.rows.row_count, self._top + max(1, self.room.height)) - 1)
        self._selected = min(max(self._selected if self._selected is not None else last, first), last)
        self._paint()
        self.post_message(self.Moved())

    def _select(self, seq: int | None) -> None:
        """Puts the cursor on an entry and brings it into view, its first row before all others."""
        self._selected = seq
        if seq is not None:
            row, end = self.rows.row_of(seq), self.rows.row_of(seq + 1)
            height = max(1, self.room.height)
            if row < self._top:
                self._top = row
            elif end > self._top + height:
                self._top = min(row, end - height)
        self._paint()
        self.post_message(self.Moved())

    def _paint(self) -> None:
        width, height = self.room
        if width <= 0 or height <= 0:
            return
        glyphs = self.rows.layout.glyphs
        labels = source_labels(self._shown.sources, source_room(width), glyphs.ellipsis)
        self.rows.set_layout(LogLayout(width, self._wrap, glyphs, labels))
        last_top = max(0, self.rows.row_count - height)
        self._top = last_top if self.following else min(self._top, last_top)
        lines: list[Line] = []
        cursor = None
        for row in range(self._top, min(self._top + height, self.rows.row_count)):
            seq, part = self.rows.at(row)
            if seq == self._selected and part == 0:
                cursor = len(lines)
            lines.append(self._line(seq, part))
        if not lines:
            lines.append(toned(self._nothing(), Tone.DIM))
        self.show(lines, cursor=cursor)

    def _line(self, seq: int, part: int) -> Line:
        drawn = render_row(
            self.rows.entry(seq),
            part,
            self.rows.layout,
            whole=seq in self.rows.whole,
            left=self._left,
            matched=self.filter,
        )
        return tuple(span._replace(tone=Tone.DIM) for span in drawn) if self.dimmed else drawn

    def _nothing(self) -> str:
        if not self._shown.total:
            return "No log lines yet."
        return f"None of the lines kept is {self.filter.describe()}. Esc clears the filter."
