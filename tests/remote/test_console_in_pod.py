"""The console offers commands beside the model where there is a way, says why where there is none, and asks first."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, Endpoint, ModelConfig
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.lab import Lab
from infdiag_tui.model import CheckStatus, FormField, Impact, RunState
from infdiag_tui.session import Session
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.cluster import build
from infdiag_tui.targets import Target, resolve_target
from tests.remote.helpers import place_in
from tests.support import eventually
from tests.test_check_runs import run_of, state

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def watching(target: Target, folder: Path) -> AsyncIterator[Session]:
    clock = SystemClock()
    one = Session(target, build(target.model, StreamContext(clock)), folder, clock)
    task = asyncio.create_task(one.run())
    one.offer_checks()
    try:
        await eventually(lambda: one.snapshot().offered is not None)
        yield one
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def field(one: Session, check: str, name: str) -> FormField:
    offered = next(each for each in one.snapshot().offered or () if each.name == check)
    return next(each for each in offered.fields if each.name == name)


async def test_where_there_is_a_way_it_is_offered_and_asks_with_pod_and_container(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infdiag_tui.check_runs.OFFER_EVERY_S", 0.2)
    place = await place_in(lab)
    model = lab.folder / "pods" / place.pod / "console.onnx"
    model.write_bytes(b"weights")
    async with watching(resolve_target(None, str(lab.config_path), TargetFlags()), tmp_path) as one:
        await eventually(lambda: one.snapshot().pods)
        await eventually(lambda: not field(one, "version", "pod_file").lacking)
        assert not field(one, "memory", "in_pod").lacking

        one.start_check(1, "version", {"pod_file": "console.onnx"})
        asking = await state(one, RunState.ASKING)
        assert asking.impact is Impact.EXEC
        assert f"in container server of pod {place.pod} (namespace {lab.namespace})" in asking.question
        one.confirm_check(1)
        done = await state(one, RunState.DONE)
        assert done.result is not None
        found = next(file for file in done.result.result["files"] if "console.onnx" in file["path"])
        assert found["md5"] == hashlib.md5(b"weights").hexdigest()

        # Without such a parameter it has nothing to ask.
        one.start_check(2, "version", {})
        assert (await state(one, RunState.DONE, 2)).question == ""


async def test_what_is_gone_when_it_comes_to_the_question_is_said_instead_of_asked(lab: Lab, tmp_path: Path) -> None:
    async with watching(resolve_target(None, str(lab.config_path), TargetFlags()), tmp_path) as one:
        await eventually(lambda: one.snapshot().pods)
        await lab.stop_api()
        try:
            one.start_check(1, "memory", {"in_pod": "true"})
            done = await state(one, RunState.DONE)
        finally:
            await lab.start_api()

    assert done.question == ""
    assert done.result is not None
    assert done.result.status is CheckStatus.SKIPPED
    assert "its pods are unknown: " in done.result.summary
    assert "connection refused" in done.result.summary


@pytest.mark.parametrize("cluster", [False, True])
async def test_where_there_is_none_the_field_says_why_and_nothing_is_started(
    lab: Lab, tmp_path: Path, cluster: bool
) -> None:
    flags = TargetFlags(exec_pod="scorer-9")
    target = (
        resolve_target(None, str(lab.config_path), flags)
        if cluster
        else Target("m", "", ModelConfig(endpoint=Endpoint(url="http://127.0.0.1:9/predict")), Config())
    )
    said = "there is no pod scorer-9" if cluster else "set kubernetes.selector in the config"
    async with watching(target, tmp_path) as one:
        if cluster:
            await eventually(lambda: one.snapshot().pods)
        else:
            assert said in field(one, "stages", "in_pod").lacking
            assert field(one, "stages", "requests").lacking == ""
        one.start_check(1, "memory", {"in_pod": "true"})
        refused = await state(one, RunState.INVALID)

    assert said in refused.problems[""]
    assert run_of(one).question == ""
