"""A bare app with one panel on it, and what its screen says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from infdiag_tui.model import Snapshot
from tests.widgets.samples import NOW
from widgets.panel import Panel


class Stage(App[None]):
    """Shows one panel over the whole screen."""

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self.panel = panel

    def compose(self) -> ComposeResult:
        yield self.panel


def screen_text(app: App[None]) -> str:
    """Every row of the screen as text."""
    width, height = app.size
    rows = app.screen._compositor.render_strips()
    assert len(rows) == height
    assert all(strip.cell_length == width for strip in rows)
    return "\n".join(strip.text for strip in rows)


@asynccontextmanager
async def staged(
    panel: Panel, snapshot: Snapshot, size: tuple[int, int] = (80, 20), *, now: float = NOW
) -> AsyncIterator[Pilot[None]]:
    """The panel on a screen of `size` with `snapshot` drawn, after its layout came to rest."""
    app = Stage(panel)
    async with app.run_test(size=size) as pilot:
        await settle(pilot, panel, snapshot, now=now)
        yield pilot


async def settle(
    pilot: Pilot[None], panel: Panel, snapshot: Snapshot, *, now: float = NOW, paused: bool = False
) -> None:
    """Draws as the console does, twice, so that what depends on the layout has seen it."""
    for _ in range(2):
        panel.draw(snapshot, now=now, paused=paused)
        await pilot.pause()
