"""An operator writes for an hour, in a few hundred steps, while the report fills itself in, is saved and restarted.

INFDIAG_EDIT_RUNS=40 tries so many more interleavings than the few of an ordinary run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from textual.app import App, ComposeResult

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.report.draft import built_in_template
from infdiag_tui.session import Session
from infdiag_tui.targets import Target
from tests.support import eventually
from widgets.report_editor import ReportEditor

RUNS = int(os.environ.get("INFDIAG_EDIT_RUNS", "2"))
NEVER_OLDER_S = 1.0
MARKS = ("<<", ">>")

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("type"), st.text(st.sampled_from("ab _*`|é漢🙂"), min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["enter", "backspace", "delete", "undo", "redo", "note", "give back"]), st.just("")),
        st.tuples(st.just("move"), st.sampled_from(["left", "right", "up", "down"])),
        st.tuples(st.just("fill"), st.text(st.sampled_from("0123456789 ms|"), max_size=12)),
        st.tuples(st.just("row"), st.sampled_from(["| one | two | Yes |", ""])),
        st.tuples(st.just("resize"), st.sampled_from(["40x8", "80x24", "120x12"])),
        st.tuples(st.sampled_from(["sync"] * 20 + ["wait"] * 8 + ["restart"]), st.just("")),
    ),
    min_size=40,
    max_size=140,
)


class Desk(App[None]):
    """The editor on a session's draft, and one that nobody but the operator writes in, to compare with."""

    def __init__(self) -> None:
        super().__init__()
        self.session: Session | None = None
        self.edits = 0
        self.editor = ReportEditor(self.send, id="shared")
        self.alone = ReportEditor(lambda _text, _base: 0, id="alone")

    def compose(self) -> ComposeResult:
        yield self.editor
        yield self.alone

    def send(self, text: str, base_version: int) -> int:
        assert self.session is not None
        self.edits += 1
        self.session.edit_draft(text, base_version, self.edits)
        return self.edits


class Operator:
    """Writes the same words into both editors, and looks whether they stay the same."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.folder = folder
        self.versions: list[tuple[float, str]] = []
        """Each text of the draft with the time since when it is that."""

    async def begin(self) -> asyncio.Task[None]:
        """A new session in the folder, with the operator's place at its end."""
        kept = self._asides()
        before = self._on_disk()
        self.desk.edits = 0
        session = Session(Target("m", "oom", ModelConfig(), Config()), (), self.folder, SystemClock())
        self.desk.session = session
        session._draft.edit(session._draft.text + "\n<<\n\n>>\n", session._draft.version, 0)
        self.versions = [(time.monotonic(), session._draft.text)]
        running = asyncio.create_task(session.run())
        await eventually(lambda: session.snapshot().draft.saved_at is not None)
        await eventually(lambda: MARKS[1] in (self._on_disk() or ""))
        if before is not None:
            added = [path.read_text() for path in self._asides() if path not in kept]
            assert before in added, "what an earlier run had saved is kept beside the new report"
        self.desk.editor._version = None
        self.desk.alone._version = None
        view = session.snapshot().draft
        self.desk.editor.sync(view)
        self.desk.alone.load_text("<<\n\n>>\n")
        self.desk.alone._own.clear()
        self.desk.alone.read_only = False
        self.desk.alone._version = 0
        self.desk.editor.move_cursor((self._first_row(), 0))
        self.desk.alone.move_cursor((1, 0))
        return running

    def _asides(self) -> set[Path]:
        return set(self.folder.glob("report-*.md"))

    def _on_disk(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "report.md").read_text(encoding="utf-8")
        return None

    def _first_row(self) -> int:
        return self.desk.editor.text.split("\n").index(MARKS[0]) + 1

    def zone(self, text: str) -> list[str]:
        """The operator's lines in a text."""
        lines = text.split("\n")
        return lines[lines.index(MARKS[0]) + 1 : lines.index(MARKS[1])]

    async def act(self, kind: str, value: str) -> None:
        """One step of the operator or the program."""
        row, column = self.desk.alone.cursor_location
        lines = self.zone(self.desk.alone.text)
        if kind == "move":
            self._move(value, row, column, lines)
        for editor in (self.desk.editor, self.desk.alone):
            if kind == "type":
                editor.insert(value)
            elif kind == "enter":
                editor.insert("\n")
            elif kind == "backspace" and (row > 1 or column):
                editor.action_delete_left()
            elif kind == "delete" and (row < len(lines) or column < len(lines[-1])):
                editor.action_delete_right()
            elif kind == "undo":
                editor.undo()
            elif kind == "redo":
                editor.redo()
        await self._program(kind, value)

    async def _program(self, kind: str, value: str) -> None:
        session = self.desk.session
        assert session is not None
        if kind == "note":
            session.add_note("looked at the pods")
        elif kind == "give back":
            session.give_back_line(3)
        elif kind == "fill":
            session._draft.fill({"latency": value, "memory": f"{value} MiB"})
        elif kind == "row":
            session._draft.fill({"hypothesis_2": value or None})
        elif kind == "sync":
            self.desk.editor.sync(session.snapshot().draft)
        elif kind == "wait":
            await asyncio.sleep(0.06)

    def _move(self, where: str, row: int, column: int, lines: list[str]) -> None:
        down, right = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}[where]
        row = min(max(1, row + down), len(lines))
        column = min(max(0, column + right), len(lines[row - 1]))
        self.desk.alone.move_cursor((row, column))
        self.desk.editor.move_cursor((self._first_row() + row - 1, column))

    def look(self) -> None:
        """Nothing of the operator's is lost or moved, on screen and, but for the last second, on disk."""
        assert self.desk.session is not None
        now, text = time.monotonic(), self.desk.session._draft.text
        if text != self.versions[-1][1]:
            self.versions.append((now, text))
        assert self.zone(self.desk.editor.text) == self.zone(self.desk.alone.text)
        row, column = self.desk.alone.cursor_location
        assert self.desk.editor.cursor_location == (self._first_row() + row - 1, column)
        saved = self._on_disk()
        place = max(at for at, (_, known) in enumerate(self.versions) if known == saved)
        if place + 1 < len(self.versions):
            assert now - self.versions[place + 1][0] <= NEVER_OLDER_S

    async def settle(self) -> None:
        """All that was written is in the draft, and all of it on screen and on disk."""
        assert self.desk.session is not None
        self.desk.editor.flush()
        self.desk.editor.sync(self.desk.session.snapshot().draft)
        assert self.zone(self.desk.session._draft.text) == self.zone(self.desk.alone.text)
        text = self.desk.session._draft.text
        await eventually(lambda: self._on_disk() == self.desk.session._draft.text, NEVER_OLDER_S + 1.0)  # type: ignore[union-attr]
        assert headings(text) == headings(built_in_template().replace("{model}", "m"))


def headings(text: str) -> list[str]:
    """The headings, as a Markdown parser sees them."""
    tokens = MarkdownIt().parse(text)
    return [two.content for one, two in pairwise(tokens) if one.type == "heading_open"]


@settings(max_examples=RUNS, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps=STEPS)
async def test_an_hour_of_edits_loses_and_moves_no_character(steps: list[tuple[str, str]]) -> None:
    desk = Desk()
    with TemporaryDirectory() as folder:
        async with desk.run_test(size=(80, 24)) as pilot:
            operator = Operator(desk, Path(folder))
            running = await operator.begin()
            try:
                for kind, value in [*steps, ("restart", "")]:
                    if kind == "resize":
                        width, height = map(int, value.split("x"))
                        await pilot.resize_terminal(width, height)
                    elif kind == "restart":
                        await operator.settle()
                        running.cancel()
                        await asyncio.gather(running, return_exceptions=True)
                        running = await operator.begin()
                    else:
                        await operator.act(kind, value)
                    operator.look()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
