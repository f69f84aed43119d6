"""Real model servers, each from an environment of its own, running while this folder's tests need them."""

from __future__ import annotations

import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from infdiag_tui.lab.processes import free_port
from tests.live.environments import NotOfferedError, environment
from tests.live.serving import PROGRAMS, Operator, Served, child
from tests.support import missing_tool

TOKEN = "a-token-of-this-test"
"""What Triton's statistics want to see in the header `triton-access-token`."""


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Someone with a shell."""
    return Operator(tmp_path)


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A Triton with the models `slow` (30 ms in the queue, 150 ms of computing) and `fast`."""
    python = _python_of("pytriton")
    library = _libpython()
    folder = tmp_path_factory.mktemp("triton")
    port, grpc_port, metrics_port = free_port(), free_port(), free_port()
    command = (python, PROGRAMS / "triton_models.py", port, grpc_port, metrics_port, folder / "workspace", TOKEN)
    # Triton's Python backend must find the very library that belongs to the environment's Python.
    with child(command, port, "/v2/models/slow/ready", folder, {"LD_LIBRARY_PATH": str(library)}):
        yield Served(f"http://127.0.0.1:{port}/v2/models/{{model}}/infer", f"http://127.0.0.1:{metrics_port}/metrics")


@pytest.fixture(scope="session")
def mlserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An MLServer with the models `slow` (150 ms of computing, version v7) and `fast`."""
    python = _python_of("mlserver")
    folder = tmp_path_factory.mktemp("mlserver")
    port, grpc_port, metrics_port = free_port(), free_port(), free_port()
    settings = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc_port, "metrics_port": metrics_port}
    (folder / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0}))
    for model in ("slow", "fast"):
        (folder / model).mkdir()
        named = {"name": model, "implementation": f"mlserver_models.{model.title()}", "parameters": {"version": "v7"}}
        (folder / model / "model-settings.json").write_text(json.dumps(named))
    command = [python.with_name("mlserver"), "start", folder]
    with child(command, port, "/v2/health/ready", folder, {"PYTHONPATH": str(PROGRAMS)}):
        yield Served(f"http://127.0.0.1:{port}/v2/models/{{model}}/infer", f"http://127.0.0.1:{metrics_port}/metrics")


@pytest.fixture(scope="session")
def kserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A KServe with the model `slow`, of which preprocessing takes longest: 60 ms before 20 ms of computing."""
    python = _python_of("kserve")
    folder = tmp_path_factory.mktemp("kserve")
    port = free_port()
    command = [python, PROGRAMS / "kserve_model.py", "--http_port", str(port), "--enable_grpc", "false"]
    with child(command, port, "/v2/models/slow/ready", folder):
        yield Served(f"http://127.0.0.1:{port}/v2/models/{{model}}/infer", f"http://127.0.0.1:{port}/metrics")


@pytest.fixture(scope="session")
def litserve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A LitServe whose one worker takes 20 ms for a prediction."""
    python = _python_of("litserve")
    folder = tmp_path_factory.mktemp("litserve")
    port = free_port()
    with child([python, PROGRAMS / "litserve_model.py", str(port)], port, "/health", folder):
        yield Served(f"http://127.0.0.1:{port}/predict")


def _python_of(name: str) -> Path:
    try:
        return environment(name)
    except NotOfferedError as error:
        pytest.skip(str(error))


def _libpython() -> Path:
    """The folder with this Python's shared library."""
    name = str(sysconfig.get_config_var("INSTSONAME") or "")
    library = Path(str(sysconfig.get_config_var("LIBDIR") or ""))
    multiarch = str(sysconfig.get_config_var("MULTIARCH") or "")
    folders = (Path(sys.base_prefix) / "lib", library, library / multiarch, Path("/usr/lib") / multiarch)
    found = next((folder for folder in folders if ".so" in name and (folder / name).exists()), None)
    if found is None:
        missing_tool(f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so", f"libpython3.{sys.version_info[1]}")
    return found
