"""Companions are found where they are: along a real PATH, by a real shell, in real folders of skill packs."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from checks.base import CheckError
from infdiag_tui.companions import Place, beside_model, catalog, on_host, skill_packs
from infdiag_tui.companions.find import MAX_PLUGIN_BYTES, MAX_PLUGIN_DEPTH
from tests.checks.beside import Beside


def put_program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


class Shell(Beside):
    """Runs commands on this machine, with a PATH of its own: what a container with these programs would answer."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder)

    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            f"/bin/{command[0]}",
            *command[1:],
            env={"PATH": self._path},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await process.communicate()
        return process.returncode or 0, stdout, stderr


class Answering(Beside):
    """A way that gives one answer, or fails."""

    def __init__(self, answer: tuple[int, bytes, bytes] | CheckError) -> None:
        self._answer = answer

    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        if isinstance(self._answer, CheckError):
            raise self._answer
        return self._answer


def test_programs_are_found_along_the_path(tmp_path: Path) -> None:
    put_program(tmp_path / "bin", "py-spy")
    put_program(tmp_path / "bin", "unheard-of")
    (tmp_path / "bin" / "kubectl").write_text("not executable")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "jq").mkdir()
    assert on_host(f"{tmp_path}/bin{os.pathsep}{tmp_path}/other") == {"py-spy"}
    assert on_host(str(tmp_path / "absent")) == frozenset()


async def test_programs_beside_the_model_are_found_by_its_shell(tmp_path: Path) -> None:
    for name in ("nvidia-smi", "py-spy", "kubectl", "unheard-of"):
        put_program(tmp_path, name)
    found, problem = await beside_model(Shell(tmp_path))
    assert found == {"nvidia-smi", "py-spy"}, "kubectl is no tool for inside"
    assert problem == ""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (CheckError("pods/exec is forbidden: \x1b[31mask"), "unknown: pods/exec is forbidden: ask"),
        ((127, b"", b"sh: not found"), "there is no shell"),
        ((2, b"", b""), "ended with exit code 2"),
    ],
)
async def test_why_nothing_is_known_beside_the_model_is_said(
    answer: tuple[int, bytes, bytes] | CheckError, words: str
) -> None:
    found, problem = await beside_model(Answering(answer))
    assert found == frozenset()
    assert words in problem


async def test_a_container_can_claim_no_other_program_than_was_asked_for() -> None:
    reply = (
        b"/usr/bin/nvidia-smi\n/bin/rm\nperf\nalias py-spy='rm -rf /'\n\xff\xfe/ss\n/" + b"x" * 100_000 + b"\n/bin/ss\n"
    )
    found, problem = await beside_model(Answering((0, reply, b"")))
    assert found == {"nvidia-smi"}
    assert problem == ""


def put_pack(root: Path, name: str, content: Any) -> Path:
    path = root / "plugins" / name / "plugin.json"
    path.parent.mkdir(parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_skill_packs_are_found_under_their_roots(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    put_pack(first, "yzmir-pytorch-engineering", {"name": "whatever", "version": "1.2.0", "description": "PyTorch"})
    put_pack(second, "yzmir-pytorch-engineering", {"version": "9"})
    put_pack(second, "ordis-quality-engineering", {})
    (second / "plugins" / "no-pack").mkdir()
    packs, problems = skill_packs([first, second])
    assert problems == ()
    assert [(one.name, one.version, one.description) for one in packs] == [
        ("yzmir-pytorch-engineering", "1.2.0", "PyTorch"),
        ("ordis-quality-engineering", "", ""),
    ]
    assert packs[0].folder == first / "plugins" / "yzmir-pytorch-engineering"
    assert skill_packs([]) == ((), ())


def test_what_a_pack_says_of_itself_is_printable_bounded_and_free_of_secrets(tmp_path: Path) -> None:
    text = "\x1b]0;gone\x07red\x1b[31m \u202e password=hunter2222 " + "x" * 10_000
    put_pack(tmp_path, "a-pack", {"description": text, "version": ["no", "text"]})
    [pack], _ = skill_packs([tmp_path])
    assert pack.description.isprintable()
    assert "hunter2222" not in pack.description
    assert len(pack.description) <= 300
    assert pack.version == ""


def deep(levels: int) -> str:
    return '{"a": ' * levels + "1" + "}" * levels


def test_a_pack_that_cannot_be_read_is_told_and_left_out(tmp_path: Path) -> None:
    put_pack(tmp_path, "a-broken", "{")
    put_pack(tmp_path, "b-list", [1])
    put_pack(tmp_path, "c-large", " " * (MAX_PLUGIN_BYTES + 1))
    put_pack(tmp_path, "d-deep", deep(MAX_PLUGIN_DEPTH + 1))
    put_pack(tmp_path, "e-endless", '{"a": ' * 40_000)
    fifo = put_pack(tmp_path, "f-pipe", "")
    fifo.unlink()
    os.mkfifo(fifo)
    folder = put_pack(tmp_path, "g-folder", "")
    folder.unlink()
    folder.mkdir()
    put_pack(tmp_path, "h-fine", deep(MAX_PLUGIN_DEPTH))
    packs, problems = skill_packs([tmp_path, tmp_path / "absent"])
    assert [one.name for one in packs] == ["h-fine"]
    reasons = [one.partition("plugin.json: ")[2].partition(". ")[0] for one in problems[:-1]]
    assert reasons == [
        "is not valid JSON",
        "holds no JSON object",
        f"is larger than {MAX_PLUGIN_BYTES:,} bytes",
        "is nested too deeply",
        "is nested too deeply",
        "is no regular file",
        "is no regular file",
    ]
    assert problems[-1] == f"{tmp_path}/absent: is no folder. Correct skill_pack_roots."


def test_what_is_looked_for_is_what_the_commands_need() -> None:
    assert "kubectl" in catalog().wanted(Place.HOST)
    assert "kubectl" not in catalog().wanted(Place.BESIDE)
    assert {"trtexec", "curl"} <= set(catalog().wanted(Place.HOST))
