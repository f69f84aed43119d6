"""`infdiag init` and `infdiag NAME` as the operator types them, on the lab's cluster and on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from infdiag_tui.cli import main
from infdiag_tui.config.load import load_config
from infdiag_tui.discovery import host
from infdiag_tui.discovery.score import scored
from infdiag_tui.lab import Lab
from tests.support import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(name="home", autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def infdiag(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = await asyncio.to_thread(main, words)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@asynccontextmanager
async def denied(lab: Lab, *resources: str) -> AsyncIterator[None]:
    for resource in resources:
        await lab.deny("list", resource)
    try:
        yield
    finally:
        for resource in resources:
            await lab.deny("list", resource, denied=False)


async def test_init_writes_a_config_that_works_and_never_over_another(
    healthy: Lab, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = await infdiag(capsys, "init", "--kubeconfig", str(healthy.kubeconfig_path))
    assert (code, out) == (0, ""), err
    path = home / "infdiag.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    (model,) = load_config(path).models.values()
    assert model.kubernetes is not None
    assert (model.kubernetes.namespace, model.kubernetes.selector) == (healthy.namespace, healthy.selector)
    assert (model.kubernetes.context, model.kubernetes.kubeconfig) == ("lab", healthy.kubeconfig_path)
    text = path.read_text()
    assert "2 of 2 ready" in text
    assert "asks for a GPU" in text
    assert f"k8s://{healthy.namespace}/" in text
    assert f"looked at context lab: namespace {healthy.namespace}" in err

    code, _, err = await infdiag(capsys, "init", "--kubeconfig", str(healthy.kubeconfig_path))
    assert code == 2
    assert "is there already and is not overwritten" in err
    assert path.read_text() == text

    code, out, _ = await infdiag(capsys, "doctor", "--json")
    sources = {one["name"]: one["state"] for one in json.loads(out)["sources"]}
    assert (code, sources["pods"], sources["pod-logs"]) == (0, "live", "live")


async def test_a_name_that_no_config_knows_is_found_in_the_cluster(
    healthy: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(healthy.kubeconfig_path))
    name = healthy.selector.partition("=")[2]
    code, out, err = await infdiag(capsys, "doctor", name, "--json")
    document = json.loads(out)
    assert code == 0, document["sources"]
    assert document["model"] == name
    assert document["requests"]["by_kind"]
    assert f"Deployment {name}, namespace {healthy.namespace}, context lab" in err


async def test_a_name_that_is_nowhere_says_what_was_looked_at_and_what_to_do(
    healthy: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(healthy.kubeconfig_path))
    name = healthy.selector.partition("=")[2]
    for command in (["doctor"], ["triage", "--for", "1s"], ["check", "version"]):
        code, out, err = await infdiag(capsys, *command, f"{name}s")
        assert (code, out) == (2, "")
        assert f"Looked at context lab: namespace {healthy.namespace}" in err
        assert "this machine: " in err
        assert f"Did you mean '{name}'?" in err
        assert "--endpoint URL" in err
        assert "Traceback" not in err


async def test_who_may_not_list_deployments_still_finds_the_service_and_then_the_pods(
    healthy: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    name = healthy.selector.partition("=")[2]
    words = ("init", name, "--out", "-", "--kubeconfig", str(healthy.kubeconfig_path))
    async with denied(healthy, "deployments.apps", "statefulsets.apps"):
        code, out, _ = await infdiag(capsys, *words)
        assert code == 0
        assert f"Service {name}" in out
        assert f'selector = "{healthy.selector}"' in out
    async with denied(healthy, "deployments.apps", "statefulsets.apps", "services"):
        code, out, err = await infdiag(capsys, *words)
        assert code == 2
        assert "no namespace that may be read" in err


async def test_where_nothing_may_be_listed_the_pods_of_that_name_are_watched_all_the_same(
    healthy: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(healthy.kubeconfig_path))
    name = healthy.selector.partition("=")[2]
    async with denied(healthy, "deployments.apps", "statefulsets.apps", "services"):
        _, out, _ = await infdiag(capsys, "doctor", name, "--json")
    assert {one["name"]: one["state"] for one in json.loads(out)["sources"]}["pods"] == "live"


async def test_several_that_may_be_meant_are_listed_with_exit_2_when_nobody_can_be_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        listening(tmp_path, "ranker.py", "--model", "a") as one,
        listening(tmp_path, "ranker.py", "--model", "b") as two,
    ):
        await eventually(lambda: {one.pid, two.pid} <= {found.pid for found in host.look()[0]})
        code, out, err = await infdiag(capsys, "init", "ranker")
    assert (code, out) == (2, "")
    assert "2 workloads may be meant" in err
    assert all(f"pid {process.pid} on this machine" in err for process in (one, two))


async def test_a_process_that_listens_is_found_by_name_and_by_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(tmp_path, "scorer.py", "vllm", "serve") as process:
        await eventually(lambda: process.pid in {found.pid for found in host.look()[0]})
        (one,) = [found for found in host.look()[0] if found.pid == process.pid]
        candidate = scored(one)
        code, out, _ = await infdiag(capsys, "init", "scorer.py", "--out", str(tmp_path / "own.toml"))
        assert code == 0, out
    assert candidate.server is not None
    assert candidate.server.name == "vLLM"
    (model,) = load_config(tmp_path / "own.toml").models.values()
    assert model.host.port == one.ports[0]
    assert model.metrics.urls == (f"http://127.0.0.1:{one.ports[0]}/metrics",)


async def test_a_person_is_asked_before_a_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "infdiag.toml"
    with listening(tmp_path, "sole.py") as process:
        await eventually(lambda: process.pid in {found.pid for found in host.look()[0]})
        for answer, code, kept in (("n", 2, True), ("y", 0, False)):
            path.write_text("# mine\n")
            assert await asyncio.to_thread(at_a_terminal, tmp_path, answer, "init", "sole.py") == code
            assert (path.read_text() == "# mine\n") is kept


@contextmanager
def listening(folder: Path, script: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens on a port of its own, under this script's name."""
    (folder / script).write_text(
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\nwhile True:\n    server.accept()\n"
    )
    process = subprocess.Popen([sys.executable, script, *arguments], cwd=folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def at_a_terminal(home: Path, answer: str, *words: str) -> int:
    """The exit code of infdiag with input and standard error on a terminal where `answer` was typed."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-m", "infdiag_tui", *words], cwd=home, env=environment, stdin=theirs, stderr=theirs
    )
    os.close(theirs)
    try:
        os.write(ours, f"{answer}\n".encode())
        return process.wait(30)
    finally:
        process.kill()
        os.close(ours)


async def test_our_own_socket_is_no_finding() -> None:
    with socket.create_server(("127.0.0.1", 0)):
        found, looked = host.look()
    assert looked.startswith("this machine: ")
    assert os.getpid() not in {one.pid for one in found}


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        ("0::/system.slice/docker-0123456789abcdef0123456789abcdef.scope", "0123456789ab"),
        ("12:pids:/docker/fedcba9876543210fedcba9876543210", "fedcba987654"),
        (
            "0::/kubepods.slice/kubepods-pod1a2b3c4d_0000_1111.slice/cri-containerd-00112233445566778899aabbccddeeff.scope",
            "001122334455",
        ),
        (
            "4:memory:/kubepods/burstable/pod1a2b3c4d-0000-1111-2222-333344445555/00112233445566778899aabbccddeeff",
            "of pod 1a2b3c4d-0000-1111-2222-333344445555",
        ),
        ("0::/machine.slice/libpod-aabbccddeeff00112233445566778899.scope/container", "aabbccddeeff"),
        ("0::/user.slice/user-1000.slice/session-4.scope", ""),
    ],
)
async def test_the_container_of_a_process_is_read_from_its_cgroup(cgroup: str, container: str) -> None:
    assert host.container_in(f"{cgroup}\n") == container
