"""Companions beside the model: found by a command there, offered with the line that leads there, run on consent."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.config.schema import Ssh
from infdiag_tui.lab import Lab
from infdiag_tui.model import CompanionOffer, CompanionRun, GuidanceView, Impact
from infdiag_tui.session import Session
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.cluster import build
from infdiag_tui.targets import Target, resolve_target
from tests.remote.helpers import place_in
from tests.remote.ssh_server import USER, ssh_host
from tests.support import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMES = ("py-spy", "perf", "ss")
"""Between them they serve most causes: which is offered depends on what ails the lab's machine at the moment."""
PROGRAM = '#!/bin/sh\necho "asked with $*"; echo "a complaint" >&2; exit 5\n'


@pytest.fixture(autouse=True)
def _advised_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infdiag_tui.session.ADVISE_EVERY_S", 0.1)


@pytest.fixture
def beside(tools: Path) -> Iterator[Path]:
    """The folder with programs of these names beside the model."""
    for name in NAMES:
        (tools / name).write_text(PROGRAM)
        (tools / name).chmod(0o755)
    yield tools
    for name in NAMES:
        (tools / name).unlink()


@asynccontextmanager
async def watching(target: Target, folder: Path) -> AsyncIterator[Session]:
    clock = SystemClock()
    kubernetes = target.model.kubernetes is not None
    streams = build(target.model, StreamContext(clock, "infdiag-test")) if kubernetes else []
    session = Session(target, streams, folder, clock)
    running = asyncio.create_task(session.run())
    try:
        if kubernetes:
            await eventually(lambda: session.snapshot().pods, 20.0)
        await eventually(lambda: session.snapshot().guidance)
        yield session
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def view_of(session: Session) -> GuidanceView:
    view = session.snapshot().guidance
    assert view is not None
    return view


def offered(session: Session) -> list[CompanionOffer]:
    """The companions of these names that were found beside the model."""
    return [one for one in view_of(session).offers if one.beside is not None and one.tool in NAMES]


async def ran(session: Session, offer: CompanionOffer, run_id: int = 1) -> CompanionRun:
    session.companions.start(run_id, offer)
    await eventually(lambda: (held := session.snapshot().companion) and held.id == run_id and held.ending)
    run = session.snapshot().companion
    assert run is not None
    return run


async def test_a_tool_in_the_container_is_found_offered_and_run_there(lab: Lab, tmp_path: Path, beside: Path) -> None:
    place = await place_in(lab)
    target = resolve_target("intermittent-failures", str(lab.config_path), TargetFlags())
    async with watching(target, tmp_path) as session:
        assert offered(session) == [], "nobody looked"
        await session.look_beside_model()
        assert "known tools are beside the model" in view_of(session).beside
        offer = offered(session)[0]
        assert offer.beside is not None
        words = offer.beside.argv
        assert offer.command.endswith(f" exec {place.pod} --container=server -- {shlex.join(words)}")
        assert (
            offer.where == view_of(session).way == f"in container server of pod {place.pod} (namespace {lab.namespace})"
        )
        assert offer.impact is Impact.EXEC
        run = await ran(session, offer)
        assert run.ending.startswith("exit code 5 after ")
        assert sorted(run.text.splitlines()) == ["a complaint", f"asked with {' '.join(words[1:])}"]


async def test_a_tool_on_the_host_over_ssh_is_found_and_run_there(
    tmp_path: Path, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("PATH", f"{beside}:/usr/bin:/bin")
    folder = tmp_path / "incident"
    folder.mkdir()
    async with ssh_host(tmp_path / "home", tmp_path / "host") as (host, key):
        host.trust(key)
        model = ModelConfig(ssh=Ssh(host="127.0.0.1", port=host.port, user=USER))
        async with watching(Target("m", "intermittent-failures", model, Config()), folder) as session:
            assert host.logins == 0, "nobody looked"
            await session.look_beside_model()
            offer = next(one for one in offered(session) if one.tool == "ss")
            assert offer.command == f"ssh -p {host.port} -l {USER} -- 127.0.0.1 'ss -s'"
            assert offer.where == "on host 127.0.0.1 (SSH)"
            run = await ran(session, offer)
    assert run.ending.startswith("exit code 5 after ")
    assert sorted(run.text.splitlines()) == ["a complaint", "asked with -s"]
