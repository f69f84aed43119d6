"""kubectl itself against the lab."""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE

import pytest

from infdiag_tui.lab import Lab
from tests.lab.helpers import until
from tests.support import need_tool

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _kubectl(lab: Lab, *words: str, stdin: bytes | None = None) -> tuple[int | None, str, str]:
    environment = {**os.environ, "KUBECONFIG": str(lab.kubeconfig_path), "HOME": str(lab.folder)}
    process = await asyncio.create_subprocess_exec(
        need_tool("kubectl", "kubernetes-client"),
        *words,
        stdin=DEVNULL if stdin is None else PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=environment,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin), 20)
    return process.returncode, out.decode(), err.decode()


async def test_get_pods_prints_ready_status_and_restarts(healthy: Lab) -> None:
    code, out, err = await _kubectl(healthy, "get", "pods")
    assert code == 0, err
    head, *rows = out.splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert {row.split()[0] for row in rows} == {replica.name for replica in await healthy.replicas()}
    assert {tuple(row.split()[1:4]) for row in rows} == {("1/1", "Running", "0")}


async def test_describe_shows_limits_owner_and_events(healthy: Lab) -> None:
    code, out, err = await _kubectl(healthy, "describe", "pod", (await healthy.replicas())[0].name)
    assert code == 0, err
    for words in (
        "Controlled By:  ReplicaSet/fraud-scorer-",
        "memory:          256Mi",
        "Scheduled",
        "Started container",
    ):
        assert words in out


async def test_top_shows_memory(healthy: Lab) -> None:
    async def top() -> list[str] | None:
        code, out, _ = await _kubectl(healthy, "top", "pods", "--no-headers")
        return out.splitlines() if code == 0 else None

    rows = await until(top, "kubectl top answers")
    assert all(row.split()[2].endswith("Mi") for row in rows)


async def test_logs_and_their_refusal(healthy: Lab) -> None:
    name = (await healthy.replicas())[0].name
    code, out, err = await _kubectl(healthy, "logs", name, "--tail", "2")
    assert (code, len(out.splitlines())) == (0, 2), err
    code, _, err = await _kubectl(healthy, "logs", name, "--previous")
    assert code == 1
    assert "previous terminated container" in err


async def test_exec_passes_input_output_and_the_exit_code(healthy: Lab) -> None:
    name = (await healthy.replicas())[0].name
    code, out, err = await _kubectl(healthy, "exec", "-i", name, "--", "sh", "-c", "cat; exit 3", stdin=b"some words")
    assert out == "some words"
    assert code == 3, err
    code, _, err = await _kubectl(healthy, "exec", name, "--", "no-such-program")
    assert code != 0
    assert "executable file not found" in err


async def test_get_deployments_and_services_prints_what_serves_the_model_and_its_refusal(healthy: Lab) -> None:
    code, out, err = await _kubectl(healthy, "get", "deploy,svc,sts,rs", "--no-headers")
    assert code == 0, err
    rows = {row.split()[0]: row.split()[1:] for row in out.splitlines()}
    deployment = next(cells for name, cells in rows.items() if name.startswith("deployment.apps/"))
    assert deployment[:3] == ["2/2", "2", "2"]
    service = next(cells for name, cells in rows.items() if name.startswith("service/"))
    assert service[0] == "ClusterIP"
    assert service[3].endswith("/TCP")
    assert not any(name.startswith("statefulset") for name in rows)
    await healthy.deny("list", "deployments.apps")
    try:
        code, _, err = await _kubectl(healthy, "get", "deploy")
        assert code == 1
        assert 'cannot list resource "deployments" in API group "apps" in the namespace' in err
    finally:
        await healthy.deny("list", "deployments.apps", denied=False)
    code, _, err = await _kubectl(healthy, "get", "deploy", "-n", "restricted")
    assert code == 1
    assert "is forbidden" in err
