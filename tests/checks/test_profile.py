"""The profile check on real models in real child processes: what it finds, refuses, and leaves behind."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from checks.profile import CHECK, ProfileParams
from checks.profile_parts import bundle
from infdiag_tui.model import CheckStatus, Impact
from tests.checks.profile_helpers import Container, Progressed, context_in, profile, verdicts
from tests.checks.profile_models import MODELS
from tests.support import eventually, need_module

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `models.py` and its models in every file format."""
    need_module("torch", "torch")
    folder = tmp_path_factory.mktemp("models")
    (folder / "models.py").write_text(MODELS)
    saving = [sys.executable, "-W", "ignore", "-c", "import models; models.save()"]
    subprocess.run(saving, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
async def container(models: Path) -> AsyncIterator[Container]:
    container = Container(models)
    yield container
    await container.close()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the children keep temporary files; whatever is left there was left behind."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    # The threads of several models at once would only wait for each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return folder


async def test_a_healthy_model_has_a_matrix_product_on_top_and_no_finding(models: Path, tmp_path: Path) -> None:
    reported = Progressed()

    result = await profile(
        context_in(tmp_path, report=reported), source="models:healthy", import_path=str(models), outside_share=0.95
    )

    assert result.status is CheckStatus.OK, result.summary
    assert result.evidence[0].subject == "aten::addmm"
    shapes = [row["input_shapes"] for row in result.result["operators"] if row["name"] == "aten::addmm"]
    assert [[512], [64, 256], [256, 512]] in shapes
    assert result.result["memory"]["peak_host_bytes"] > 50_000_000
    assert result.result["iteration_ms"]["median"] > 0
    assert "profiling" in reported.texts


async def test_a_planted_slow_operator_is_found_and_named(models: Path, tmp_path: Path) -> None:
    result = await profile(context_in(tmp_path), source="models:sorting", import_path=str(models), iterations=5)

    top = next(one for one in result.evidence if one.id == "profile.top_operator")
    assert (result.status, top.subject, str(top.verdict)) == (CheckStatus.WARN, "aten::sort", "warn")
    assert "aten::sort" in result.summary
    assert result.result["operators"][0]["name"] == "aten::sort"


async def test_time_outside_operators_is_found(models: Path, tmp_path: Path) -> None:
    result = await profile(
        context_in(tmp_path), source="models:sleeping", import_path=str(models), warmup=0, iterations=3
    )

    assert verdicts(result)["profile.outside_operators"] == "warn"


async def test_trace_and_table_are_artifacts_and_device_figures_of_a_cpu_are_null_with_a_reason(
    models: Path, tmp_path: Path
) -> None:
    params = {"source": "models:named", "import_path": str(models), "iterations": 4, "device": "cpu"}

    result = await profile(context_in(tmp_path), **params)

    table, trace = (Path(path) for path in result.artifacts)
    assert "aten::addmm" in table.read_text()
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert sum(event.get("name") == "infdiag.iteration" for event in events if event.get("ph") == "X") == 4
    assert result.result["device_use"] is None
    assert result.result["copies"] is None
    assert result.result["missing"]["copies"] == "the model ran on the CPU"
    assert verdicts(result)["profile.device_idle"] == "unknown"
    assert verdicts(result)["profile.host_device_copies"] == "unknown"


async def test_a_graph_break_is_counted_with_its_place(models: Path, tmp_path: Path) -> None:
    result = await profile(context_in(tmp_path), source="models:compiled", import_path=str(models))

    breaks = result.result["graph_breaks"]
    assert breaks["count"] >= 1
    assert "models.py:" in breaks["reasons"][0]["where"]
    assert verdicts(result)["profile.graph_breaks"] == "warn"


async def test_a_planted_copy_is_found_on_a_gpu(models: Path, tmp_path: Path) -> None:
    context = context_in(tmp_path)
    params = {"import_path": str(models), "device": "cuda"}
    clean = await profile(context, source="models:healthy", **params)
    if "sees no CUDA device" in clean.summary:
        pytest.skip("no CUDA device here")

    planted = await profile(context, source="models:copying", **params)

    assert verdicts(clean)["profile.host_device_copies"] == "ok"
    assert verdicts(planted)["profile.host_device_copies"] == "warn"
    assert {row["direction"] for row in planted.result["copies"]["operators"]} == {"host to device", "device to host"}
    assert 0 <= planted.result["device_use"]["idle_share"] < 1
    assert planted.result["kernels"]


@pytest.mark.parametrize(
    ("file", "inputs", "kind"),
    [("scripted.pt", ("64,256",), "torchscript"), ("exported.pt2", (), "export")],
)
async def test_saved_models_are_profiled(
    models: Path, tmp_path: Path, file: str, inputs: tuple[str, ...], kind: str
) -> None:
    result = await profile(context_in(tmp_path), source=str(models / file), inputs=inputs)

    assert result.result["kind"] == kind
    assert result.evidence[0].subject == "aten::addmm"


async def test_weights_are_loaded_into_the_factorys_model(models: Path, tmp_path: Path) -> None:
    params = {"source": "models:bare", "import_path": str(models), "inputs": ("float32[4,256]",)}

    result = await profile(context_in(tmp_path), weights=models / "state.pt", **params)

    assert result.result["kind"] == "factory"
    assert result.result["operators"]


async def test_a_pickled_model_is_loaded_only_when_trusted(models: Path, tmp_path: Path) -> None:
    params = {"source": str(models / "whole.pt"), "import_path": str(models), "inputs": ("4,256",)}

    refused = await profile(context_in(tmp_path), **params)
    trusted = await profile(context_in(tmp_path), trust=True, **params)

    assert refused.status is CheckStatus.ERROR
    assert "--trust" in refused.summary
    assert trusted.result["kind"] == "pickle"


class _Harm:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def _poisoned(models: Path, target: Path, mark: Path) -> None:
    """`exported.pt2` with a constant in it whose pickle runs code."""
    with zipfile.ZipFile(models / "exported.pt2") as source, zipfile.ZipFile(target, "w") as poisoned:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("model_constants_config.json"):
                content = json.dumps(
                    {
                        "config": {
                            "harm": {
                                "path_name": "opaque_obj_0",
                                "is_param": False,
                                "use_pickle": True,
                                "tensor_meta": None,
                            }
                        }
                    }
                ).encode()
            poisoned.writestr(name, content)
        poisoned.writestr("exported/data/constants/opaque_obj_0", pickle.dumps(_Harm(mark)))


async def test_code_hidden_in_an_exported_file_does_not_run(models: Path, tmp_path: Path) -> None:
    mark, poisoned = tmp_path / "harm", tmp_path / "exported.pt2"
    _poisoned(models, poisoned, mark)

    refused = await profile(context_in(tmp_path), source=str(poisoned))
    ran_before_trust = mark.exists()
    await profile(context_in(tmp_path), source=str(poisoned), trust=True)

    assert refused.status is CheckStatus.ERROR
    assert "--trust" in refused.summary
    assert not ran_before_trust
    assert mark.exists(), "the file is harmless by itself: this test proves nothing"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("models:wrong_shape", "fails on its input"),
        ("models:absent", "cannot be imported"),
        ("models:bare", "--inputs"),
        ("models:deadly", "killed"),
        ("/nowhere/model.pt", "no file here"),
    ],
)
async def test_a_model_that_cannot_run_is_a_sentence(
    models: Path, tmp_path: Path, temporary: Path, model: str, words: str
) -> None:
    result = await profile(context_in(tmp_path), source=model, import_path=str(models))

    assert result.status is CheckStatus.ERROR
    assert words in result.summary
    assert "Traceback" not in result.summary
    assert not list(temporary.iterdir())


async def test_a_truncated_file_is_a_sentence(models: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pt"
    broken.write_bytes((models / "scripted.pt").read_bytes()[:2_000])

    result = await profile(context_in(tmp_path), source=str(broken))

    assert result.status is CheckStatus.ERROR
    assert "neither TorchScript" in result.summary


async def test_a_python_without_torch_is_named(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)

    result = await profile(context_in(tmp_path), source="x:y", python=str(bare / "bin/python"))

    assert result.status is CheckStatus.ERROR
    assert "torch cannot be imported" in result.summary
    assert "--in-pod" in result.summary


async def test_a_python_that_is_absent_is_named(tmp_path: Path) -> None:
    result = await profile(context_in(tmp_path), source="x:y", python="/nowhere/python")

    assert result.status is CheckStatus.ERROR
    assert "/nowhere/python cannot be started" in result.summary


async def test_cancelling_ends_the_child_and_its_folder(
    models: Path, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "running"
    monkeypatch.setenv("ENDLESS_MARK", str(mark))
    check = asyncio.create_task(profile(context_in(tmp_path), source="models:endless", import_path=str(models)))
    await eventually(mark.exists, 60)

    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check

    assert not list(temporary.iterdir())
    assert not _profilers()


async def test_a_model_that_never_answers_is_ended_in_time(
    models: Path, tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDLESS_MARK", str(tmp_path / "running"))

    result = await profile(context_in(tmp_path), source="models:endless", import_path=str(models), timeout_s=6)

    assert result.status is CheckStatus.ERROR
    assert "longer than 6 s" in result.summary
    assert not list(temporary.iterdir())


async def test_in_the_container_it_profiles_the_same_and_leaves_nothing(
    models: Path, tmp_path: Path, temporary: Path, container: Container
) -> None:
    files = set(models.iterdir())
    context = context_in(tmp_path, remote=container)

    result = await profile(context, source="models:sorting", in_pod=True, python=sys.executable, iterations=5)

    assert result.status is CheckStatus.WARN, result.summary
    assert result.evidence[0].subject == "aten::sort"
    events = json.loads(gzip.decompress((tmp_path / "profile-trace.json.gz").read_bytes()))["traceEvents"]
    assert any(event.get("name") == "aten::sort" for event in events)
    assert "base64" not in json.dumps(result.result)
    assert not list(temporary.iterdir())
    assert {path for path in models.iterdir() if path.name != "__pycache__"} <= files


async def test_cancelling_ends_what_runs_in_the_container(
    models: Path, tmp_path: Path, temporary: Path, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "running"
    monkeypatch.setenv("ENDLESS_MARK", str(mark))
    context = context_in(tmp_path, remote=container)
    check = asyncio.create_task(profile(context, source="models:endless", in_pod=True, python=sys.executable))
    await eventually(mark.exists, 60)

    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check

    assert await container.running[0].wait() == -signal.SIGKILL
    assert not list(temporary.iterdir())


async def test_a_container_without_python_is_a_sentence(tmp_path: Path, models: Path, container: Container) -> None:
    result = await profile(context_in(tmp_path, remote=container), source="x:y", in_pod=True, python="no-such-python")

    assert result.status is CheckStatus.ERROR
    assert f"no-such-python {container.where} cannot be run" in result.summary


def test_importing_the_check_imports_no_torch() -> None:
    code = "import sys, checks.profile; sys.exit('torch' in sys.modules or 'onnxruntime' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_childs_modules_leave_the_models_own_names_alone() -> None:
    job = {"token": "t", "timeout_s": 30}
    payload = bundle.pack("torch_run", {**job, "model": "os:getcwd", "device": "tpu"})
    code = bundle.LOADER.replace("channel.serve(entry.run, bundle['job'])", "")
    code = code.rsplit("channel.serve", 1)[0] + "print(sorted(n for n in sys.modules if n.startswith('checks')))"

    done = subprocess.run(
        [sys.executable, "-c", code, str(len(payload)), "t"], input=payload, capture_output=True, check=True
    )

    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "--source"),
        ({"source": "a:b", "in_pod": True}, "kubernetes.selector"),
        ({"server": "vllm"}, "endpoint.url"),
    ],
)
async def test_missing_inputs_say_what_gives_them(tmp_path: Path, params: dict[str, object], words: str) -> None:
    result = await profile(context_in(tmp_path), **params)

    assert result.status is CheckStatus.SKIPPED
    assert words in result.summary


def test_consent_is_asked_by_what_is_touched() -> None:
    assert CHECK.impact_of(ProfileParams(source="a:b")) is Impact.READ_ONLY
    assert CHECK.impact_of(ProfileParams(source="a:b", in_pod=True)) is Impact.EXEC
    assert CHECK.impact_of(ProfileParams(pid=1)) is Impact.EXEC
    assert CHECK.impact_of(ProfileParams(server="vllm")) is Impact.LOAD


def _profilers() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            except OSError:
                continue
            if b"channel.serve(entry.run" in words and parent == str(os.getpid()):
                found.append(entry.name)
    return found
