"""The checks' commands beside the model, through the lab's Kubernetes API and over SSH, as the shell runs them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from checks.infrastructure import CHECK as INFRASTRUCTURE
from checks.memory import CHECK as MEMORY
from checks.profile import CHECK as PROFILE
from checks.running import run_check
from checks.stages import CHECK as STAGES
from checks.version import CHECK as VERSION
from infdiag_tui.check_context import check_context
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.lab import Lab
from infdiag_tui.model import CheckResult, CheckStatus, Progress, Verdict
from infdiag_tui.targets import resolve_target
from tests.checks.profile_models import MODELS
from tests.remote.helpers import place_in, runs_beside
from tests.remote.ssh_server import USER, ssh_host
from tests.support import eventually, need_module

pytestmark = pytest.mark.asyncio(loop_scope="session")

PIPELINE = """
import time


class Scorer:
    def preprocess(self, value):
        time.sleep(0.03)
        return value

    def predict(self, value):
        return value


def hangs(value):
    open("started", "w").close()
    time.sleep(600)
"""


async def run(
    lab: Lab,
    folder: Path,
    check: Any,
    *,
    confirmed: bool = True,
    watch_s: float = 0.0,
    flags: Any = None,
    **params: Any,
) -> CheckResult:
    """The check on the lab's config, as the shell runs it."""
    target = resolve_target(None, str(lab.config_path), TargetFlags(**(flags or {})))
    said: list[str] = []

    def report(_: Progress) -> None:
        """Nobody watches."""

    async with check_context(target, folder, report, confirmed=confirmed, watch_s=watch_s, say=said.append) as context:
        result = await run_check(check, check.params.model_validate(params), context)
    assert said == []
    return result


def evidence(result: CheckResult) -> dict[str, Verdict]:
    return {one.id: one.verdict for one in result.evidence}


async def folder_of(lab: Lab) -> tuple[str, Path]:
    """The lab's pod, and its container's working folder."""
    pod = (await place_in(lab)).pod
    return pod, lab.folder / "pods" / pod


async def test_model_files_in_the_pod_are_hashed_there(lab: Lab, tmp_path: Path) -> None:
    pod, folder = await folder_of(lab)
    content = os.urandom(300_000)
    (folder / "model v2.onnx").write_bytes(content)
    (tmp_path / "model v2.onnx").write_bytes(content[:-1] + b"x")

    result = await run(
        lab, tmp_path, VERSION, pod_file=("*.onnx",), file=(f"{tmp_path}/*.onnx",),
        expected_hash=(hashlib.sha256(content).hexdigest(),),
    )  # fmt: skip

    inside = next(one for one in result.result["files"] if one["place"] == "container")
    assert (inside["path"], inside["size_bytes"]) == ("model v2.onnx", 300_000)
    assert inside["md5"] == hashlib.md5(content).hexdigest()
    assert inside["sha256"] == hashlib.sha256(content).hexdigest()
    assert inside["modified_at"] == pytest.approx((folder / "model v2.onnx").stat().st_mtime, abs=1.1)
    assert evidence(result)["version.file_hash"] is Verdict.OK
    assert evidence(result)["version.file_mismatch"] is Verdict.FAIL
    assert result.result["replicas"][0]["version"] == "2.4.1"
    assert pod


@pytest.mark.parametrize(
    ("check", "params"),
    [
        (VERSION, {"pod_file": ("/etc/hostname",)}),
        (MEMORY, {"in_pod": True}),
        (STAGES, {"in_pod": True, "pipeline": "scorer:Scorer"}),
        (PROFILE, {"in_pod": True, "pid": 1}),
    ],
)
async def test_without_consent_nothing_is_run_and_pod_and_container_are_named(
    lab: Lab, tmp_path: Path, check: Any, params: dict[str, Any]
) -> None:
    pod, _ = await folder_of(lab)
    # Were it to exec all the same, this would make an error of it.
    await lab.deny("get", "pods/exec")
    try:
        result = await run(lab, tmp_path, check, confirmed=False, **params)
    finally:
        await lab.deny("get", "pods/exec", denied=False)

    assert result.status is CheckStatus.SKIPPED
    assert f"in container server of pod {pod} (namespace {lab.namespace})" in result.summary
    assert result.summary.endswith("Agree with --yes.")


async def test_the_containers_cgroup_joins_the_infrastructure(lab: Lab, tmp_path: Path) -> None:
    pod, _ = await folder_of(lab)

    result = await run(lab, tmp_path, INFRASTRUCTURE, watch_s=3.0, in_pod=True)

    # The lab's container shares this machine's own account; which files it has is the machine's affair.
    here = subprocess.run(
        ["sh", "-c", "cat /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control 2>/dev/null"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    counted = "oom_kill " in here.stdout
    assert result.status in (CheckStatus.OK, CheckStatus.WARN, CheckStatus.FAIL), result.summary
    assert result.result["container"]["place"] == f"container server of pod {pod} (namespace {lab.namespace})"
    assert (result.result["container"]["oom_kills"] is not None) is counted
    assert ("infrastructure.oom_kills" in evidence(result)) is counted


async def test_memory_is_read_in_the_container(lab: Lab, tmp_path: Path) -> None:
    pod, _ = await folder_of(lab)
    here = subprocess.run(
        ["sh", "-c", "cd /sys/fs/cgroup && cat memory.max memory.stat || cat memory/memory.stat"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    # The machine's GPUs are watched besides; a reading that fails becomes a note.
    result = await run(lab, tmp_path, MEMORY, in_pod=True, duration_s=1, interval_s=0.2)

    place = f"container server of pod {pod} (namespace {lab.namespace})"
    series = [one for one in result.result["series"] if one["subject"] == place]
    if "anon " in here.stdout or "total_rss " in here.stdout:
        assert series[0]["readings"] >= 1
        assert series[0]["last_bytes"] >= 0
    else:
        assert series == []
        assert any(f"Memory cannot be read in {place}" in note for note in result.result["notes"])


async def test_a_pipeline_is_timed_in_the_container(lab: Lab, tmp_path: Path) -> None:
    _, folder = await folder_of(lab)
    (folder / "scorer.py").write_text(PIPELINE)

    result = await run(lab, tmp_path, STAGES, in_pod=True, pipeline="scorer:Scorer", requests=4, python=sys.executable)

    assert result.status is CheckStatus.FAIL, result.summary
    assert result.result["stages"]["preprocess"]["n"] == 4
    assert result.result["stages"]["preprocess"]["ms"] >= 30


async def test_cancelling_a_check_leaves_no_process_in_the_container(lab: Lab, tmp_path: Path) -> None:
    _, folder = await folder_of(lab)
    (folder / "scorer.py").write_text(PIPELINE)
    check = asyncio.create_task(run(lab, tmp_path, STAGES, in_pod=True, pipeline="scorer:hangs", python=sys.executable))
    await eventually((folder / "started").exists, 30)
    code = (Path(__file__).parents[2] / "checks/stages_parts/pipeline_child.py").read_text()
    assert len(runs_beside(code)) == 1

    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check

    assert runs_beside(code) == []
    (folder / "started").unlink()


async def test_a_model_is_profiled_in_the_container(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_module("torch", "torch==2.13.0")
    _, folder = await folder_of(lab)
    (folder / "models.py").write_text(MODELS)
    before = set(folder.iterdir())
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    result = await run(
        lab, tmp_path, PROFILE, in_pod=True, source="models:sorting", iterations=3, python=sys.executable
    )

    assert result.status is CheckStatus.WARN, result.summary
    assert result.evidence[0].subject == "aten::sort"
    assert (tmp_path / "profile-trace.json.gz").stat().st_size > 0
    assert {path for path in folder.iterdir() if path.name != "__pycache__"} <= before


async def test_what_is_missing_there_is_a_sentence(lab: Lab, tmp_path: Path) -> None:
    stages = await run(lab, tmp_path, STAGES, in_pod=True, pipeline="scorer:Scorer", python="no-such-python")
    profile = await run(lab, tmp_path, PROFILE, in_pod=True, source="a:b", python="no-such-python")
    version = await run(lab, tmp_path, VERSION, pod_file=("/nonexistent/*",))

    assert stages.status is CheckStatus.ERROR
    assert stages.summary.startswith("There is no no-such-python in container server of pod ")
    assert "no-such-python in container server of pod " in profile.summary
    assert "matches --pod-file /nonexistent/*" in json.dumps(version.result) + version.summary


async def test_a_forbidden_exec_is_the_checks_sentence(lab: Lab, tmp_path: Path) -> None:
    await lab.deny("get", "pods/exec")
    try:
        result = await run(lab, tmp_path, STAGES, in_pod=True, pipeline="scorer:Scorer")
    finally:
        await lab.deny("get", "pods/exec", denied=False)

    assert result.status is CheckStatus.ERROR
    assert "kubectl auth can-i get pods --subresource=exec" in result.summary


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"exec_pod": "scorer-9"}, "there is no pod scorer-9 among those of selector app=fraud-scorer"),
        ({"exec_container": "sidecar"}, "has no container sidecar; correct kubernetes.exec_container"),
    ],
)
async def test_a_pod_or_container_that_is_not_there_is_named(
    lab: Lab, tmp_path: Path, flags: dict[str, str], said: str
) -> None:
    result = await run(lab, tmp_path, MEMORY, flags=flags, in_pod=True)

    assert result.status is CheckStatus.SKIPPED
    assert said in result.summary


async def test_files_of_a_host_are_hashed_over_ssh_and_a_cgroup_is_not_looked_for(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    async with ssh_host(tmp_path / "home", tmp_path / "host") as (host, key):
        host.trust(key)
        (tmp_path / "host" / "model.pt").write_bytes(b"weights")
        flags = {"ssh": f"{USER}@127.0.0.1:{host.port}"}

        version = await run(lab, tmp_path, VERSION, flags=flags, pod_file=("*.pt",))
        unasked = await run(lab, tmp_path, VERSION, flags=flags, pod_file=("*.pt",), confirmed=False)
        memory = await run(lab, tmp_path, MEMORY, flags=flags, in_pod=True)

    (found,) = version.result["files"]
    assert (found["place"], found["md5"]) == ("host", hashlib.md5(b"weights").hexdigest())
    assert "on host ops@127.0.0.1 (SSH)" in unasked.summary
    assert memory.status is CheckStatus.SKIPPED
    assert "commands run on host ops@127.0.0.1 (SSH) instead" in memory.summary


def infdiag(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-m", "infdiag_tui", "check", *words],
        cwd=home, env=environment, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


async def test_the_shell_asks_for_yes_and_then_prints_one_document(lab: Lab, tmp_path: Path) -> None:
    pod, folder = await folder_of(lab)
    (folder / "weights.bin").write_bytes(b"weights")
    words = ("version", "--config", str(lab.config_path), "--exec-pod", pod, "--pod-file", "*.bin", "--json")

    asked = await asyncio.to_thread(infdiag, tmp_path, *words)
    agreed = await asyncio.to_thread(infdiag, tmp_path, *words, "--yes")

    assert asked.returncode == 2
    assert f"in container server of pod {pod}" in json.loads(asked.stdout)["result"]["summary"]
    assert agreed.returncode == 0, agreed.stderr
    found = next(file for file in json.loads(agreed.stdout)["result"]["files"] if "weights.bin" in file["path"])
    assert found["md5"] == hashlib.md5(b"weights").hexdigest()
