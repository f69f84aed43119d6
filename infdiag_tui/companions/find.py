"""Looks which companions are there: programs on this machine and in the container, skill packs under given roots."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from checks.base import CheckError, Remote
from infdiag_tui.companions.catalog import Place, catalog
from infdiag_tui.text import clean, one_line

CONTAINER_TIMEOUT_S = 20.0
MAX_PLUGIN_BYTES = 256_000
MAX_PLUGIN_DEPTH = 32
MAX_PACKS = 500
"""Folders looked at under one root."""

_MAX_REPLY_BYTES = 64_000
_NO_PROGRAM = (126, 127)
# The names are the shell's arguments, never part of its text.
_SCRIPT = 'for name do command -v "$name"; done; true'


@dataclass(frozen=True, slots=True)
class SkillPack:
    """A skill pack that is there; texts are printable, for they come from its plugin.json."""

    name: str
    folder: Path
    version: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The companions that are there, and a sentence for whatever could not be looked at."""

    host: frozenset[str] = frozenset()
    container: frozenset[str] = frozenset()
    packs: tuple[SkillPack, ...] = ()
    problems: tuple[str, ...] = ()


def on_host(path: str | None = None) -> frozenset[str]:
    """The catalog's programs on this machine. Blocking (looks along PATH, or `path`)."""
    return frozenset(name for name in catalog().wanted(Place.HOST) if shutil.which(name, path=path))


async def in_container(remote: Remote) -> tuple[frozenset[str], str]:
    """The catalog's programs beside the model, and why that is not known (empty when it is)."""
    wanted = catalog().wanted(Place.CONTAINER)
    try:
        code, stdout, _ = await remote.run(("sh", "-c", _SCRIPT, "sh", *wanted), timeout_s=CONTAINER_TIMEOUT_S)
    except CheckError as error:
        return frozenset(), one_line(clean(f"the container was not searched for tools: {error}"), 400)
    if code in _NO_PROGRAM:
        return frozenset(), "the container was not searched for tools: it has no shell"
    if code:
        return frozenset(), f"the container was not searched for tools: its shell ended with exit code {code}"
    lines = stdout[:_MAX_REPLY_BYTES].decode("utf-8", "replace").splitlines()
    # `command -v` prints a path for a program; an alias or a built-in is none of ours.
    names = {PurePosixPath(line).name for line in lines if line.startswith("/")}
    return frozenset(names.intersection(wanted)), ""


def skill_packs(roots: Iterable[Path]) -> tuple[tuple[SkillPack, ...], tuple[str, ...]]:
    """The packs under `ROOT/plugins/*/plugin.json`, and a sentence for each that cannot be read. Blocking.

    The first root wins where several have a pack of the same name.
    """
    found: dict[str, SkillPack] = {}
    problems: list[str] = []
    for root in roots:
        if not root.is_dir():
            problems.append(f"{root}: is no folder. Correct skill_pack_roots.")
            continue
        for path in sorted(islice(root.glob("plugins/*/plugin.json"), MAX_PACKS)):
            try:
                pack = _pack(path)
            except (OSError, ValueError) as error:
                problems.append(f"{path}: {error}. The pack is left out.")
            else:
                found.setdefault(pack.name, pack)
    return tuple(found.values()), tuple(one_line(clean(one), 400) for one in problems)


def _pack(path: Path) -> SkillPack:
    # A pipe under that name would keep its reader waiting for ever.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("is no regular file")
        content = file.read(MAX_PLUGIN_BYTES + 1)
    if len(content) > MAX_PLUGIN_BYTES:
        raise ValueError(f"is larger than {MAX_PLUGIN_BYTES:,} bytes")
    try:
        parsed = json.loads(content)
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except ValueError as error:
        raise ValueError("is not valid JSON") from error
    if not isinstance(parsed, dict):
        raise ValueError("holds no JSON object")  # noqa: TRY004 - bad content, not a wrong type of ours
    if _is_deeper(parsed, MAX_PLUGIN_DEPTH):
        raise ValueError("is nested too deeply")
    return SkillPack(
        # The folder's name is what the pack is found by; its own words are only shown.
        name=one_line(clean(path.parent.name), 100),
        folder=path.parent,
        version=_words(parsed.get("version"), 40),
        description=_words(parsed.get("description"), 300),
    )


def _words(value: Any, limit: int) -> str:
    return one_line(clean(value[: limit * 8]), limit) if isinstance(value, str) else ""


def _is_deeper(value: Any, limit: int) -> bool:
    layer = [value]
    for _ in range(limit):
        inner: list[Any] = []
        for one in layer:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        layer = inner
    return any(isinstance(one, dict | list) for one in layer)
