"""Checks run beside a session: validated, agreed to, several at once, cancelled without a trace, found in findings."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from checks.base import Check, CheckContext, CheckError, Outcome, Params
from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.engine import Engine
from infdiag_tui.model import CheckRun, CheckStatus, Evidence, Impact, Progress, RunState, Verdict
from infdiag_tui.session import Session
from infdiag_tui.targets import Target
from tests.support import eventually, eventually_blocking


class CountParams(Params):
    file: Path | None = Field(None, description="The file to count.")
    at_most: int = Field(3, ge=0, description="Lines that are fine.")
    names: tuple[str, ...] = ()


class CountLines(Check[CountParams]):
    """Counts the lines of a file."""

    name = "count"
    title = "Count lines"
    step = 2
    symptoms = ("oom",)
    params = CountParams

    def missing(self, params: CountParams, context: CheckContext) -> str:
        return "" if params.file else "Name a file: checks.count.file in the config, or --file."

    async def run(self, params: CountParams, context: CheckContext) -> Outcome:
        assert params.file
        try:
            count = len(params.file.read_text().splitlines())
        except OSError as error:
            raise CheckError(f"{params.file} cannot be read: {error.strerror}.") from error
        verdict = Verdict.OK if count <= params.at_most else Verdict.FAIL
        copy = context.folder / "copy.txt"
        copy.write_text(params.file.read_text())
        found = Evidence("count.lines", f"{count} lines\x1b[31m", verdict, "count", context.now(), value=float(count))
        return Outcome(CheckStatus(verdict.value), f"{count} lines.", (found,), {"lines": count}, (copy,))


class Holding(Check[Params]):
    """Runs until released, and asks first."""

    name = "holding"
    title = "Hold on"
    step = 1
    impact = Impact.LOAD
    params = Params
    held: ClassVar[list[asyncio.Event]]

    def announce(self, params: Params, context: CheckContext) -> str:
        return f"Will hold {context.model_name} for a while."

    async def run(self, params: Params, context: CheckContext) -> Outcome:
        (context.folder / "half.txt").write_text("half")
        release = asyncio.Event()
        self.held.append(release)
        context.report(Progress("holding\x07", 0.25))
        try:
            await release.wait()
        finally:
            self.held.remove(release)
        return Outcome(CheckStatus.OK, "Let go.")


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Check[Any]] = {"holding": Holding(), "count": CountLines()}
    Holding.held = []
    monkeypatch.setattr("infdiag_tui.check_runs.all_checks", lambda: known)


def session(folder: Path, **checks: Mapping[str, Any]) -> Session:
    model = ModelConfig(checks={name: dict(values) for name, values in checks.items()})
    return Session(Target("m", "oom", model, Config()), (), folder, SystemClock())


@asynccontextmanager
async def running(one: Session) -> AsyncIterator[Session]:
    task = asyncio.create_task(one.run())
    one.offer_checks()
    try:
        await eventually(lambda: one.snapshot().offered is not None)
        yield one
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("check")] == []


def run_of(one: Session, run_id: int = 1) -> CheckRun:
    return next(run for run in one.snapshot().checks if run.id == run_id)


async def state(one: Session, wanted: RunState, run_id: int = 1) -> CheckRun:
    await eventually(lambda: run_of(one, run_id).state is wanted)
    return run_of(one, run_id)


async def test_the_symptoms_checks_come_first_and_one_that_lacks_something_says_what(tmp_path: Path) -> None:
    async with running(session(tmp_path)) as one:
        offered = one.snapshot().offered
        assert offered is not None
        assert [(each.name, each.first) for each in offered] == [("count", True), ("holding", False)]
        assert offered[0].missing == "Name a file: checks.count.file in the config, or --file."
        assert offered[1].missing == ""
        assert offered[1].impact is Impact.LOAD
        assert offered[0].about == "Counts the lines of a file."


async def test_where_nobody_asks_for_an_offer_no_check_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def boom() -> None:
        raise AssertionError

    monkeypatch.setattr("infdiag_tui.check_runs.all_checks", boom)
    one = session(tmp_path)
    task = asyncio.create_task(one.run())
    await eventually(lambda: one.snapshot().draft.saved_at is not None)
    assert one.snapshot().offered is None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_form_has_the_configs_values_in_place_and_the_defaults_beside(tmp_path: Path) -> None:
    async with running(session(tmp_path, count={"file": "/x/y", "names": ["a b", "c"]})) as one:
        offered = one.snapshot().offered
        assert offered is not None
        fields = {field.name: field for field in offered[0].fields}
        assert fields["file"].value == "/x/y"
        assert fields["file"].help == "The file to count."
        assert (fields["at_most"].value, fields["at_most"].default) == ("", "3")
        assert fields["names"].value == "'a b' c"
        assert offered[0].missing == ""


async def test_what_the_check_finds_joins_the_findings_and_the_newest_wins(tmp_path: Path) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text("1\n2\n3\n4\n")
    async with running(session(tmp_path, count={"file": str(lines)})) as one:
        one.start_check(1, "count", {})
        done = await state(one, RunState.DONE)
        assert done.result is not None
        assert (done.result.status, done.result.summary) == (CheckStatus.FAIL, "4 lines.")
        await eventually(lambda: one.snapshot().evidence)
        (found,) = (each for each in one.snapshot().evidence if each.id == "count.lines")
        assert (found.statement, found.verdict) == ("4 lines", Verdict.FAIL)
        assert one.snapshot().severity == "High"
        assert [Path(path).read_text() for path in done.result.artifacts] == [lines.read_text()]
        assert Path(done.result.artifacts[0]).is_relative_to(tmp_path / "checks")
        one.start_check(2, "count", {"at_most": "4"})
        await state(one, RunState.DONE, 2)
        await eventually(lambda: not one.snapshot().severity)
        assert [each.verdict for each in one.snapshot().evidence if each.id == "count.lines"] == [Verdict.OK]


async def test_a_wrong_value_is_said_under_its_field_and_nothing_starts(tmp_path: Path) -> None:
    async with running(session(tmp_path)) as one:
        one.start_check(1, "count", {"at_most": "many", "names": "'open"})
        problems = (await state(one, RunState.INVALID)).problems
        assert set(problems) == {"at_most", "names"}
        assert "valid integer" in problems["at_most"]
        assert "many" in problems["at_most"]
        assert "Close every quote" in problems["names"]
        one.start_check(2, "count", {"at_most": "2"})
        problems = (await state(one, RunState.INVALID, 2)).problems
        assert problems == {"": "Name a file: checks.count.file in the config, or --file."}
        await eventually(lambda: not (tmp_path / "checks").exists())


async def test_a_check_with_load_runs_only_after_consent_to_what_it_announces(tmp_path: Path) -> None:
    async with running(session(tmp_path)) as one:
        one.start_check(1, "holding", {})
        asking = await state(one, RunState.ASKING)
        assert (asking.question, asking.impact) == ("Will hold m for a while.", Impact.LOAD)
        assert Holding.held == []
        one.confirm_check(1)
        await eventually(lambda: Holding.held)
        assert run_of(one).progress == Progress("holding", 0.25)
        Holding.held[0].set()
        assert (await state(one, RunState.DONE)).result is not None


async def test_declining_starts_nothing(tmp_path: Path) -> None:
    async with running(session(tmp_path)) as one:
        one.start_check(1, "holding", {})
        await state(one, RunState.ASKING)
        one.cancel_check(1)
        await state(one, RunState.CANCELLED)
        one.confirm_check(1)
        assert Holding.held == []
        await eventually(lambda: not (tmp_path / "checks").exists())


async def test_several_run_side_by_side_and_cancelling_one_leaves_nothing_of_it(tmp_path: Path) -> None:
    async with running(session(tmp_path)) as one:
        for run_id in (1, 2):
            one.start_check(run_id, "holding", {})
            await state(one, RunState.ASKING, run_id)
            one.confirm_check(run_id)
        await eventually(lambda: len(Holding.held) == 2)
        one.cancel_check(1)
        await state(one, RunState.CANCELLED, 1)
        assert len(Holding.held) == 1
        await eventually(lambda: not (tmp_path / "checks/01-holding").exists())
        assert run_of(one, 2).state is RunState.RUNNING
        one.cancel_check(1)
        assert run_of(one, 1).state is RunState.CANCELLED
        Holding.held[0].set()
        await state(one, RunState.DONE, 2)
        assert (tmp_path / "checks/02-holding/half.txt").exists()


async def test_the_end_of_the_session_cancels_what_runs(tmp_path: Path) -> None:
    async with running(session(tmp_path)) as one:
        one.start_check(1, "holding", {})
        await state(one, RunState.ASKING)
        one.confirm_check(1)
        await eventually(lambda: Holding.held)
    assert Holding.held == []
    assert run_of(one).state is RunState.CANCELLED
    assert not (tmp_path / "checks").exists()
    one.start_check(2, "count", {})
    assert len(one.snapshot().checks) == 1


async def test_a_check_cancelled_before_it_began_is_cancelled(tmp_path: Path) -> None:
    async with running(session(tmp_path)) as one:
        one.start_check(1, "count", {})
        one.cancel_check(1)
        await state(one, RunState.CANCELLED)


async def test_a_check_that_cannot_finish_ends_in_a_sentence(tmp_path: Path) -> None:
    async with running(session(tmp_path)) as one:
        one.start_check(1, "count", {"file": str(tmp_path / "none")})
        done = await state(one, RunState.DONE)
        assert done.result is not None
        assert done.result.status is CheckStatus.ERROR
        assert "cannot be read: No such file" in done.result.summary


async def test_a_folder_that_cannot_be_made_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "checks").write_text("in the way")
    async with running(session(tmp_path)) as one:
        one.start_check(1, "count", {"file": str(tmp_path / "checks")})
        done = await state(one, RunState.DONE)
        assert done.result is not None
        assert done.result.status is CheckStatus.ERROR
        assert "01-count cannot be used" in done.result.summary


async def test_old_runs_are_forgotten_and_what_they_found_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infdiag_tui.check_runs.KEPT", 2)
    async with running(session(tmp_path, count={"file": __file__})) as one:
        for run_id in range(1, 5):
            one.start_check(run_id, "count", {})
            await state(one, RunState.DONE, run_id)
        await eventually(lambda: [run.id for run in one.snapshot().checks] == [3, 4])
        await eventually(lambda: any(each.id == "count.lines" for each in one.snapshot().evidence))


def test_an_engine_takes_wishes_from_another_thread_and_returns_at_once(tmp_path: Path) -> None:
    engine = Engine(lambda: session(tmp_path), refresh_s=0.05)
    engine.start()
    eventually_blocking(lambda: (view := engine.snapshot()) is not None and view.offered is not None)
    run_id = engine.start_check("holding", {})

    def now(wanted: RunState) -> bool:
        view = engine.snapshot()
        return view is not None and any(run.id == run_id and run.state is wanted for run in view.checks)

    eventually_blocking(lambda: now(RunState.ASKING))
    engine.confirm_check(run_id)
    eventually_blocking(lambda: now(RunState.RUNNING))
    engine.cancel_check(run_id)
    eventually_blocking(lambda: now(RunState.CANCELLED))
    assert engine.stop(5.0)
    engine.start_check("holding", {})
    assert not [thread for thread in threading.enumerate() if thread.name == "infdiag checks" and not thread.daemon]


def test_runs_and_offers_are_immutable() -> None:
    run = CheckRun(1, "x", "X", RunState.RUNNING, 0.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.state = RunState.DONE  # type: ignore[misc]
