"""Companions beside the model: found by a command in the lab's container, offered with the line that leads there."""

from __future__ import annotations

import asyncio
from pathlib import Path

from infdiag_tui.clock import SystemClock
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.lab import Lab
from infdiag_tui.model import Impact
from infdiag_tui.session import Session
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.cluster import build
from infdiag_tui.targets import resolve_target
from tests.support import eventually


async def test_tools_of_the_container_are_found_and_offered_by_their_exec_line(lab: Lab, tmp_path: Path) -> None:
    target = resolve_target("slow-inference", str(lab.config_path), TargetFlags())
    context = StreamContext(clock=SystemClock(), user_agent="infdiag-test")
    session = Session(target, build(target.model, context), tmp_path, SystemClock())
    running = asyncio.create_task(session.run())
    try:
        await eventually(lambda: session.snapshot().pods, 20.0)
        await eventually(lambda: session.snapshot().guidance)
        await session.look_beside_model()
        await eventually(lambda: "beside the model" in session.snapshot().guidance.beside)  # type: ignore[union-attr]
        view = session.snapshot().guidance
        assert view is not None
        found = [one for one in view.offers if one.beside is not None]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert "known tools are beside the model" in view.beside
    assert view.way.startswith("in container server of pod ")
    assert all(" exec " in one.command and one.impact is not Impact.READ_ONLY for one in found)
    assert all(one.where == view.way for one in found)
