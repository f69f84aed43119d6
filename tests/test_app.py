"""The application around the screen: what it imports, which colours it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rich.segment import Segment
from textual.color import Color

from infdiag_tui.app import InfdiagApp
from infdiag_tui.screens.triage import TriageScreen
from infdiag_tui.terminal import few_colours
from tests.screens.scripted import ManualClock, ScriptedEngine, incident_snapshot
from tests.support import eventually

HEAVY = ("pydantic", "numpy", "httpx", "aiohttp", "kubernetes", "pynvml", "scipy", "orjson", "psutil", "yaml")


def test_the_console_is_imported_without_anything_heavy() -> None:
    code = "import sys, infdiag_tui.app; print([n for n in sys.argv[1:] if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("term", "theme"), [("linux", "ansi-dark"), ("xterm-256color", "textual-dark")])
async def test_terminals_with_few_colours_get_their_own_ones(
    monkeypatch: pytest.MonkeyPatch, term: str, theme: str
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.delenv("TEXTUAL_THEME", raising=False)
    assert few_colours({"TERM": term}) is (theme == "ansi-dark")
    app = InfdiagApp(ScriptedEngine(incident_snapshot()), title="x", clock=ManualClock(), refresh_s=60.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.theme == theme


def app_filtered(app: InfdiagApp, segments: list[Segment]) -> list[Segment]:
    for each in app._filters:
        if each.enabled:
            segments = each.apply(segments, Color(0, 0, 0))
    return segments


async def test_without_colours_the_theme_is_one_whose_text_stays_as_bright_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("TEXTUAL_THEME", raising=False)
    app = InfdiagApp(ScriptedEngine(incident_snapshot()), title="x", clock=ManualClock(), refresh_s=60.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.theme == "ansi-dark"
        colours = {
            segment.style.color.name
            for strip in app.screen._compositor.render_strips()
            for segment in app_filtered(app, list(strip))
            if segment.style is not None and segment.style.color is not None
        }
        assert colours == {"default"}


async def test_a_palette_that_closes_itself_twice_does_not_end_the_console() -> None:
    app = InfdiagApp(ScriptedEngine(incident_snapshot()), title="x", clock=ManualClock(), refresh_s=60.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("ctrl+p")
        palette = app.screen
        palette.dismiss()
        palette.dismiss()  # as for the second click of a double click beside it, which was already waiting
        await pilot.pause()
        assert app.screen is app.triage


async def test_a_key_whose_action_fails_says_so_and_leaves_the_console_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: TriageScreen) -> None:
        raise KeyError(1)

    monkeypatch.setattr(TriageScreen, "action_zoom", broken)
    app = InfdiagApp(ScriptedEngine(incident_snapshot()), title="x", clock=ManualClock(), refresh_s=60.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await eventually(lambda: app.triage is not None and app.triage.board.panels)
        await pilot.press("z")
        assert [note.message for note in app._notifications] == [
            "That did not work: a defect (KeyError). Watching goes on; infdiag.log has the details."
        ]
        await pilot.press("2")
        assert app.triage is not None
        assert app.triage.board.active == "pods"
    assert app.defect is None


async def test_ctrl_c_says_in_plain_words_how_to_quit() -> None:
    app = InfdiagApp(ScriptedEngine(incident_snapshot()), title="x", clock=ManualClock(), refresh_s=60.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("ctrl+c")
        assert [note.message for note in app._notifications] == ["Press q to quit; while you type, ctrl+q."]
