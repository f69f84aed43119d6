from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from textual.geometry import Region

from infdiag_tui.model import PROBLEM_STATES, Snapshot, SourceState
from tests.widgets.samples import HOSTILE, NOW, broken, live, quiet
from tests.widgets.stage import Stage, screen_text, settle, staged
from widgets.ink import Line, Span, Tone, line
from widgets.panel import LinePanel


class Numbered(LinePanel):
    """Draws the snapshot's number in the last of a few lines."""

    drawn = 0

    def render_lines_for(self, snapshot: Snapshot, now: float, width: int, height: int) -> Sequence[Line]:
        self.drawn += 1
        return [line("first"), line("second"), line(Span("number "), Span(str(snapshot.number), Tone.BAD))]


def with_source(state: SourceState, reason: str = "", remedy: str = "", *, number: int = 1) -> Snapshot:
    source = live("a") if state is SourceState.LIVE else broken("a", state, reason, remedy)
    return replace(quiet(), sources={"a": source}, number=number)


def panel(title: str = "Panel") -> Numbered:
    return Numbered(title, sources=("a",))


@pytest.mark.parametrize("state", [state for state in SourceState if state is not SourceState.PAUSED])
async def test_every_state_is_told_by_word_sign_and_class(state: SourceState) -> None:
    shown = panel()
    async with staged(shown, with_source(state)) as pilot:
        text = screen_text(pilot.app)
        assert f"{shown.glyphs.state[state]} {state}" in text.splitlines()[-1]
        assert (f"{shown.glyphs.state[state]} {state}" in text.splitlines()[0]) is (state in PROBLEM_STATES)
        assert {name for name in shown.classes if name.startswith("-")} == {f"-{state}"}


async def test_reason_and_remedy_stand_above_the_old_data_which_is_dimmed() -> None:
    shown = panel()
    snapshot = with_source(SourceState.UNAVAILABLE, "connection refused", "start the server")
    async with staged(shown, snapshot) as pilot:
        rows = screen_text(pilot.app).splitlines()
        assert "a unavailable: connection refused. Try: start the server." in rows[1]
        assert "first" in rows[2]
        assert {span.tone for row in shown.canvas.lines for span in row} == {Tone.DIM}
        assert "last data 23 s ago · retry in 2 s" in rows[-1]


async def test_the_notice_goes_when_the_source_is_back() -> None:
    shown = panel()
    async with staged(shown, with_source(SourceState.FORBIDDEN, "no right")) as pilot:
        await settle(pilot, shown, with_source(SourceState.LIVE))
        rows = screen_text(pilot.app).splitlines()
        assert "first" in rows[1]
        assert "no right" not in "".join(rows)
        assert Tone.BAD in {span.tone for row in shown.canvas.lines for span in row}


async def test_many_long_reasons_leave_room_for_the_data_and_can_be_scrolled_to() -> None:
    shown = Numbered("Panel", sources=("*",))
    sources = {f"s{i}": broken(f"s{i}", SourceState.UNAVAILABLE, "a long reason " * 6, "a remedy") for i in range(6)}
    async with staged(shown, replace(quiet(), sources=sources), (60, 15)) as pilot:
        assert "first" in screen_text(pilot.app)
        assert len(shown.explanations) == 6
        notice = shown._notice
        assert notice.focusable
        notice.focus()
        await pilot.press("end")
        await pilot.pause()
        assert "s5 unavailable" in screen_text(pilot.app) or "remedy" in screen_text(pilot.app)


async def test_an_unchanged_snapshot_repaints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = panel()
    async with staged(shown, with_source(SourceState.LIVE)) as pilot:
        refreshed: list[object] = []
        for widget in (shown, shown.canvas, shown._notice):
            monkeypatch.setattr(widget, "refresh", lambda *args, _of=widget, **kwargs: refreshed.append((_of, args)))
        for tick in range(5):
            shown.draw(with_source(SourceState.LIVE), now=NOW + tick / 5)
            await pilot.pause()
        assert refreshed == []


async def test_a_changed_figure_repaints_its_own_columns_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = panel()
    async with staged(shown, with_source(SourceState.LIVE)) as pilot:
        regions: list[Region] = []
        monkeypatch.setattr(shown.canvas, "refresh", lambda *args, **kwargs: regions.extend(args))
        shown.draw(with_source(SourceState.LIVE, number=2), now=NOW)
        await pilot.pause()
        assert [tuple(region) for region in regions] == [(7, 2, 1, 1)]


async def test_an_older_age_repaints_the_subtitle_and_not_the_panel() -> None:
    shown = panel()
    async with staged(shown, with_source(SourceState.LIVE)) as pilot:
        shown._exchange_repaint_regions()
        shown.draw(with_source(SourceState.LIVE), now=NOW + 4)
        regions = list(shown._exchange_repaint_regions())
        assert [region.height for region in regions] == [1]
        assert regions[0].y == shown.outer_size.height - 1
        assert regions[0].width < 24
        shown.refresh()
        await pilot.pause()
        assert "live 4 s" in screen_text(pilot.app)


async def test_pausing_keeps_the_picture_and_says_for_how_long() -> None:
    shown = panel()
    async with staged(shown, with_source(SourceState.LIVE)) as pilot:
        await settle(pilot, shown, with_source(SourceState.LIVE), paused=True)
        shown.draw(with_source(SourceState.LIVE, number=99), now=NOW + 34, paused=True)
        await pilot.pause()
        text = screen_text(pilot.app)
        assert "number 1" in text
        assert "paused 34 s" in text
        assert shown.has_class("-paused")
        await settle(pilot, shown, with_source(SourceState.LIVE, number=99))
        assert "number 99" in screen_text(pilot.app)
        assert not shown.has_class("-paused")


async def test_a_problem_is_told_also_while_paused() -> None:
    shown = panel()
    async with staged(shown, with_source(SourceState.LIVE)) as pilot:
        await settle(pilot, shown, with_source(SourceState.LIVE), paused=True)
        await settle(pilot, shown, with_source(SourceState.UNAVAILABLE, "refused"), paused=True)
        text = screen_text(pilot.app)
        assert "unavailable" in text.splitlines()[0]
        assert "paused" in text.splitlines()[-1]


@pytest.mark.parametrize("text", HOSTILE)
async def test_titles_and_reasons_are_drawn_literally(text: str) -> None:
    shown = panel(text or "Panel")
    async with staged(shown, with_source(SourceState.DEGRADED, text, text), (50, 12)) as pilot:
        drawn = screen_text(pilot.app)
        assert drawn.replace("\n", "").isprintable()
        if text.startswith("["):
            assert text in drawn.splitlines()[0]


async def test_a_panel_that_is_not_shown_costs_nothing_and_is_right_once_it_is() -> None:
    shown = panel()
    app = Stage(shown)
    async with app.run_test(size=(60, 10)) as pilot:
        shown.display = False
        await pilot.pause()
        shown.drawn = 0
        shown.draw(with_source(SourceState.LIVE, number=7), now=NOW)
        assert shown.drawn == 0
        shown.display = True
        await pilot.pause()
        assert "number 7" in screen_text(app)


async def test_focusing_a_panel_focuses_its_body() -> None:
    shown = panel()
    async with staged(shown, with_source(SourceState.LIVE)) as pilot:
        shown.focus()
        await pilot.pause()
        assert pilot.app.focused is shown.canvas


async def test_any_size_is_survived() -> None:
    shown = panel()
    snapshot = with_source(SourceState.UNAVAILABLE, "connection refused", "start the server")
    async with staged(shown, snapshot) as pilot:
        for width, height in ((1, 1), (3, 2), (8, 3), (40, 10), (200, 60), (10, 60), (38, 8)):
            await pilot.resize_terminal(width, height)
            await settle(pilot, shown, snapshot)
            assert screen_text(pilot.app)


async def test_ascii_panels_draw_ascii_only() -> None:
    shown = Numbered("Panel", sources=("a",), ascii_only=True)
    async with staged(shown, with_source(SourceState.UNAVAILABLE, "refused")) as pilot:
        assert screen_text(pilot.app).isascii()
