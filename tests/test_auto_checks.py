"""A triage runs the read-only checks by itself, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from infdiag_tui.auto_checks import AutoChecks
from infdiag_tui.check_runs import CheckRuns
from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.model import IncidentInfo, NextCheck, RunState, Snapshot, Verdict
from infdiag_tui.targets import Target
from tests.support import eventually

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
        work = AutoChecks(runs, lambda: ranked(["predictions"]), SystemClock(), first_look_s=0.0, again_s=None)
        await work.run()
    names = [one.name for one in runs.runs]
    assert names[0] == "predictions", "what would tell most comes first"
    assert "drift" in names[1:], "and what would tell nothing last"
    assert not set(names) & {"load", "profile"}
    assert "baseline" not in names, "what an incident looks like is nobody's normal"
    assert len(names) == len(set(names)), "each once"
    assert {one.state for one in runs.runs} == {RunState.DONE}
    assert {one.id for one in runs.evidence} >= {"drift.features", "predictions.mean_shift"}
    offering.cancel()
    await asyncio.gather(offering, return_exceptions=True)


async def test_what_was_well_at_first_is_looked_at_again(tmp_path: Path) -> None:
    before, after = csv(tmp_path / "a.csv", range(300)), csv(tmp_path / "b.csv", range(300))
    target = Target("m", "", ModelConfig(checks={"drift": {"reference": before, "production": after}}), Config())
    runs = CheckRuns(target, tmp_path, SystemClock(), lambda: Snapshot(0.0, 0, IncidentInfo("m", "", 0.0)))
    work = [
        asyncio.create_task(runs.run()),
        asyncio.create_task(
            AutoChecks(runs, ranked, SystemClock(), first_look_s=0.0, again_s=0.1, again_share=1.0).run()
        ),
    ]
    await eventually(lambda: verdict_of(runs) is Verdict.OK)
    csv(tmp_path / "b.csv", range(300, 600))
    await eventually(lambda: verdict_of(runs) is Verdict.FAIL)
    for one in work:
        one.cancel()
    await asyncio.gather(*work, return_exceptions=True)
    assert sum(one.name == "drift" for one in runs.runs) <= 2, "an older run is forgotten"
    assert len(list((tmp_path / "checks").glob("*-drift"))) <= 2, "and its files are removed"


def verdict_of(runs: CheckRuns) -> Verdict | None:
    return next((one.verdict for one in runs.evidence if one.id == "drift.features"), None)


async def test_a_baseline_is_never_saved_unasked(tmp_path: Path) -> None:
    target = Target("m", "", ModelConfig(), Config())
    picture = Snapshot(0.0, 0, IncidentInfo("m", "", 0.0))
    runs = CheckRuns(target, tmp_path, SystemClock(), lambda: picture)
    offering = asyncio.create_task(runs.run())
    runs.offer()
    await runs.offer_known()
    offered = next(one for one in runs.offered or () if one.name == "baseline")
    assert offered.asked_for
    async with asyncio.timeout(60):
        await AutoChecks(runs, lambda: ranked(["baseline"]), SystemClock(), first_look_s=0.0, again_s=None).run()
    assert "baseline" not in [one.name for one in runs.runs]
    offering.cancel()
    await asyncio.gather(offering, return_exceptions=True)


async def test_it_ends_with_the_session(tmp_path: Path) -> None:
    target = Target("m", "", ModelConfig(), Config())
    runs = CheckRuns(target, tmp_path, SystemClock(), lambda: Snapshot(0.0, 0, IncidentInfo("m", "", 0.0)))
    waiting = asyncio.create_task(AutoChecks(runs, ranked, SystemClock()).run())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    assert runs.runs == ()
