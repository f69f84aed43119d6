"""The report editor: what the operator types is never lost, moved or undone by what the engine writes."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.content import Content
from textual.pilot import Pilot

from infdiag_tui.model import DraftView
from infdiag_tui.report.draft import Draft
from tests.screens.scripted import NOW, incident_snapshot
from widgets.report_editor import ReportEditor, ReportPanel, one_kind_of_newline, saved_words

TEMPLATE = "# Report\n- latency: {latency}\n{row}\n- pods: {pods}\n\n### Notes\n\n"


class Engine:
    """The real draft, with edits that wait until the test lets them in, as they do between two threads."""

    def __init__(self) -> None:
        self.draft = Draft(TEMPLATE)
        self.waiting: list[tuple[str, int, int]] = []
        self.sent = 0

    def send(self, text: str, base_version: int) -> int:
        self.sent += 1
        self.waiting.append((text, base_version, self.sent))
        return self.sent

    def apply(self) -> None:
        for text, base, number in self.waiting:
            self.draft.edit(text, base, number)
        self.waiting.clear()

    def view(self) -> DraftView:
        return DraftView(self.draft.text, self.draft.version, self.draft.applied_edit)


class EditorApp(App[None]):
    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.editor = ReportEditor(engine.send)

    def compose(self) -> ComposeResult:
        yield self.editor

    def on_mount(self) -> None:
        self.editor.sync(self.engine.view())
        self.editor.focus()

    def sync(self) -> None:
        self.editor.sync(self.engine.view())


@asynccontextmanager
async def editing(
    engine: Engine | None = None, size: tuple[int, int] = (60, 12)
) -> AsyncIterator[tuple[EditorApp, Pilot[None]]]:
    app = EditorApp(engine or Engine())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


async def settle(app: EditorApp) -> None:
    """All that was typed is in the engine's draft, and all of the draft is on screen."""
    app.editor.flush()
    app.engine.apply()
    app.sync()


async def test_typed_text_reaches_the_engine_on_top_of_the_version_it_was_typed_on() -> None:
    async with editing() as (app, pilot):
        app.editor.move_cursor(app.editor.document.end)
        await pilot.press("o", "o", "m")
        app.editor.flush()
        text, base, number = app.engine.waiting[-1]
        assert text.endswith("oom")
        assert base == 0
        assert number == app.engine.sent
        assert app.editor.waiting
        app.engine.apply()
        app.sync()
        assert not app.editor.waiting


async def test_typed_text_is_sent_by_itself() -> None:
    async with editing() as (app, pilot):
        await pilot.press("x")
        deadline = 100
        while not app.engine.waiting and deadline:
            await pilot.pause(0.02)
            deadline -= 1
        assert app.engine.waiting[0][0].startswith("x# Report")


async def test_a_newer_draft_waits_while_an_edit_is_under_way() -> None:
    async with editing() as (app, pilot):
        await pilot.press("x")
        app.engine.draft.fill({"latency": "210 ms"})
        app.sync()
        assert "210 ms" not in app.editor.text
        app.editor.flush()
        app.sync()
        assert "210 ms" not in app.editor.text
        app.engine.apply()
        app.sync()
        assert app.editor.text == app.engine.draft.text
        assert app.editor.text.startswith("x# Report")
        assert "210 ms" in app.editor.text


async def test_cursor_and_selection_stay_on_their_words_when_lines_above_grow() -> None:
    async with editing() as (app, pilot):
        editor = app.editor
        editor.move_cursor(editor.document.end)
        await pilot.press(*"cause")
        await settle(app)
        await pilot.press("shift+left", "shift+left")
        assert editor.selected_text == "se"
        app.engine.draft.text = app.engine.draft.text.replace("# Report\n", "# Report\nnew line\nanother\n")
        app.engine.draft.version += 1
        app.sync()
        assert "another" in editor.text
        assert editor.selected_text == "se"


async def test_the_view_stays_on_its_lines_when_the_engine_writes_above_it() -> None:
    engine = Engine()
    engine.draft.text = "\n".join(f"line {number}" for number in range(100))
    async with editing(engine) as (app, pilot):
        app.editor.scroll_to(y=40, animate=False)
        await pilot.pause()
        assert app.editor.scroll_offset.y == 40
        engine.draft.text = "top\n" * 5 + engine.draft.text
        engine.draft.version += 1
        app.sync()
        await pilot.pause()
        assert app.editor.scroll_offset.y == 45


async def test_undo_takes_back_the_operators_words_and_leaves_the_engines() -> None:
    async with editing() as (app, pilot):
        app.editor.move_cursor(app.editor.document.end)
        await pilot.press(*"mine")
        await settle(app)
        app.engine.draft.fill({"latency": "210 ms", "pods": "3 of 3 ready"})
        app.sync()
        await pilot.press("ctrl+z")
        assert app.editor.text == TEMPLATE.format(latency="210 ms", pods="3 of 3 ready", row="{row}")
        await pilot.press("ctrl+y")
        assert app.editor.text == TEMPLATE.format(latency="210 ms", pods="3 of 3 ready", row="{row}") + "mine"
        await settle(app)
        assert app.engine.draft.text == app.editor.text


async def test_pasted_text_with_other_newlines_is_kept_and_undone_as_a_whole() -> None:
    async with editing() as (app, pilot):
        before = app.editor.text
        app.editor.insert("one\r\ntwo\rthree")
        assert app.editor.text == "one\ntwo\nthree" + before
        await pilot.press("ctrl+z")
        assert app.editor.text == before


async def test_a_paused_view_takes_no_new_text_but_knows_what_arrived() -> None:
    async with editing() as (app, pilot):
        await pilot.press("x")
        app.editor.flush()
        app.engine.apply()
        app.engine.draft.fill({"latency": "210 ms"})
        app.editor.sync(app.engine.view(), merge=False)
        assert "210 ms" not in app.editor.text
        assert not app.editor.waiting
        app.sync()
        assert "210 ms" in app.editor.text


async def test_what_was_typed_last_is_sent_when_the_editor_goes() -> None:
    async with editing() as (app, pilot):
        await pilot.press("x")
        await app.editor.remove()
        assert app.engine.waiting[-1][0].startswith("x")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("type"), st.sampled_from(["a", "b", "space", "enter", "backspace", "delete"])),
        st.tuples(st.just("move"), st.sampled_from(["up", "down", "left", "right", "home", "end"])),
        st.tuples(st.just("fill"), st.sampled_from(["210 ms", "2.10 s", "", "no data"])),
        st.tuples(st.just("row"), st.sampled_from(["| one |", "| two |", ""])),
        st.tuples(st.just("resize"), st.sampled_from(["40x8", "80x24", "120x12"])),
        st.tuples(st.sampled_from(["flush", "apply", "sync", "pin", "give back"]), st.just("")),
    ),
    max_size=25,
)


@settings(max_examples=15, deadline=None)
@given(steps=STEPS)
async def test_keystrokes_are_never_lost_or_moved_whatever_the_engine_does_meanwhile(
    steps: list[tuple[str, str]],
) -> None:
    """The operator writes between two marks that the engine never touches; a lone editor gets the same keys."""
    engine = Engine()
    engine.draft.text = TEMPLATE + "<<\n\n>>\n"
    async with editing(engine) as (app, pilot):
        editor = app.editor
        row = editor.text.split("\n").index("<<") + 1
        editor.move_cursor((row, 0))
        typed: list[str] = []
        column = pins = 0
        for kind, value in steps:
            if kind == "type" and value in ("a", "b"):
                await pilot.press(value)
                typed.insert(column, value)
                column += 1
            elif kind == "type" and value == "backspace" and column:
                await pilot.press(value)
                column -= 1
                del typed[column]
            elif kind == "move" and value == "left" and column:
                await pilot.press(value)
                column -= 1
            elif kind == "move" and value == "right" and column < len(typed):
                await pilot.press(value)
                column += 1
            elif kind == "fill":
                engine.draft.fill({"latency": value, "pods": value * 2})
            elif kind == "row":
                engine.draft.fill({"row": value or None})
            elif kind == "pin":
                pins += 1
                engine.draft.append(f"- pin {pins}")
            elif kind == "give back":
                engine.draft.give_back(1)
            elif kind == "resize":
                width, height = map(int, value.split("x"))
                await pilot.resize_terminal(width, height)
            elif kind == "flush":
                editor.flush()
            elif kind == "apply":
                engine.apply()
            elif kind == "sync":
                app.sync()
            lines = editor.text.split("\n")
            assert lines[lines.index("<<") + 1] == "".join(typed)
            assert editor.cursor_location == (lines.index("<<") + 1, column)
        await settle(app)
        await settle(app)
        assert editor.text == engine.draft.text
        lines = engine.draft.text.split("\n")
        assert lines[lines.index("<<") + 1] == "".join(typed)
        assert [line for line in lines if line.startswith("- pin ")] == [f"- pin {one + 1}" for one in range(pins)]


def test_saved_words_never_claim_more_than_the_engine_does() -> None:
    assert saved_words(DraftView(saved_at=NOW), waiting=False) == "saved 03:04:05Z"
    assert saved_words(DraftView(saved_at=NOW), waiting=True) == "saving…"
    assert saved_words(DraftView(), waiting=False) == "saving…"
    full = DraftView(saved_at=NOW, save_error="No space left on device")
    assert saved_words(full, waiting=False) == "NOT SAVED: No space left on device"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a\r\nb", "a\nb"), ("a\rb\n", "a\nb\n"), ("", ""), ("\n\n", "\n\n"), ("a\x0cb\u2028", "a\nb\n")],
)
def test_newlines_are_made_alike(text: str, expected: str) -> None:
    assert one_kind_of_newline(text) == expected


def edge(panel: ReportPanel) -> str:
    return Content.from_markup(str(panel.border_subtitle)).plain


class PanelApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.panel = ReportPanel(lambda _text, _base: 1)

    def compose(self) -> ComposeResult:
        yield self.panel


async def test_a_draft_that_cannot_be_saved_says_so_inside_the_panel_and_on_its_edge() -> None:
    app = PanelApp()
    async with app.run_test(size=(80, 20)) as pilot:
        snapshot = incident_snapshot()
        app.panel.draw(snapshot, now=NOW)
        await pilot.pause()
        assert edge(app.panel) == "saved 03:04:03Z"
        broken = dataclasses.replace(snapshot.draft, save_error="No space left on device")
        app.panel.draw(dataclasses.replace(snapshot, draft=broken), now=NOW, paused=True)
        await pilot.pause()
        assert "NOT SAVED: No space left on device" in edge(app.panel)
        assert app.panel.has_class("-unsaved")
        app.panel.draw(snapshot, now=NOW)
        await pilot.pause()
        assert not app.panel.has_class("-unsaved")
        assert edge(app.panel) == "saved 03:04:03Z"
