"""A triage runs the read-only checks by itself, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from infdiag_tui.auto_checks import AutoChecks
from infdiag_tui.check_runs import CheckRuns
from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.model import IncidentInfo, NextCheck, RunState, Snapshot
from infdiag_tui.targets import Target

NAMES = ("load", "drift", "profile", "predictions", "labels", "version")


def ranked(names: Iterable[str] = NAMES) -> list[NextCheck]:
    return [NextCheck(name, 1.0, (), "") for name in names]


def csv(path: Path, values: Iterable[float]) -> str:
    path.write_text("score\n" + "\n".join(map(str, values)) + "\n")
    return str(path)


async def test_what_can_run_and_only_reads_is_run_in_order_and_once(tmp_path: Path) -> None:
    before, after = csv(tmp_path / "a.csv", range(300)), csv(tmp_path / "b.csv", range(300, 600))
    checks = {
        "drift": {"reference": before, "production": after},
        "predictions": {"historical": before, "current": after, "column": "score"},
    }
    target = Target("m", "", ModelConfig(checks=checks), Config())
    runs = CheckRuns(target, tmp_path, SystemClock(), lambda: Snapshot(0.0, 0, IncidentInfo("m", "", 0.0)))
    offering = asyncio.create_task(runs.run())
    async with asyncio.timeout(60):
        await AutoChecks(runs, ranked, first_look_s=0.0).run()
    assert [one.name for one in runs.runs] == ["drift", "predictions"]
    assert {one.state for one in runs.runs} == {RunState.DONE}
    assert {one.id for one in runs.evidence} >= {"drift.features", "predictions.mean_shift"}
    offering.cancel()
    await asyncio.gather(offering, return_exceptions=True)


async def test_it_ends_with_the_session(tmp_path: Path) -> None:
    target = Target("m", "", ModelConfig(), Config())
    runs = CheckRuns(target, tmp_path, SystemClock(), lambda: Snapshot(0.0, 0, IncidentInfo("m", "", 0.0)))
    waiting = asyncio.create_task(AutoChecks(runs, ranked).run())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert runs.runs == ()
