"""The report draft as a text editor that two write in: the operator, and infdiag, which fills in what it measures."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.document._document import Document, EditResult, Location, Selection
from textual.document._edit import Edit
from textual.geometry import Offset
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static, TextArea

from infdiag_tui.clock import utc_text
from infdiag_tui.model import DraftView, Snapshot, SourceState
from widgets.edit_history import Change, EditHistory, differences, moved
from widgets.panel import Panel
from widgets.source_state import PanelState

SEND_AFTER_S = 0.05
"""Keystrokes this close together travel to the engine as one edit."""

SendEdit = Callable[[str, int], int]
"""Takes the whole text and the draft version that it was made on; returns the edit's number."""


class ReportEditor(TextArea):
    """A Markdown editor whose text follows the engine's draft around what the operator writes.

    The operator's own text is sent within 0.1 s. A newer draft is merged in only when it contains all that was sent,
    so that what differs is the engine's alone; cursor, selection and scroll position stay on the words they were on,
    and undo takes back only the operator's own changes.

    Args:
        send: hands the whole text to the engine.
    """

    def __init__(self, send: SendEdit, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        # The base class already moves the cursor while it is made.
        self._own = EditHistory()
        self._merging = False
        super().__init__(soft_wrap=True, read_only=True, show_line_numbers=False, max_checkpoints=1, id=id)
        self._send = send
        self._version: int | None = None
        self._last_sent = 0
        self._applied = 0
        self._unsent = False
        self._send_timer: Timer | None = None

    @property
    def waiting(self) -> bool:
        """True while something that the operator wrote is not yet in the engine's draft."""
        return self._unsent or self._applied < self._last_sent

    def sync(self, draft: DraftView, *, merge: bool = True) -> None:
        """Takes note of the engine's draft and, where the operator's words allow it, merges what is new.

        Args:
            draft: the newest draft.
            merge: False only takes note, for a view that is paused.
        """
        if self._version is None:
            self.load_text(one_kind_of_newline(draft.text))
            self._own.clear()
            self._version = draft.version
            self._applied = draft.applied_edit
            self.read_only = False
            return
        self._applied = max(self._applied, draft.applied_edit)
        if merge and draft.version > self._version and not self._unsent and draft.applied_edit >= self._last_sent:
            self._merge(draft.text)
            self._version = draft.version

    def begin(self) -> None:
        """Puts a cursor that was never moved at the end, where notes belong; at the top it would split the title."""
        if self.selection == Selection.cursor((0, 0)):
            self.move_cursor(self.document.end)

    def flush(self) -> None:
        """Sends what the operator wrote and was not sent yet, at once."""
        if self._send_timer is not None:
            self._send_timer.stop()
            self._send_timer = None
        if self._unsent and self._version is not None:
            self._last_sent = self._send(self.text, self._version)
            self._unsent = False

    def edit(self, edit: Edit) -> EditResult:
        """Makes an edit; all but merges are the operator's own."""
        start = self._index(edit.top)
        result = super().edit(edit)
        if not self._merging:
            inserted = self.document.get_text_range(edit.top, result.end_location)
            self._own.record(Change(start, result.replaced_text, inserted), time.monotonic())
            self._changed_by_operator()
        return result

    def undo(self) -> None:
        """Takes back the operator's last own step."""
        self._replay(self._own.undo())

    def redo(self) -> None:
        """Makes the step again that undo took back."""
        self._replay(self._own.redo())

    def move_cursor(self, location: Location, *args: Any, **options: Any) -> None:
        """Moves the cursor; what is typed next is undone by itself."""
        self._own.checkpoint()
        super().move_cursor(location, *args, **options)

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """Scrolls to the cursor, except while merging: the operator may be reading elsewhere."""
        if self._merging:
            return Offset(0, 0)
        return super().scroll_cursor_visible(center, animate)

    def on_unmount(self) -> None:
        """Nothing typed stays behind."""
        self.flush()

    def _replay(self, change: Change | None) -> None:
        if change is None or self.read_only:
            return
        self._merging = True
        try:
            self._apply(change)
        finally:
            self._merging = False
        self.selection = Selection.cursor(self._location(change.inserted_end))
        self._changed_by_operator()

    def _changed_by_operator(self) -> None:
        self._unsent = True
        if self._send_timer is None:
            self._send_timer = self.set_timer(SEND_AFTER_S, self.flush)

    def _merge(self, text: str) -> None:
        before = self.text
        changes = differences(before, one_kind_of_newline(text))
        if not changes:
            return
        start, end = (self._index(location) for location in self.selection)
        top_row = self.wrapped_document.offset_to_location(Offset(0, self.scroll_offset.y))
        top = self._index(top_row)
        below_top = self.scroll_offset.y - self._row_of(top)
        self._merging = True
        try:
            for change in changes:
                self._apply(change)
                self._own.other_changed(change)
                # The last place comes first: what stands before a change is as it was.
                fresh = before[max(0, change.start - 1) : change.start] in ("", "\n")
                start, end, top = (moved(position, change, line_start=fresh) for position in (start, end, top))
            self.selection = Selection(self._location(start), self._location(end))
            if self.scroll_offset.y:
                self.scroll_to(y=self._row_of(top) + below_top, animate=False, immediate=True)
        finally:
            self._merging = False

    def _apply(self, change: Change) -> None:
        self.replace(change.inserted, self._location(change.start), self._location(change.removed_end))

    def _row_of(self, index: int) -> int:
        return self.wrapped_document.location_to_offset(self._location(index)).y

    def _index(self, location: Location) -> int:
        return cast("Document", self.document).get_index_from_location(location)

    def _location(self, index: int) -> Location:
        return cast("Document", self.document).get_location_from_index(index)


class ReportPanel(Panel):
    """The report draft and whether it is safe on disk."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "write", "Write", show=False)]
    HELP = """\
The incident report, in Markdown. infdiag fills in what it measures; whatever you write stays yours, and a line \
that you change is no longer touched. It is saved by itself within a second; the lower edge says when.

Enter or a click starts writing, Esc stops it.
"""
    DEFAULT_CSS = """
    ReportPanel {
        & ReportEditor {
            height: 1fr;
            border: none;
            padding: 0;
            background: transparent;
            scrollbar-size-vertical: 1;
            &:focus { border: none; }
        }
        & > .report--unsaved { height: auto; display: none; color: $text-error; text-style: bold; }
        &.-unsaved > .report--unsaved { display: block; }
        &.-unsaved { border: heavy $error; }
    }
    """

    def __init__(
        self,
        send: SendEdit,
        *,
        sources: tuple[str, ...] = ("engine",),
        id: str | None = None,  # noqa: A002 - Textual's name
        ascii_only: bool = False,
    ) -> None:
        super().__init__("Report draft", sources=sources, id=id, ascii_only=ascii_only)
        self.editor = ReportEditor(send)
        self._draft = DraftView()
        self._unsaved = Static("", classes="report--unsaved", markup=False)

    def compose_body(self) -> Iterable[Widget]:
        """A line for what keeps the draft from the disk, and the editor."""
        return (self._unsaved, self.editor)

    def draw(self, snapshot: Snapshot, *, now: float, paused: bool = False) -> None:
        """Draws the draft; its saved state is current even while the view is paused."""
        draft = snapshot.draft
        self.editor.sync(draft, merge=not paused)
        if draft.save_error != self._draft.save_error:
            text = f"{self.glyphs.problem} NOT SAVED: {draft.save_error}. Tried again all the time; see {draft.path}."
            self._unsaved.update(Content(text if draft.save_error else ""))
        self.set_class(bool(draft.save_error), "-unsaved")
        self._draft = draft
        super().draw(snapshot, now=now, paused=paused)

    def action_write(self) -> None:
        """Puts the cursor into the text."""
        self.editor.begin()
        self.editor.focus()

    def _subtitle(self, _state: PanelState, shown: SourceState, _now: float) -> str:
        saved = saved_words(self._draft, waiting=self.editor.waiting)
        return f"{saved} · {shown}" if shown not in (SourceState.LIVE, SourceState.STARTING) else saved


def saved_words(draft: DraftView, *, waiting: bool) -> str:
    """Whether the draft is safe: `saved 03:04:05Z`, `saving…`, `NOT SAVED: disk full`."""
    if draft.save_error:
        return f"NOT SAVED: {draft.save_error}"
    if waiting or draft.saved_at is None:
        return "saving…"
    return f"saved {utc_text(draft.saved_at)[11:]}"


def one_kind_of_newline(text: str) -> str:
    """`text` as the editor holds it: whatever separates lines becomes a newline."""
    lines = text.splitlines(keepends=True)
    if not lines:
        return ""
    last = lines[-1].splitlines()[0]
    tail = last if last == lines[-1] else f"{last}\n"
    return "".join(f"{line.splitlines()[0]}\n" for line in lines[:-1]) + tail
