"""The canvas: another number of lines costs no layout of the screen, and scrolling stays within what there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.screen import Screen

from tests.widgets.stage import screen_text
from widgets.canvas import LineCanvas
from widgets.ink import Line, line

HEIGHT = 10


class Easel(App[None]):
    """One canvas over the whole screen."""

    def __init__(self) -> None:
        super().__init__()
        self.canvas = LineCanvas()

    def compose(self) -> ComposeResult:
        yield self.canvas


@asynccontextmanager
async def canvas() -> AsyncIterator[tuple[LineCanvas, Pilot[None]]]:
    app = Easel()
    async with app.run_test(size=(30, HEIGHT)) as pilot:
        await pilot.pause()
        yield app.canvas, pilot


def rows(count: int) -> list[Line]:
    return [line(f"row {number}") for number in range(count)]


async def test_another_number_of_lines_lays_out_nothing_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    layouts: list[Screen[Any]] = []
    inner = Screen._refresh_layout

    def counted(screen: Screen[Any], *args: Any, **options: Any) -> None:
        layouts.append(screen)
        inner(screen, *args, **options)

    monkeypatch.setattr(Screen, "_refresh_layout", counted)
    async with canvas() as (drawn, pilot):
        drawn.show(rows(3))
        await pilot.pause()
        layouts.clear()
        for count in (5, 2, 9, 4):
            drawn.show(rows(count))
            await pilot.pause()
            text = screen_text(pilot.app)
            assert f"row {count - 1}" in text
            assert f"row {count} " not in text
    assert layouts == []


async def test_the_scroll_bar_comes_with_more_lines_than_fit_and_goes_again() -> None:
    async with canvas() as (drawn, pilot):
        drawn.show(rows(HEIGHT))
        await pilot.pause()
        shown = [drawn.show_vertical_scrollbar]
        drawn.show(rows(40))
        await pilot.pause()
        shown.append(drawn.show_vertical_scrollbar)
        assert drawn.vertical_scrollbar.window_virtual_size == 40
        drawn.show(rows(60))
        await pilot.pause()
        assert drawn.vertical_scrollbar.window_virtual_size == 60
        drawn.show(rows(4))
        await pilot.pause()
        shown.append(drawn.show_vertical_scrollbar)
    assert shown == [False, True, False]


async def test_fewer_lines_than_were_scrolled_past_show_the_last_of_them() -> None:
    async with canvas() as (drawn, pilot):
        drawn.show(rows(100))
        await pilot.pause()
        drawn.scroll_end(animate=False)
        await pilot.pause()
        assert "row 99" in screen_text(pilot.app)
        drawn.show(rows(30))
        await pilot.pause()
        text = screen_text(pilot.app)
        assert "row 29" in text
        assert "row 20" in text
        drawn.show(rows(3))
        await pilot.pause()
        assert drawn.scroll_offset.y == 0
        assert screen_text(pilot.app).startswith("row 0")
