"""What the operator adds to the report with a key: pins, notes, lines given back, footnotes."""

from __future__ import annotations

from tests.screens.test_triage import console


async def test_what_a_panel_shows_is_pinned_to_the_report() -> None:
    async with console() as found:
        for key, said in (("1", "GPU 0"), ("2", "restarts"), ("4", "p50"), ("3", "log of")):
            await found.pilot.press(key, "p")
            assert said in found.engine.notes[-1], key
            assert "\n" not in found.engine.notes[-1]
        assert len(found.engine.notes) == 4


async def test_a_timeline_note_is_asked_for_and_can_be_left() -> None:
    async with console() as found:
        await found.pilot.press("t", *"rolled back", "enter")
        await found.pilot.press("t", *"never mind", "escape")
        await found.pilot.press("t", "enter")
        assert found.engine.notes == ["rolled back"]


async def test_the_line_under_the_cursor_is_given_back_in_the_editor_only() -> None:
    async with console() as found:
        await found.pilot.press("ctrl+r")
        assert found.engine.given_back == []
        await found.pilot.press("6")
        found.screen.report_panel.editor.move_cursor((4, 0))
        await found.pilot.press("ctrl+r")
        assert found.engine.given_back == [4]


async def test_footnotes_are_switched() -> None:
    async with console() as found:
        await found.pilot.press("ctrl+t")
        assert found.engine.footnotes is False
