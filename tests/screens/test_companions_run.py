"""From the keys to the report: a companion on this machine, with the real engine and a real process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from infdiag_tui.app import InfdiagApp
from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.engine import Engine
from infdiag_tui.screens.check_consent import ConsentScreen
from infdiag_tui.screens.command import CommandScreen
from infdiag_tui.screens.guidance import GuidanceScreen
from infdiag_tui.session import Session
from infdiag_tui.targets import Target
from tests.companions.test_running import left
from tests.support import eventually

SLOW = "#!/bin/sh\necho 'Total: 204'; [ -e \"$0.quick\" ] || /bin/sleep 63.25; exit 4\n"


@pytest.fixture(name="tool")
def _tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only companion on this machine; it ends at once if there is a file `ss.quick` beside it."""
    path = tmp_path / "bin" / "ss"
    path.parent.mkdir()
    path.write_text(SLOW)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(path.parent))
    monkeypatch.setattr("infdiag_tui.session.ADVISE_EVERY_S", 0.1)
    yield path
    assert not left("63.25")


@asynccontextmanager
async def asked(folder: Path) -> AsyncIterator[tuple[Engine, Pilot[None]]]:
    """A console that asks whether to run the tool."""
    incident = folder / "incident"
    incident.mkdir()
    target = Target("m", "intermittent-failures", ModelConfig(), Config())
    engine = Engine(lambda: Session(target, [], incident, SystemClock()), refresh_s=0.05)
    app = InfdiagApp(engine, title="m", refresh_s=0.3)
    try:
        async with app.run_test(size=(120, 40)) as pilot:
            await eventually(lambda: app.triage and app.triage.snapshot and app.triage.snapshot.guidance)
            await pilot.press("i")
            assert isinstance(app.screen, GuidanceScreen)
            await pilot.press("r", "1")
            assert isinstance(app.screen, ConsentScreen)
            yield engine, pilot
    finally:
        assert engine.stop(10.0)


def words(pilot: Pilot[None]) -> str:
    return "\n".join(str(one.content) for one in pilot.app.screen.query(Static))


async def test_what_was_agreed_to_runs_and_its_outcome_can_be_pinned_to_the_report(tool: Path, tmp_path: Path) -> None:
    tool.with_suffix(".quick").touch()
    async with asked(tmp_path) as (engine, pilot):
        assert "ss -s" in words(pilot)
        assert "It runs on this machine and only looks. For 60 s at most." in words(pilot)
        await pilot.press("y")
        await eventually(lambda: "exit code 4 after" in words(pilot))
        assert "Total: 204" in words(pilot)
        await pilot.press("p")

        def report() -> str:
            snapshot = engine.snapshot()
            assert snapshot is not None
            return snapshot.draft.text

        await eventually(lambda: "ss -s (on this machine): exit code 4 after" in report())
        assert "Total: 204" in report()


async def test_escape_ends_the_process_and_keeps_what_it_said(tool: Path, tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, pilot):
        await pilot.press("y")
        screen = cast("CommandScreen", pilot.app.screen)
        await eventually(lambda: "Total: 204" in words(pilot))
        assert left("63.25")
        await pilot.press("escape")
        await eventually(lambda: "stopped after" in words(pilot))
        assert not left("63.25")
        assert pilot.app.screen is screen
        assert "Total: 204" in words(pilot)


async def test_leaving_the_console_ends_the_process(tool: Path, tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, pilot):
        await pilot.press("y")
        await eventually(lambda: left("63.25"))
