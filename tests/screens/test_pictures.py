"""What the console looks like, compared with pictures kept in `__snapshots__`; after a wanted change:
`pytest tests/screens/test_pictures.py --snapshot-update`, then look at each picture.
"""

from __future__ import annotations

import dataclasses
import sys
from importlib.metadata import version

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.image import SVGImageSnapshotExtension
from textual.pilot import Pilot

from infdiag_tui.app import InfdiagApp
from infdiag_tui.model import Snapshot, SourceState
from tests.screens.check_samples import done, loaded
from tests.screens.check_samples import picture as with_checks
from tests.screens.scripted import ManualClock, ScriptedEngine, health, incident_snapshot

MADE_WITH = ("3.11", "8.2.8")
"""Python's Unicode tables and Textual's drawing differ between versions: pictures are compared on one pair only."""

HERE = (f"{sys.version_info[0]}.{sys.version_info[1]}", version("textual"))

pytestmark = pytest.mark.skipif(HERE != MADE_WITH, reason=f"pictures of Python and Textual {MADE_WITH}, not {HERE}")


@pytest.fixture(name="picture")
def _picture(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(SVGImageSnapshotExtension)


def app(snapshot: Snapshot) -> InfdiagApp:
    return InfdiagApp(ScriptedEngine(snapshot), title="fraud-scorer", clock=ManualClock())


async def settle(console: InfdiagApp, pilot: Pilot[None]) -> None:
    await pilot.pause()
    assert console.triage is not None
    console.triage.tick()
    await pilot.pause()


@pytest.mark.parametrize("size", [(40, 10), (80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_an_incident(picture: SnapshotAssertion, size: tuple[int, int]) -> None:
    console = app(incident_snapshot())
    async with console.run_test(size=size) as pilot:
        await settle(console, pilot)
        assert console.export_screenshot(title="infdiag") == picture


async def test_an_incident_while_paused(picture: SnapshotAssertion) -> None:
    console = app(incident_snapshot())
    async with console.run_test(size=(120, 40)) as pilot:
        await settle(console, pilot)
        await pilot.press("space")
        await settle(console, pilot)
        assert console.export_screenshot(title="infdiag") == picture


async def test_every_source_in_trouble(picture: SnapshotAssertion) -> None:
    known = incident_snapshot()
    troubled = {
        "latency": health("latency", SourceState.UNAVAILABLE, 9.0, reason="connection refused by 10.0.0.7:8000"),
        "pods": health("pods", SourceState.FORBIDDEN, 40.0, reason="may not list pods in namespace prod"),
        "logs:gateway.log": health("logs:gateway.log", SourceState.STALE, 95.0, reason="nothing new for 95 s"),
        "gpu": health("gpu", SourceState.UNAVAILABLE, 12.0, reason="the NVIDIA driver does not answer"),
    }
    console = app(dataclasses.replace(known, sources={**known.sources, **troubled}))
    async with console.run_test(size=(120, 40)) as pilot:
        await settle(console, pilot)
        assert console.export_screenshot(title="infdiag") == picture


@pytest.mark.parametrize("ascii_only", [False, True], ids=["unicode", "ascii"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_checks_outcome(picture: SnapshotAssertion, size: tuple[int, int], ascii_only: bool) -> None:
    engine = ScriptedEngine(with_checks(done(), loaded()))
    console = InfdiagApp(engine, title="fraud-scorer", clock=ManualClock(), ascii_only=ascii_only)
    async with console.run_test(size=size) as pilot:
        await settle(console, pilot)
        await pilot.press("c")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert console.export_screenshot(title="infdiag") == picture
