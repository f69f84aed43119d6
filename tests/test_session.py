"""A session: what streams say becomes evidence, and the draft is on disk whatever happens."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from checks import baseline_parts
from infdiag_tui.baselines import baseline_path
from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.engine import Engine
from infdiag_tui.model import (
    CompanionOffer,
    CompanionRun,
    Evidence,
    LogLine,
    Observation,
    Pod,
    Severity,
    Snapshot,
    SourceState,
    Verdict,
)
from infdiag_tui.report import slot_values
from infdiag_tui.session import ENGINE, KNOWLEDGE, Session
from infdiag_tui.start import own_knowledge
from infdiag_tui.streams.base import Stream
from infdiag_tui.targets import Target
from tests.support import eventually, eventually_blocking


class Lines:
    """A stream of a few error lines."""

    name = "logs:app"
    stale_after_s = 10.0

    async def observe(self) -> AsyncIterator[Observation]:
        for number in range(20):
            yield LogLine("app", f"error {number} *bold* | <b>", Severity.ERROR, received_at=SystemClock().now())
        await asyncio.Event().wait()


def session(folder: Path, *streams: Stream) -> Session:
    return Session(Target("m", "oom", ModelConfig(), Config()), streams, folder, SystemClock())


async def running(one: Session) -> asyncio.Task[None]:
    task = asyncio.create_task(one.run())
    await eventually(lambda: one.snapshot().draft.saved_at is not None)
    return task


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_streams_say_becomes_evidence_and_fills_the_report(tmp_path: Path) -> None:
    one = session(tmp_path, Lines())
    task = await running(one)
    await eventually(lambda: any(e.id == "logs.errors" for e in one.snapshot().evidence))
    snapshot = one.snapshot()
    assert snapshot.sources["logs:app"].state is SourceState.LIVE
    assert snapshot.sources[ENGINE].state is SourceState.LIVE
    assert snapshot.severity == "Medium"
    found = next(e for e in snapshot.evidence if e.id == "logs.errors")
    assert found.since is not None
    report = tmp_path / "report.md"
    await eventually(lambda: "20 error lines" in report.read_text())
    text = report.read_text()
    assert "**Symptom**: OOM errors" in text
    assert "**Severity**: Medium" in text
    assert "\\*bold\\* \\| \\<b\\>" in text  # data is never Markdown
    await stop(task)


class OutOfMemoryLine:
    """A stream of one line that proves a cause, logged at a level that says nothing."""

    name = "logs:app"
    stale_after_s = 10.0

    async def observe(self) -> AsyncIterator[Observation]:
        text = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
        yield LogLine("app", text, Severity.INFO, received_at=SystemClock().now())
        await asyncio.Event().wait()


async def test_a_known_line_is_weighed_for_the_cause_that_it_names(tmp_path: Path) -> None:
    one = session(tmp_path, OutOfMemoryLine())
    task = await running(one)
    await eventually(lambda: one.snapshot().diagnosis.root_cause is not None)
    snapshot = one.snapshot()
    assert [(seen.id, seen.count) for seen in snapshot.signatures] == [("torch-cuda-out-of-memory", 1)]
    root = snapshot.diagnosis.root_cause
    assert root is not None
    assert root.cause == "gpu-memory-exhausted"
    assert [argument.evidence.subject for argument in root.evidence_for] == ["torch-cuda-out-of-memory"]
    await stop(task)


class EvictedPod:
    """A stream of one pod that its node put out."""

    name = "pods"
    stale_after_s = 10.0

    async def observe(self) -> AsyncIterator[Observation]:
        message = "The node was low on resource: memory."
        yield Pod("ml", "scorer-a", "u1", "Failed", SystemClock().now(), reason="Evicted", message=message)
        await asyncio.Event().wait()


async def test_own_causes_are_weighed_and_what_is_refused_of_them_is_told(tmp_path: Path) -> None:
    own = tmp_path / "own" / "causes"
    own.mkdir(parents=True)
    (own / "a.toml").write_text("[evicted]\nimmediate_fix = 'Call the platform team.'\n")
    (own / "b.toml").write_text("[gpu-fault]\ntitel = 'x'\n")
    target = Target("m", "oom", ModelConfig(), Config(knowledge_dir=own.parent))
    one = Session(target, (EvictedPod(),), tmp_path, SystemClock(), own_knowledge(target))
    task = await running(one)
    await eventually(lambda: "Call the platform team." in one.snapshot().draft.text)
    told = one.snapshot().sources[KNOWLEDGE]
    assert told.state is SourceState.DEGRADED
    assert told.reason.startswith(f"{own}/b.toml:2: gpu-fault.titel is an unknown key. Did you mean 'title'?")
    await stop(task)


async def test_alert_rules_of_the_root_cause_are_written_with_thresholds_from_the_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    kept = {"checks": {"memory": {"result": {"evidence": [{"id": "pods.memory_share", "value": 0.65}]}}}}
    baseline_parts.write(baseline_path("m"), kept)
    own = tmp_path / "own" / "causes"
    own.mkdir(parents=True)
    alert = "expr = 'mine > {threshold}'\nunit = 'share'\nevidence = 'pods.memory_share'\nfactor = 1.2\n"
    (own / "a.toml").write_text(f"[evicted.prevention.alert]\n{alert}")
    target = Target("m", "oom", ModelConfig(), Config(knowledge_dir=own.parent))
    one = Session(target, (EvictedPod(),), tmp_path, SystemClock(), own_knowledge(target))
    task = await running(one)
    await eventually(lambda: one.snapshot().diagnosis.root_cause)
    await stop(task)
    text = (tmp_path / "alerts.yml").read_text()
    assert "InferencePodEvicted" in text
    assert "mine > 0.78" in text


async def test_an_operators_words_are_on_disk_within_a_second(tmp_path: Path) -> None:
    one = session(tmp_path)
    task = await running(one)
    view = one.snapshot().draft
    one.edit_draft(view.text + "I restarted pod 3\n", view.version, 1)
    await eventually(lambda: "I restarted pod 3" in (tmp_path / "report.md").read_text(), timeout_s=1.0)
    assert one.snapshot().draft.applied_edit == 1
    await stop(task)


async def test_ending_saves_what_was_typed_last(tmp_path: Path) -> None:
    one = session(tmp_path)
    task = await running(one)
    view = one.snapshot().draft
    one.edit_draft(view.text + "last words\n", view.version, 1)
    await stop(task)
    assert (tmp_path / "report.md").read_text().endswith("last words\n")


async def test_a_folder_that_vanished_is_told_and_saving_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "incident"
    folder.mkdir()
    one = session(folder)
    task = await running(one)
    for item in folder.iterdir():
        item.unlink()
    folder.rmdir()
    view = one.snapshot().draft
    one.edit_draft(view.text + "kept in memory\n", view.version, 1)
    await eventually(lambda: one.snapshot().draft.save_error)
    assert "No such file" in one.snapshot().draft.save_error
    folder.mkdir()
    await eventually((folder / "report.md").exists)
    await eventually(lambda: not one.snapshot().draft.save_error)
    assert "kept in memory" in (folder / "report.md").read_text()
    await stop(task)


async def test_a_defect_in_assessing_is_shown_and_costs_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def boom(*_: object) -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("infdiag_tui.findings.assessor.assess", boom)
    one = session(tmp_path, Lines())
    task = await running(one)
    await eventually(lambda: one.snapshot().sources[ENGINE].state is SourceState.UNAVAILABLE)
    assert "planted" in one.snapshot().sources[ENGINE].reason
    assert one.snapshot().logs.total == 20
    await stop(task)
    assert "assessing failed" in caplog.text


def test_an_engine_runs_a_session_on_its_own_thread_and_stops_with_everything_saved(tmp_path: Path) -> None:
    engine = Engine(lambda: session(tmp_path, Lines()), refresh_s=0.05)
    engine.start()
    eventually_blocking(lambda: (view := engine.snapshot()) is not None and view.logs.total == 20)
    view = engine.snapshot()
    assert view is not None
    number = engine.edit_draft(view.draft.text + "typed on screen\n", view.draft.version)
    eventually_blocking(lambda: (now := engine.snapshot()) is not None and now.draft.applied_edit == number)
    assert engine.stop(5.0)
    assert (tmp_path / "report.md").read_text().endswith("typed on screen\n")
    assert engine.stop(1.0)


def test_an_engine_runs_a_companions_command_on_its_thread_and_leaves_none_behind(tmp_path: Path) -> None:
    engine = Engine(lambda: session(tmp_path), refresh_s=0.05)
    engine.start()

    def here(script: str) -> CompanionOffer:
        return CompanionOffer("sh", "a test", script, "on this machine", argv=(("sh", "-c", script),))

    def told() -> CompanionRun:
        view = engine.snapshot()
        return (view.companion if view is not None else None) or CompanionRun(0)

    try:
        eventually_blocking(lambda: engine.snapshot() is not None)
        first = engine.start_companion(here("echo here; exit 2"))
        eventually_blocking(lambda: told().id == first and told().ending.startswith("exit code 2"))
        assert told().text == "here\n"
        stubborn = "trap '' TERM; echo begun; while :; do sleep 0.1; done; : 63.25"
        engine.start_companion(here(stubborn))
        eventually_blocking(lambda: told().text == "begun\n")
    finally:
        assert engine.stop(5.0)
    assert not [one for one in psutil.process_iter(["cmdline"]) if stubborn in (one.info["cmdline"] or [])]


def test_an_engine_takes_what_it_imported_out_of_the_collectors_sight(tmp_path: Path) -> None:
    gc.unfreeze()
    engine = Engine(lambda: session(tmp_path))
    engine.start()
    try:
        eventually_blocking(lambda: engine.snapshot() is not None)
        assert gc.get_freeze_count() > 10_000
    finally:
        assert engine.stop(10)
        gc.unfreeze()


def test_an_engine_that_cannot_start_says_why() -> None:
    from infdiag_tui.config.load import ConfigError

    def fail() -> Session:
        raise ConfigError("infdiag.toml: models: is wrong")

    engine = Engine(fail)
    engine.start()
    eventually_blocking(lambda: engine.failure() is not None)
    failure = engine.failure()
    assert failure is not None
    assert (failure.message, failure.exit_code) == ("infdiag.toml: models: is wrong", 2)
    assert engine.snapshot() is None
    assert engine.stop(1.0)


def test_words_that_arrive_after_the_engine_has_ended_are_saved(tmp_path: Path) -> None:
    engine = Engine(lambda: session(tmp_path), refresh_s=0.05)
    engine.start()
    eventually_blocking(lambda: engine.snapshot() is not None)
    assert engine.stop(5.0)
    view = engine.snapshot()
    assert view is not None
    number = engine.edit_draft(view.draft.text + "typed while it ended\n", view.draft.version)
    assert (tmp_path / "report.md").read_text().endswith("typed while it ended\n")
    last = engine.snapshot()
    assert last is not None
    assert last.draft.applied_edit == number


def test_words_that_arrive_while_the_engine_ends_are_saved(tmp_path: Path) -> None:
    class Ending(Session):
        """Is sent an edit once it has concluded."""

        def conclude(self) -> None:
            super().conclude()
            view = self.snapshot().draft
            asyncio.get_running_loop().call_soon(self.edit_draft, view.text + "at the very end\n", view.version, 9)

    engine = Engine(lambda: Ending(Target("m", "", ModelConfig(), Config()), (), tmp_path, SystemClock()))
    engine.start()
    eventually_blocking(lambda: engine.snapshot() is not None)
    assert engine.stop(5.0)
    assert (tmp_path / "report.md").read_text().endswith("at the very end\n")


async def test_a_disk_that_does_not_answer_is_told_and_keeps_nothing_from_ending(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infdiag_tui.session.SAVE_TIMEOUT_S", 0.05)
    answers = threading.Event()
    one = session(tmp_path)
    task = await running(one)
    save = one._file.save

    def hang(text: str, version: int) -> None:
        answers.wait()
        save(text, version)

    monkeypatch.setattr(one._file, "save", hang)
    view = one.snapshot().draft
    one.edit_draft(view.text + "words\n", view.version, 1)
    await eventually(lambda: one.snapshot().draft.save_error == "the disk does not answer")
    (thread,) = (each for each in threading.enumerate() if each.name == "infdiag draft")
    assert thread.daemon
    answers.set()
    await eventually(lambda: not one.snapshot().draft.save_error)
    assert "words" in (tmp_path / "report.md").read_text()
    await stop(task)


async def test_a_defect_in_filling_the_draft_stays_shown_until_a_fill_succeeds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infdiag_tui.session.ASSESS_EVERY_S", 0.01)
    one = session(tmp_path)
    planted = True
    states = []

    def values(snapshot: Snapshot, **more: Any) -> Mapping[str, str | None]:
        if planted:
            raise ZeroDivisionError("planted")
        return slot_values(snapshot, **more)

    monkeypatch.setattr("infdiag_tui.session.slot_values", values)
    guarded = one._assess_guarded

    def watched(*, fill: bool = True) -> None:
        guarded(fill=fill)
        states.append(one.snapshot().sources[ENGINE].state)

    monkeypatch.setattr(one, "_assess_guarded", watched)
    task = await running(one)
    await eventually(lambda: len(states) >= 20)
    assert set(states) == {SourceState.UNAVAILABLE}
    planted = False
    await eventually(lambda: states[-1] is SourceState.LIVE)
    await stop(task)


async def test_findings_of_things_that_are_gone_are_forgotten_and_silence_does_not_date_them_anew(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = session(tmp_path)
    verdicts = {"a": Verdict.FAIL, "b": Verdict.FAIL}

    def found(snapshot: Snapshot, *_: object) -> tuple[Evidence, ...]:
        return tuple(Evidence("x", "x", v, "s", snapshot.at, subject=name) for name, v in verdicts.items())

    monkeypatch.setattr("infdiag_tui.findings.assessor.assess", found)

    def since(name: str) -> float | None:
        one._assess_guarded(fill=False)
        return next((each.since for each in one.snapshot().evidence if each.subject == name), None)

    first = since("a")
    assert first is not None
    verdicts["a"] = Verdict.UNKNOWN
    assert since("a") is None
    verdicts["a"] = Verdict.WARN
    assert since("a") == first
    verdicts["a"] = Verdict.OK
    del verdicts["b"]
    assert since("a") is None
    assert one._since == {}
