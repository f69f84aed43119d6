"""A companion's command that was agreed to: on this machine, and in the lab's container through the exec way."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from infdiag_tui.clock import SystemClock
from infdiag_tui.companion_runs import CompanionRuns
from infdiag_tui.companions.output import MOST_BYTES
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.lab import Lab
from infdiag_tui.model import CommandBeside, CompanionOffer, CompanionRun
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.targets import Target, resolve_target
from tests.remote.helpers import place_in, runs_beside
from tests.support import eventually

HERE = Target("m", "", ModelConfig(), Config())


@asynccontextmanager
async def at_work(target: Target = HERE, **more: float) -> AsyncIterator[CompanionRuns]:
    runs = CompanionRuns(target, StreamContext(clock=SystemClock(), user_agent="infdiag-test"), **more)
    task = asyncio.create_task(runs.run())
    try:
        yield runs
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def ended(runs: CompanionRuns, timeout_s: float = 10.0) -> CompanionRun:
    await eventually(lambda: runs.latest is not None and runs.latest.ending, timeout_s)
    assert runs.latest is not None
    return runs.latest


def text(runs: CompanionRuns) -> Callable[[], str]:
    return lambda: runs.latest.text if runs.latest is not None else ""


def line(command: str) -> CompanionOffer:
    return CompanionOffer("sh", "a test", command, "on this machine", argv=(("sh", "-c", command),))


async def beside(lab: Lab, *argv: str) -> CompanionOffer:
    place = await place_in(lab)
    command = CommandBeside(argv, "in the container", place.namespace, place.pod, place.container)
    return CompanionOffer("sh", "a test", "kubectl exec ...", command.where, beside=command)


async def test_here_it_tells_while_it_runs_and_how_it_ended(tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    async with at_work() as runs:
        runs.start(1, line(f"echo one; until [ -e '{go_on}' ]; do sleep 0.05; done; echo two; exit 3"))
        await eventually(lambda: text(runs)() == "one\n")
        assert runs.latest == CompanionRun(1, "one\n")
        go_on.touch()
        run = await ended(runs)
    assert run.text == "one\ntwo\n"
    assert run.ending.startswith("exit code 3 after ")


async def test_the_next_one_ends_the_one_before_and_the_end_of_the_session_ends_all() -> None:
    async with at_work() as runs:
        runs.start(1, line("echo first; exec sleep 62.25"))
        await eventually(lambda: runs_beside("62.25"))
        runs.start(2, line("echo second; exec sleep 62.5"))
        await eventually(lambda: not runs_beside("62.25"))
        await eventually(lambda: text(runs)() == "second\n")
        assert runs.latest == CompanionRun(2, "second\n")
    assert not runs_beside("62.5")
    runs.start(3, line("echo late"))
    assert runs.latest.id == 2, "nothing is begun after the end"


async def test_in_the_container_both_outputs_and_the_exit_code_come_back(lab: Lab) -> None:
    async with at_work(resolve_target("", str(lab.config_path), TargetFlags())) as runs:
        runs.start(1, await beside(lab, "sh", "-c", "echo out; echo err >&2; printf 'password=hunter2'; exit 4"))
        run = await ended(runs)
    assert run.ending.startswith("exit code 4 after ")
    assert "out\n" in run.text
    assert "err\n" in run.text
    assert "hunter2" not in run.text


async def test_in_the_container_it_is_ended_there_when_it_is_stopped_or_says_too_much(lab: Lab) -> None:
    async with at_work(resolve_target("", str(lab.config_path), TargetFlags())) as runs:
        runs.start(1, await beside(lab, "sh", "-c", "echo so far; sleep 62.75; :"))
        await eventually(lambda: text(runs)() == "so far\n")
        assert runs_beside("62.75")
        runs.stop(1)
        run = await ended(runs)
        assert run.ending.startswith("stopped after ")
        assert run.text == "so far\n"
        assert not runs_beside("62.75")
        runs.start(2, await beside(lab, "yes", "infdiag-too-much"))
        run = await ended(runs)
        assert "printed more than 1 MiB; it was ended there" in run.ending
        assert run.ending.startswith("no exit code after ")
        assert run.text.startswith("infdiag-too-much\n")
        assert len(run.text) <= MOST_BYTES
        await eventually(lambda: not runs_beside("infdiag-too-much"))


async def test_without_a_way_it_says_so(lab: Lab) -> None:
    async with at_work() as runs:
        runs.start(1, await beside(lab, "true"))
        assert (await ended(runs)).ending.endswith(": there is no way to run it in the container")


async def test_time_and_output_are_bounded_here() -> None:
    async with at_work(time_limit_s=0.3) as runs:
        runs.start(1, line("echo so far; exec sleep 62.125"))
        run = await ended(runs)
        assert (run.text, run.ending) == ("so far\n", "stopped after 0.3 s, its time limit")
    async with at_work() as runs:
        runs.start(1, line("exec yes infdiag-flood"))
        run = await ended(runs)
    assert run.ending.endswith(f": it wrote more than {MOST_BYTES:,} bytes")
    assert len(run.text) == MOST_BYTES
    assert not runs_beside("infdiag-flood")


async def test_a_program_that_is_gone_by_now_is_said(lab: Lab, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    async with at_work(resolve_target("", str(lab.config_path), TargetFlags())) as runs:
        for number, (word, why) in enumerate((("no-such-tool", "No such file"), (str(plain), "Permission denied"))):
            runs.start(number, dataclasses.replace(line(word), argv=((word,),)))
            assert f"it cannot be started: {why}" in (await ended(runs)).ending
        runs.start(3, await beside(lab, "no-such-tool"))
        run = await ended(runs)
    assert run.ending.startswith("exit code 127 after ")
    assert "no-such-tool" in run.text


async def test_what_needs_a_terminal_or_is_no_command_is_not_run() -> None:
    async with at_work() as runs:
        runs.start(1, dataclasses.replace(line("true"), interactive=True))
        runs.start(2, CompanionOffer("pack", "x", "say"))
        assert runs.latest is None
