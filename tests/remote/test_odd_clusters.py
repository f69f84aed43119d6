"""Exec where the container, the cluster's age or something in between is not as one would wish; over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from checks.base import CheckError
from infdiag_tui.lab.api import websocket
from infdiag_tui.lab.api.execution import end_abandoned
from infdiag_tui.lab.api.node import ExecPlace
from infdiag_tui.remote.guarded import GuardedRemote
from infdiag_tui.streams.kube.execute import ContainerPlace
from tests.remote.helpers import into
from tests.streams.kube.harness import HURRIED, kubeconfig

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
PLACE = ContainerPlace("ml", "scorer-1", "server")


@asynccontextmanager
async def cluster(tmp_path: Path, answer: Answer) -> AsyncIterator[GuardedRemote]:
    """A remote whose API server answers every exec in this way."""
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/ml/pods/scorer-1/exec", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig(runner.addresses[0][1]))
    try:
        async with into(path, PLACE, pace=HURRIED) as remote:
            yield remote
    finally:
        await runner.cleanup()
        await end_abandoned()


def container(folder: Path, *programs: str) -> Answer:
    """A container that has these programs and nothing else."""
    place = folder / "container"
    (place / "bin").mkdir(parents=True)
    for program in programs:
        found = shutil.which(program)
        assert found
        (place / "bin" / Path(program).name).symlink_to(found)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await websocket.serve_exec(request, ExecPlace(place, {"PATH": str(place / "bin")}))

    return answer


async def _socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
    await socket.prepare(request)
    return socket


def ends_with(status: object) -> Answer:
    """Every command ends with this on the error channel."""

    async def answer(request: web.Request) -> web.StreamResponse:
        socket = await _socket(request)
        await socket.send_bytes(b"\x03" + (status.encode() if isinstance(status, str) else json.dumps(status).encode()))
        await socket.close()
        return socket

    return answer


async def test_a_container_without_a_shell_still_runs_what_it_has(tmp_path: Path) -> None:
    async with cluster(tmp_path, container(tmp_path, "head")) as remote:
        assert await remote.run(("head", "-c", "3"), timeout_s=10, stdin=b"abcdef") == (0, b"abc", b"")
        code, _, said = await remote.run(("sh", "-c", "true"), timeout_s=10)

    assert code == 127
    assert b"there is no program sh in container server of pod scorer-1" in said


async def test_without_a_shell_an_abandoned_command_is_said_to_be_left(tmp_path: Path) -> None:
    async with cluster(tmp_path, container(tmp_path, "sleep")) as remote:
        with pytest.raises(CheckError, match=r"did not end within 5 s; it may still run there, for without a shell"):
            await remote.run(("sleep", "60"), timeout_s=5)


async def test_an_older_cluster_never_ends_the_input_and_the_command_knows_its_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "PROTOCOLS", ("v4.channel.k8s.io",))
    async with cluster(tmp_path, container(tmp_path, "sh", sys.executable, "cat")) as remote:
        python = Path(sys.executable).name
        code = "import sys; print(len(sys.stdin.buffer.read(int(sys.argv[1]))))"

        assert await remote.run((python, "-c", code, "70000"), timeout_s=30, stdin=b"x" * 70_000) == (
            0,
            b"70000\n",
            b"",
        )
        with pytest.raises(CheckError, match=r"cat in container .* did not end"):
            await remote.run(("cat",), timeout_s=1, stdin=b"x")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {"status": "Failure", "reason": "InternalError", "message": 'container not found ("server")'},
            "container server of pod scorer-1 does not run .*kubectl describe pod scorer-1 -n ml",
        ),
        (
            {"status": "Failure", "message": "container is not created or running"},
            "does not run .*--exec-pod",
        ),
        ({"status": "Failure", "message": "OCI runtime exec failed: cgroup is frozen"}, "cgroup is frozen.*kubectl"),
        ("plain words of an old node\x1b[31m", "plain words of an old node; kubectl describe"),
        ({"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "x"}]}}, "gave no reason"),
        ([1, 2], "no command can be started"),
    ],
)
async def test_what_the_node_says_becomes_a_sentence(tmp_path: Path, status: object, said: str) -> None:
    async with cluster(tmp_path, ends_with(status)) as remote:
        with pytest.raises(CheckError, match=said) as caught:
            await remote.run(("true",), timeout_s=10)

    assert "\x1b" not in str(caught.value)
    assert "may still run" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (500, "error dialing backend: dial tcp 10.0.0.3:10250: i/o timeout", "cannot reach the node .*port 10250"),
        (400, "container server is not valid for pod scorer-1", "no container server .*--exec-container"),
        (400, "cannot exec into a container in a completed pod; current phase is Succeeded", "does not run"),
        (503, "<html>\x1b[2Jbusy</html>", "answered HTTP 503"),
    ],
)
async def test_what_the_api_server_refuses_becomes_a_sentence(
    tmp_path: Path, code: int, message: str, said: str
) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "message": message}, status=code)

    async with cluster(tmp_path, refuse) as remote:
        with pytest.raises(CheckError, match=said) as caught:
            await remote.run(("true",), timeout_s=10)

    assert "\x1b" not in str(caught.value)


async def test_a_proxy_that_passes_no_websocket_is_named(tmp_path: Path) -> None:
    async def login(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>log in</html>")

    async with cluster(tmp_path, login) as remote:
        with pytest.raises(CheckError, match=r"did not open a WebSocket \(HTTP 200\).*must pass WebSocket upgrades"):
            await remote.run(("true",), timeout_s=10)


async def test_a_silent_api_server_is_given_up_on_and_cancelling_does_not_wait_for_it(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def silent(_: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with cluster(tmp_path, silent) as remote:
        with pytest.raises(CheckError, match=r"true in container .* did not end within 1 s; allow it more time"):
            await remote.run(("true",), timeout_s=1)
        asked.clear()
        running = asyncio.create_task(remote.run(("true",), timeout_s=600))
        await asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert remote._endings == set()


@pytest.mark.parametrize("how", ["closed", "aborted"])
async def test_a_connection_that_breaks_midway_is_unreachable(tmp_path: Path, how: str) -> None:
    async def breaks(request: web.Request) -> web.StreamResponse:
        socket = await _socket(request)
        await socket.send_bytes(b"\x01half of it")
        if how == "aborted":
            assert request.transport is not None
            request.transport.abort()
        else:
            await socket.close(code=1011, message=b"going away")
        return socket

    async with cluster(tmp_path, breaks) as remote:
        with pytest.raises(CheckError, match="broke before the command ended") as caught:
            await remote.run(("true",), timeout_s=10)

    assert caught.value.unreachable
    assert "it may still run there" in str(caught.value)


async def test_nothing_outside_of_the_containers_path_was_needed(tmp_path: Path) -> None:
    """The stand-in container really lacks what it is said to lack."""
    async with cluster(tmp_path, container(tmp_path, "sh")) as remote:
        code, out, _ = await remote.run(("sh", "-c", "echo $PATH; head"), timeout_s=10)

    assert code == 127
    assert out.decode().strip() == "/bin"
    assert os.environ["PATH"] not in out.decode()
