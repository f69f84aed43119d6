"""The load check by ways that are not the direct one, and the port that leads its generator there."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from checks.base import CheckContext
from checks.load import CHECK
from checks.load_params import LoadParams
from checks.running import run_check
from infdiag_tui.config import ModelConfig
from infdiag_tui.lab import Lab
from infdiag_tui.model import CheckResult, CheckStatus
from infdiag_tui.streams.reach.listener import listening
from infdiag_tui.streams.reach.splice import Far
from tests.reach.helpers import model_at, pod_url, sender_to, service_url
from tests.reach.sshd import sshd
from tests.reach.test_ssh import scorer, through
from tests.support import serving_app

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def load(model: ModelConfig, folder: Path) -> CheckResult:
    params = LoadParams(requests=30, concurrency=5, alone=3, warm_up=3)
    async with sender_to(model) as sender:
        context = CheckContext("m", model, folder, lambda: 0.0, lambda _: None, confirmed=True, sender=sender)
        return await run_check(CHECK, params, context)


async def test_load_goes_through_a_port_forward_and_its_times_are_not_held_to_the_objective(
    lab: Lab, tmp_path: Path
) -> None:
    model = model_at(lab, await pod_url(lab), via="port-forward", objective_p99_ms=0.001)

    found = await load(model, tmp_path)

    assert (found.result["requests"], found.result["errors"]) == (30, 0)
    assert found.status is CheckStatus.OK
    assert "through the port-forward way" in found.summary


async def test_load_goes_through_an_ssh_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sshd").mkdir()
    with sshd(tmp_path / "sshd") as server:
        monkeypatch.setenv("HOME", str(server.home))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        async with serving_app(scorer()) as base:
            found = await load(through(server, base), tmp_path)

    assert (found.result["requests"], found.result["errors"]) == (30, 0)


async def test_load_is_refused_to_the_api_servers_proxy(lab: Lab, tmp_path: Path) -> None:
    found = await load(model_at(lab, service_url(lab)), tmp_path)

    assert found.status is CheckStatus.SKIPPED
    assert "would be load on the API server" in found.summary


async def test_another_users_connection_is_ended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[None] = []

    async def far_end() -> Far:
        asked.append(None)
        raise AssertionError("nobody may come this far")

    monkeypatch.setattr("os.getuid", lambda: 4_294_967_000)
    async with listening(far_end) as address:
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await asyncio.wait_for(reader.read(1), 5) == b""
        writer.close()

    assert (host, asked) == ("127.0.0.1", [])
