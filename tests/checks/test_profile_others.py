"""The profile check on ONNX models, on a running Python process, and on a server that profiles itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from checks.profile_parts import pyspy
from infdiag_tui.config import Endpoint, ModelConfig
from infdiag_tui.model import CheckStatus
from tests.checks import onnx_model
from tests.checks.profile_helpers import Container, ProfilingServer, context_in, profile, verdicts
from tests.support import eventually, need_module

BUSY = """
import sys
def planted_slow_function():
    total = 0
    for number in range(200_000):
        total += number * number
    return total
print("ready", flush=True)
while True:
    planted_slow_function()
"""


async def test_the_slow_operator_of_an_onnx_model_is_found(tmp_path: Path) -> None:
    need_module("onnxruntime", "onnxruntime")
    onnx_model.write(tmp_path / "model.onnx", ("Relu", *["Erf"] * 20), ("batch", 2048))

    result = await profile(context_in(tmp_path), source=str(tmp_path / "model.onnx"), inputs=("float32[256,2048]",))

    assert result.result["operators"][0]["provider"] == "CPUExecutionProvider"
    assert result.evidence[0].subject == "Erf"
    assert verdicts(result)["profile.top_operator"] == "warn"
    assert [Path(path).name for path in result.artifacts] == ["profile-trace.json.gz"]


async def test_a_file_that_is_no_onnx_model_is_a_sentence(tmp_path: Path) -> None:
    need_module("onnxruntime", "onnxruntime")
    (tmp_path / "model.onnx").write_bytes(b"no protobuf")

    result = await profile(context_in(tmp_path), source=str(tmp_path / "model.onnx"))

    assert result.status is CheckStatus.ERROR
    assert "does not load" in result.summary


async def test_a_python_without_onnxruntime_is_named(tmp_path: Path) -> None:
    onnx_model.write(tmp_path / "model.onnx", ("Relu",), (1, 4))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)

    result = await profile(
        context_in(tmp_path), source=str(tmp_path / "model.onnx"), python=str(tmp_path / "bare/bin/python")
    )

    assert result.status is CheckStatus.ERROR
    assert "onnxruntime cannot be imported" in result.summary


@pytest.fixture
def busy() -> Iterator[int]:
    """The pid of a Python process that spends its time in one function."""
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


async def test_the_busy_function_of_a_running_process_is_found(tmp_path: Path, busy: int) -> None:
    result = await profile(context_in(tmp_path), pid=busy, seconds=1)

    assert result.status is CheckStatus.WARN, result.summary
    assert "planted_slow_function" in result.summary
    assert result.result["samples"] > 0
    assert "planted_slow_function" in Path(result.artifacts[0]).read_text()


async def test_a_process_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()

    result = await profile(context_in(tmp_path), pid=process.pid, seconds=1)

    assert result.status is CheckStatus.ERROR
    assert str(process.pid) in result.summary


async def test_a_missing_py_spy_is_said_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    result = await profile(context_in(tmp_path), pid=1)

    assert result.status is CheckStatus.SKIPPED
    assert "pip install py-spy" in result.summary


def test_shares_of_collapsed_stacks_count_recursion_once() -> None:
    found = pyspy.summarise(pyspy.parse("main;f;f 3\nmain;g 1\npy-spy> Samples: 4\n"))

    assert found["samples"] == 4
    shares = {row["name"]: (row["self_share"], row["total_share"]) for row in found["functions"]}
    assert shares == {"f": (0.75, 0.75), "g": (0.25, 0.25), "main": (0.0, 1.0)}


def _config(url: str) -> ModelConfig:
    return ModelConfig(endpoint=Endpoint(url=f"{url}/predict", body={"x": 1}))


async def test_a_servers_profiler_is_on_for_the_requests_and_off_afterwards(tmp_path: Path) -> None:
    async with ProfilingServer().serve() as server:
        context = context_in(tmp_path, model=_config(server.url), sender=server)

        result = await profile(context, server="vllm", requests=2)

    assert result.status is CheckStatus.OK, result.summary
    assert server.calls == ["plain", "plain", "start", "profiled", "profiled", "stop"]
    assert result.result["with_profiler"]["answered"] == 2


async def test_a_server_without_the_endpoint_says_how_to_enable_it(tmp_path: Path) -> None:
    async with ProfilingServer(has_endpoints=False).serve() as server:
        result = await profile(context_in(tmp_path, model=_config(server.url), sender=server), server="vllm")

    assert result.status is CheckStatus.ERROR
    assert "--profiler-config" in result.summary


async def test_a_profiler_that_stays_on_is_said_aloud(tmp_path: Path) -> None:
    async with ProfilingServer(stop_status=500).serve() as server:
        result = await profile(context_in(tmp_path, model=_config(server.url), sender=server), server="sglang")

    assert result.status is CheckStatus.ERROR
    assert "may still run" in result.summary


async def test_cancelling_switches_the_servers_profiler_off(tmp_path: Path) -> None:
    async with ProfilingServer(hold=asyncio.Event()).serve() as server:
        context = context_in(tmp_path, model=_config(server.url), sender=server)
        check = asyncio.create_task(profile(context, server="vllm", requests=1))
        await eventually(lambda: "profiled" in server.calls)

        check.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await check

        assert check.cancelled()
        assert not server.profiling


async def test_nothing_is_profiled_on_a_server_without_consent(tmp_path: Path) -> None:
    async with ProfilingServer().serve() as server:
        context = context_in(tmp_path, model=_config(server.url), sender=server)
        context.confirmed = False

        result = await profile(context, server="vllm")

    assert result.status is CheckStatus.SKIPPED
    assert "slower meanwhile" in result.summary
    assert server.calls == []


async def test_a_process_in_the_container_is_sampled_there(
    tmp_path: Path, busy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(pyspy.find()).parent}:{os.environ['PATH']}")
    container = Container(tmp_path)

    result = await profile(context_in(tmp_path, remote=container), pid=busy, in_pod=True, seconds=1)
    await container.close()

    assert "planted_slow_function" in result.summary
    assert container.commands[0][0] == "py-spy"
    assert [path.name for path in tmp_path.iterdir()] == [f"profile-stacks-{busy}.txt"]


async def test_a_container_without_py_spy_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    container = Container(tmp_path)

    result = await profile(context_in(tmp_path, remote=container), pid=1, in_pod=True)

    assert result.status is CheckStatus.ERROR
    assert "pip install py-spy" in result.summary
    assert container.where in result.summary
