"""Looks which companions are there: programs here and beside the model, skill packs under roots."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from checks.base import CheckError, Remote
from infdiag_tui.companions.catalog import Place, catalog
from infdiag_tui.regular_file import NoRegularFileError, read_regular
from infdiag_tui.text import clean, one_line

TIMEOUT_S = 20.0
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
    beside: frozenset[str] = frozenset()
    packs: tuple[SkillPack, ...] = ()
    problems: tuple[str, ...] = ()


def on_host(path: str | None = None) -> frozenset[str]:
    """The catalog's programs on this machine. Blocking (looks along PATH, or `path`)."""
    return frozenset(name for name in catalog().wanted(Place.HOST) if shutil.which(name, path=path))


async def beside_model(remote: Remote) -> tuple[frozenset[str], str]:
    """The catalog's programs beside the model, and why that is not known (empty when it is)."""
    wanted = catalog().wanted(Place.BESIDE)
    try:
        code, stdout, _ = await remote.run(("sh", "-c", _SCRIPT, "sh", *wanted), timeout_s=TIMEOUT_S)
    except CheckError as error:
        return frozenset(), one_line(clean(f"tools beside the model are unknown: {error}"), 400)
    if code in _NO_PROGRAM:
        return frozenset(), "tools beside the model are unknown: there is no shell"
    if code:
        return frozenset(), f"tools beside the model are unknown: the shell ended with exit code {code}"
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
            except OSError as error:
                problems.append(f"{path}: cannot be read ({error.strerror}). The pack is left out.")
            except (NoRegularFileError, ValueError) as error:
                problems.append(f"{path}: {error}. The pack is left out.")
            else:
                found.setdefault(pack.name, pack)
    return tuple(found.values()), tuple(one_line(clean(one), 400) for one in problems)


def _pack(path: Path) -> SkillPack:
    content = read_regular(path, MAX_PLUGIN_BYTES)
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
