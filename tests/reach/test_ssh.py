"""The model server through a real OpenSSH server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import ErrorKind, Observation, SourceState, Status
from infdiag_tui.streams.reach.base import ReachError
from infdiag_tui.streams.reach.ssh import SshWay
from tests.reach.helpers import observed, predict, replies
from tests.reach.sshd import Sshd, sshd, user
from tests.support import eventually, serving_app


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(autouse=True)
def _home(server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(server.home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


async def score(_: web.Request) -> web.Response:
    return web.json_response({"score": 0.5})


def scorer() -> web.Application:
    app = web.Application()
    app.router.add_post("/predict", score)
    return app


def through(server: Sshd, base: str, **ssh: Any) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "endpoint": {"url": f"{base}/predict", "via": "ssh", "body": {}, "rate_per_s": 20.0},
            "ssh": {"host": "127.0.0.1", "port": server.port, "user": user(), **ssh},
        }
    )


async def test_checks_reach_the_server_as_the_ssh_host_sees_it(server: Sshd) -> None:
    async with serving_app(scorer()) as base:
        answer = await predict(through(server, base))
        config = f"Host jump\n HostName 127.0.0.1\n Port {server.port}\n User {user()}\n"
        (server.home / ".ssh" / "config").write_text(config)
        by_alias = await predict(through(server, base, host="jump", port=None, user=""))

    assert (answer.error, answer.body) == ("", {"score": 0.5})
    assert (by_alias.error, by_alias.body) == ("", {"score": 0.5})


async def test_the_probe_tells_the_tunnels_share_apart(server: Sshd) -> None:
    async with serving_app(scorer()) as base:
        told = await observed(
            through(server, base), lambda told: sum(one.phases.tunnel_ms is not None for one in replies(told)) > 5
        )

    assert all(one.ok for one in replies(told))
    assert {one.through for one in replies(told)} == {f"SSH host {user()}@127.0.0.1"}
    assert {one.phases.connect_ms for one in replies(told)} == {None}
    assert replies(told)[-1].reused


async def test_a_dropped_connection_is_the_tunnels_failure_and_is_opened_again(server: Sshd) -> None:
    async with serving_app(scorer()) as base:
        dropped = asyncio.Event()

        def enough(told: list[Observation]) -> bool:
            if sum(one.ok for one in replies(told)) == 3 and not dropped.is_set():
                assert server.drop() > 0
                dropped.set()
            statuses = [one for one in told if isinstance(one, Status)]
            return (
                dropped.is_set()
                and replies(told)[-1].ok
                and sum(one.ok for one in replies(told)) > 5
                and bool(statuses)
            )

        told = await observed(through(server, base), enough)

    assert {one.error for one in replies(told)} <= {None, ErrorKind.TUNNEL}
    assert all("SSH connection" in one.error_text for one in replies(told) if one.error)


async def test_a_changed_host_key_is_refused_with_the_exact_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sshd(tmp_path) as own:
        monkeypatch.setenv("HOME", str(own.home))
        own.stop()
        right = own.new_host_key()
        own.start()
        async with serving_app(scorer()) as base:
            told = await observed(through(own, base), lambda told: any(isinstance(one, Status) for one in told))
            own.known_hosts.write_text(right)
            mended = await predict(through(own, base))

    (status,) = [one for one in told if isinstance(one, Status)]
    assert status.state is SourceState.UNAVAILABLE
    assert {one.error for one in replies(told)} == {ErrorKind.TUNNEL}
    assert f"the host key of [127.0.0.1]:{own.port} (ssh-ed25519 SHA256:" in status.reason
    assert f"ssh-keygen -R '[127.0.0.1]:{own.port}' -f {own.known_hosts}" in status.remedy
    assert mended.error == ""


async def test_a_refused_target_is_the_models_failure_and_forbidden_forwarding_the_tunnels(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await observed(through(server, "http://127.0.0.1:1"), lambda told: bool(replies(told)))
    assert replies(told)[0].error is ErrorKind.CONNECT
    assert "cannot connect to 127.0.0.1:1" in replies(told)[0].error_text

    with sshd(tmp_path, "AllowTcpForwarding no") as strict:
        monkeypatch.setenv("HOME", str(strict.home))
        told = await observed(through(strict, "http://127.0.0.1:1"), lambda told: bool(replies(told)))
    assert replies(told)[0].error is ErrorKind.TUNNEL
    assert "allows no connections to be forwarded" in replies(told)[0].error_text


async def test_a_host_that_is_away_is_not_asked_again_at_once(server: Sshd) -> None:
    model = through(server, "http://127.0.0.1:1", port=1)
    assert model.ssh is not None
    way = SshWay(model.ssh, SystemClock())
    failures = []
    async with way.going():
        for _ in range(2):
            with pytest.raises(ReachError) as caught:
                await way.far_end("127.0.0.1", 1)
            failures.append(caught.value)

    assert failures[0].kind is ErrorKind.TUNNEL
    assert "cannot be reached" in failures[0].reason
    assert "next try in" in failures[1].reason


async def test_nothing_of_the_way_is_left_when_its_last_goer_leaves(server: Sshd) -> None:
    async with serving_app(scorer()) as base:
        await predict(through(server, base))

    await eventually(lambda: not server.sessions())
