"""Paths in a check's section of the config are relative to the config file's folder, wherever infdiag is started."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from checks.base import Glob, Params
from checks.registry import all_checks
from infdiag_tui.check_config import configured, with_absolute_paths
from infdiag_tui.clock import SystemClock
from infdiag_tui.config.load import TargetFlags
from infdiag_tui.model import RunState
from infdiag_tui.session import Session
from infdiag_tui.targets import Target, resolve_target
from tests.support import eventually

ROOT = Path(__file__).parents[1]
FILES = {
    "baseline": {"results", "schema_file"},
    "drift": {"reference", "production"},
    "labels": {"current", "historical"},
    "memory": {"file"},
    "pipeline": {"schema_file", "records", "golden", "workdir", "code"},
    "predictions": {"current", "historical"},
    "profile": {"weights"},
    "reproduce": {"cases"},
    "shadow": {"cases"},
    "stages": {"spans_file", "pipeline_dir", "pipeline_input"},
    "version": {"file"},
}


class Example(Params):
    one: Path | None = None
    several: tuple[Path, ...] = ()
    by_name: dict[str, Path] = Field(default_factory=dict)
    patterns: tuple[Glob, ...] = ()
    pattern: Glob = ""
    text: str = ""
    texts: tuple[str, ...] = ()


def test_paths_in_every_shape_are_made_absolute_and_all_else_stays_as_written(tmp_path: Path) -> None:
    section: dict[str, Any] = {
        "one": "a/b.csv",
        "several": ["x.json", "/abs/y.json"],
        "by_name": {"train": "t.csv"},
        "patterns": ["src/**/*.py"],
        "pattern": "../*.onnx",
        "text": "a/b.csv",
        "texts": ["a/b"],
        "unknown": "c",
    }
    assert with_absolute_paths(Example, section, tmp_path) == {
        **section,
        "one": str(tmp_path / "a/b.csv"),
        "several": [str(tmp_path / "x.json"), "/abs/y.json"],
        "by_name": {"train": str(tmp_path / "t.csv")},
        "patterns": [str(tmp_path / "src/**/*.py")],
        "pattern": str(tmp_path / "../*.onnx"),
    }


def test_home_is_the_operators_and_what_is_no_path_is_left_for_the_parameters_to_refuse(tmp_path: Path) -> None:
    found = with_absolute_paths(Example, {"one": "~/a.csv", "pattern": "", "several": [1, None]}, tmp_path)
    assert found == {"one": str(Path.home() / "a.csv"), "pattern": "", "several": [1, None]}


@pytest.mark.parametrize("name", sorted(all_checks()))
def test_every_file_parameter_of_every_check_is_relative_to_the_config(name: str, tmp_path: Path) -> None:
    check = all_checks()[name]
    section = {one: ["rel"] if "tuple" in str(field.annotation) else "rel" for one, field in _textual(check.params)}
    config = tmp_path / "infdiag.toml"
    body = "".join(f"{key} = {json.dumps(value)}\n" for key, value in section.items())
    config.write_text(f"[models.m.checks.{name}]\n{body}")
    target = resolve_target("m", str(config), TargetFlags())

    given = configured(check, target)

    changed = {key for key in section if given[key] != section[key]}
    assert changed == FILES.get(name, set())
    assert all(given[key] in (str(tmp_path / "rel"), [str(tmp_path / "rel")]) for key in changed)


def _textual(params: type[Params]) -> list[tuple[str, Any]]:
    """The parameters that take text or paths."""
    return [
        (name, field)
        for name, field in params.model_fields.items()
        if any(word in str(field.annotation) for word in ("Path", "str"))
    ]


def _drifted(folder: Path) -> Path:
    """A folder with data and a config that names it, and another folder to start from."""
    place = folder / "config"
    place.mkdir()
    (folder / "elsewhere").mkdir()
    for name, shift in (("before.csv", 0), ("now.csv", 60)):
        (place / name).write_text("amount\n" + "".join(f"{shift + number % 97}\n" for number in range(400)))
    (place / "infdiag.toml").write_text(
        '[models.m.checks.drift]\nreference = "before.csv"\nproduction = "now.csv"\n',
    )
    return place


@pytest.mark.parametrize("relative", [False, True])
def test_the_shell_finds_the_configs_files_from_any_folder(tmp_path: Path, relative: bool) -> None:
    place = _drifted(tmp_path)
    named = "../config/infdiag.toml" if relative else str(place / "infdiag.toml")
    done = subprocess.run(
        [sys.executable, "-m", "infdiag_tui", "check", "drift", "m", "--config", named, "--json"],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["result"]["features"][0]["drifted"] is True


async def test_the_consoles_form_has_the_absolute_path_in_place_and_runs_with_it(tmp_path: Path) -> None:
    place = _drifted(tmp_path)
    target: Target = resolve_target("m", str(place / "infdiag.toml"), TargetFlags())
    session = Session(target, (), tmp_path, SystemClock())
    running = asyncio.create_task(session.run())
    try:
        session.offer_checks()
        await eventually(lambda: session.snapshot().offered is not None)
        offered = {one.name: one for one in session.snapshot().offered or ()}
        fields = {one.name: one.value for one in offered["drift"].fields}
        assert fields["reference"] == str(place / "before.csv")
        assert offered["drift"].missing == ""

        session.start_check(1, "drift", fields)
        await eventually(lambda: session.snapshot().checks[0].state is RunState.DONE, 60)
        assert session.snapshot().checks[0].result is not None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
