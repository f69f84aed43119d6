"""An own knowledge folder: causes that change or join the built-in ones, refused file by file when they hold an error.

The folder has `causes/*.toml`, written as the built-in files are, and `guidance/*.md`. A cause that infdiag knows needs
only the keys that are to be different: tables are merged key by key, everything else is replaced.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from infdiag_tui.knowledge.causes import Cause, dangling, raw_causes
from infdiag_tui.knowledge.causes import causes as built_in_causes
from infdiag_tui.knowledge.guidance import Guidance
from infdiag_tui.knowledge.symptoms import SYMPTOMS
from infdiag_tui.knowledge.toml_lines import Place, line_of
from infdiag_tui.regular_file import NoRegularFileError, read_regular
from infdiag_tui.text import clean, one_line

MAX_FILES = 100
MAX_BYTES = 1_000_000
_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")
_REFUSED = "The built-in causes are used in its place."


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The causes in force, their pages, and a sentence for each file that was refused."""

    causes: Mapping[str, Cause]
    guidance: Guidance
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _File:
    """One own file: its text, and its causes merged with the built-in ones."""

    path: Path
    text: str
    causes: dict[str, Cause] = field(default_factory=dict)


class _RefusedError(Exception):
    """A file cannot be used; the message names file, line and remedy."""


def load_knowledge(folder: Path | None, checks: Iterable[str]) -> Knowledge:
    """The built-in causes with those of an own folder merged over them. Blocking; raises nothing for what it reads.

    Args:
        folder: `knowledge_dir` of the config, None without one.
        checks: names of the checks there are.
    """
    built_in = built_in_causes()
    if folder is None:
        return Knowledge(built_in, Guidance(built_in))
    if not folder.is_dir():
        words = f"{folder}: is no folder. Correct knowledge_dir, or leave it out. The built-in causes are used."
        return Knowledge(built_in, Guidance(built_in), (one_line(clean(words), 600),))
    said: list[str] = []
    files = _read_all(folder, said)
    known_checks, pages = frozenset(checks), frozenset(Guidance(built_in, folder / "guidance").names())
    # A file whose causes are gone may leave another one's references dangling, so this is done until nothing changes.
    while True:
        merged = {**built_in, **{name: cause for one in files for name, cause in one.causes.items()}}
        refused = _first_dangling(files, merged, known_checks, pages)
        if refused is None:
            break
        files = [one for one in files if one is not refused[0]]
        said.append(refused[1])
    return Knowledge(merged, Guidance(merged, folder / "guidance"), tuple(one_line(clean(one), 600) for one in said))


def _read_all(folder: Path, said: list[str]) -> list[_File]:
    paths = sorted((folder / "causes").glob("*.toml"))
    if not paths and not any((folder / "guidance").glob("*.md")):
        said.append(f"{folder}: holds neither causes/*.toml nor guidance/*.md. Put them there, or leave it out.")
    if len(paths) > MAX_FILES:
        said.append(f"{folder}: holds {len(paths)} files of causes, {MAX_FILES} are read. Put several into one file.")
    files: list[_File] = []
    owners: dict[str, Path] = {}
    for path in paths[:MAX_FILES]:
        try:
            files.append(_read(path, owners))
        except _RefusedError as error:
            said.append(str(error))
    return files


def _read(path: Path, owners: dict[str, Path]) -> _File:
    file = _File(path, _text(path))
    try:
        raw = tomllib.loads(file.text)
    except tomllib.TOMLDecodeError as error:
        at = _AT_LINE.search(str(error))
        line = int(at[1]) if at else file.text.count("\n") + 1
        raise _refusal(path, line, f"is not valid TOML: {_AT_LINE.sub('', str(error))}. Correct it there") from error
    except RecursionError as error:
        raise _refusal(path, 1, "is nested too deeply. Write it as the built-in files are") from error
    for name, own in raw.items():
        file.causes[name] = _cause(file, name, own, owners)
    owners.update(dict.fromkeys(file.causes, path))
    return file


def _text(path: Path) -> str:
    try:
        content = read_regular(path, MAX_BYTES)
    except NoRegularFileError as error:
        raise _refusal(path, 1, f"{error}. Put a smaller text file there") from error
    except OSError as error:
        raise _refusal(path, 1, f"cannot be read ({error.strerror}). Check its permissions") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal(path, line, "is not UTF-8 text. Save it as UTF-8") from error


def _cause(file: _File, name: str, own: Any, owners: Mapping[str, Path]) -> Cause:
    line = line_of(file.text, (name,))
    if not _ID.fullmatch(name):
        raise _refusal(
            file.path, line, f"{name!r} is no id of a cause. Take lower-case letters, digits and dashes, at most 64"
        )
    if not isinstance(own, dict):
        raise _refusal(file.path, line, f"{name!r} is no table. Begin each cause with [its-id]")
    if name in owners:
        raise _refusal(file.path, line, f"[{name}] is in {owners[name].name} as well. Keep one of the two")
    try:
        return Cause.model_validate(_merged(raw_causes().get(name, {}), own))
    except ValidationError as error:
        problem = error.errors()[0]
        place = (name, *problem["loc"])
        raise _refusal(file.path, line_of(file.text, place), _explained(place, problem)) from error


def _merged(built_in: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(built_in)
    for key, value in own.items():
        held = result.get(key)
        result[key] = _merged(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return result


def _explained(place: Place, problem: Mapping[str, Any]) -> str:
    """What is wrong at `place`, and the remedy, without a full stop."""
    key = ".".join(str(part) for part in place)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(place[1:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        return f"{key} is an unknown key. " + (f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}")
    if problem["type"] == "missing":
        return f"{key} is missing. Add it"
    message = str(problem["msg"]).removeprefix("Value error, ")
    got = problem.get("input")
    shown = "" if isinstance(got, Mapping | list) else f" (got {one_line(repr(got), 80)})"
    return f"{key}: {message}{shown}. Correct it there"


def _keys_at(place: Sequence[str | int]) -> list[str]:
    current: type[BaseModel] = Cause
    for part in place:
        if isinstance(part, int):
            continue
        field_of = current.model_fields.get(part)
        annotation = field_of.annotation if field_of else None
        inner = [one for one in (annotation, *get_args(annotation)) if isinstance(one, type)]
        current = next((one for one in inner if issubclass(one, BaseModel)), current)
    return [field_of.alias or name for name, field_of in current.model_fields.items()]


def _first_dangling(
    files: Sequence[_File], merged: Mapping[str, Cause], checks: Collection[str], pages: Collection[str]
) -> tuple[_File, str] | None:
    owner = {name: one for one in files for name in one.causes}
    for found in dangling(merged, SYMPTOMS, checks, pages):
        file = owner.get(str(found.place[0]))
        if file is not None:
            line = line_of(file.text, found.place)
            key = ".".join(str(part) for part in found.place)
            return file, str(_refusal(file.path, line, f"{key}: {found.words}. Name one that there is"))
    return None


def _refusal(path: Path, line: int, words: str) -> _RefusedError:
    end = "" if words.endswith("?") else "."
    return _RefusedError(f"{path}:{line}: {words}{end} {_REFUSED}")
