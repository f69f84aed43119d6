"""`infdiag doctor` as the operator types it, against the lab's cluster and servers."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from infdiag_tui.cli import main
from infdiag_tui.lab import Lab
from tests.support import need_tool

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


async def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    capsys.readouterr()
    code = await asyncio.to_thread(main, ["doctor", *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@asynccontextmanager
async def denied(lab: Lab, *rights: tuple[str, str]) -> AsyncIterator[None]:
    for right in rights:
        await lab.deny(*right)
    try:
        yield
    finally:
        for right in rights:
            await lab.deny(*right, denied=False)


async def test_all_well_is_exit_0_with_every_source_context_and_right(
    healthy: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = await doctor(capsys, "--json", "--config", str(healthy.config_path))
    document: dict[str, Any] = json.loads(out)
    assert code == 0, [one for one in document["sources"] if one["state"] != "live"]
    assert document["ok"] is True
    sources = {one["name"]: one for one in document["sources"]}
    assert {"latency", "pods", "pod-logs", "dcgm", "process", "host", "server_metrics"} <= sources.keys()
    assert {one["state"] for one in sources.values()} == {"live"}
    assert all(0 < one["took_s"] < 15 for one in sources.values())
    assert "answered in " in sources["latency"]["reason"]
    contexts = {one["name"]: one for one in document["contexts"]}
    assert contexts.keys() == {"lab", "restricted"}
    assert (contexts["lab"]["used"], contexts["restricted"]["used"]) == (True, False)
    assert contexts["lab"]["version"].startswith("v1.")
    assert document["user"] == f"system:serviceaccount:{healthy.namespace}:on-call"
    rights = {(one["group"], one["resource"], one["role"]): one for one in document["rights"]}
    assert rights["", "pods", "read"]["allowed"] == ["get", "list", "watch"]
    assert rights["apps", "deployments", "read"]["denied"] == []
    assert document["role"] == ""
    asked = {(one["verb"], one["resource"]): one["total"] for one in document["requests"]["by_kind"]}
    assert asked["watch", "pods"] == asked["watch", "events"] == asked["list", "pods.metrics.k8s.io"] == 1
    assert document["environment"]["infdiag"]
    assert "everything that is configured works" in err
    assert healthy.token not in out + err


async def test_a_missing_right_is_exit_1_with_the_exact_role_and_what_it_costs(
    healthy: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    async with denied(healthy, ("get", "pods/log"), ("watch", "events"), ("list", "deployments.apps")):
        code, out, _ = await doctor(capsys, "--config", str(healthy.config_path))
    assert code == 1
    lines = {tuple(line.split()[:2]): line for line in out.splitlines()}
    assert "lacks get" in lines["missing", "pods/log"]
    assert "logs of the pods" in lines["missing", "pods/log"]
    assert "lacks watch" in lines["missing", "events"]
    assert "works" not in lines["missing", "deployments.apps"]
    assert "not allowed to get pods/log" in next(line for line in out.splitlines() if " pod-logs " in line)
    role, binding = yaml.safe_load_all(
        out.partition("\n\napiVersion")[2].join(("apiVersion", "")).rpartition("\n\n")[0]
    )
    assert role["kind"] == "Role"
    assert role["metadata"]["namespace"] == healthy.namespace
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]},
    ]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "on-call", "namespace": healthy.namespace}]


async def test_a_cluster_that_is_gone_is_exit_3_and_named_with_its_remedy(
    healthy: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "infdiag.toml").write_text(
        f"[models.m.kubernetes]\nkubeconfig = '{healthy.kubeconfig_path}'\n[models.m.metrics]\nenabled = false\n"
        f"[models.m.logs]\nfiles = ['{healthy.log_files[0]}']\n[models.m.gpu]\nfind_dcgm = false\nnvml = false\n"
    )
    await healthy.stop_api()
    try:
        code, out, _ = await doctor(capsys)
    finally:
        await healthy.start_api()
    assert code == 3
    line = next(line for line in out.splitlines() if "lab (this target's)" in line)
    assert "connection refused" in line
    assert "kubectl get --raw /livez" in line
    assert any(line.split()[:2] == ["works", f"logs:{healthy.log_files[0].name}"] for line in out.splitlines())


async def test_kubectl_takes_both_roles(healthy: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kubectl = need_tool("kubectl", "kubernetes-client")
    code, out, _ = await doctor(capsys, "--rbac", "--config", str(healthy.config_path))
    assert code == 0
    head, _, tail = out.partition("# ---\n")
    second = "\n".join(line.removeprefix("# ") for line in tail.splitlines())
    kinds = ["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]
    assert [one["kind"] for one in yaml.safe_load_all(head) if one] == kinds
    assert [one["kind"] for one in yaml.safe_load_all(second)] == kinds[:2]
    for name, text, count in (("read", head, 4), ("act", second, 2)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        done = await asyncio.to_thread(
            subprocess.run,
            [kubectl, "apply", "--dry-run=client", "--validate=false", "-f", str(path)],
            env={**os.environ, "KUBECONFIG": str(healthy.kubeconfig_path)},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("created (dry run)") == count
