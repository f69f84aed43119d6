"""Known-good inputs with their expected outputs: read from a file or the config, and judged."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from checks.base import CheckError
from checks.json_compare import Comparison, Difference, Ignored, Tolerance, compare, shown
from checks.json_path import PathError, find, has_wildcard, parse_path
from infdiag_tui.config import Endpoint
from infdiag_tui.text import clean, one_line

MAX_FILE_BYTES = 64 * 1024 * 1024
DEFAULT_TOLERANCE = Tolerance(1e-8, 1e-5)
"""NumPy's `allclose`: float32 arithmetic in another order (another batch, another GPU) stays well within it."""
_LABEL_NAMES = ("label", "class", "predicted_label", "predicted_class", "class_name", "category", "prediction")
_CALL = re.compile(r"\s*(?P<mode>[a-z]+)\s*\(\s*(?P<inside>.*?)\s*\)\s*")


class Mode(StrEnum):
    """How an output is held against the expected one."""

    EXACT = "exact"
    """Equal, member by member."""
    NUMERIC = "numeric"
    """The same structure, numbers within a tolerance."""
    SUBSET = "subset"
    """All that is expected is there (numbers within a tolerance); further members do not matter."""
    LABEL = "label"
    """The predicted class is the expected one."""


@dataclass(frozen=True, slots=True)
class Case:
    """One known-good input. `expected` counts only when `has_expected`."""

    name: str
    input: Any
    has_expected: bool = False
    expected: Any = None
    mode: Mode = Mode.SUBSET
    tolerance: Tolerance = DEFAULT_TOLERANCE
    path: str = ""


class _Entry(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: str = ""
    input: Any = Field(validation_alias=AliasChoices("input", "request", "body"))
    expected: Any = Field(None, validation_alias=AliasChoices("expected", "response", "output"))
    compare: Mode = Mode.SUBSET
    abs: float | None = Field(None, ge=0)
    rel: float | None = Field(None, ge=0)
    path: str = ""

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, given: Any) -> Any:
        """`compare` may carry its options: `numeric(1e-6, 1e-3)`, `subset($.x)`, `{mode, abs, rel, path}`."""
        if not isinstance(given, dict):
            return given
        how, rest = given.get("compare"), {name: value for name, value in given.items() if name != "compare"}
        if isinstance(how, dict):
            mode = how.get("mode", how.get("type", how.get("kind", "subset")))
            options = {name: value for name, value in how.items() if name not in ("mode", "type", "kind")}
            return {**rest, **options, "compare": mode}
        match = _CALL.fullmatch(how) if isinstance(how, str) else None
        if match is None:
            return given
        if match["mode"] != Mode.NUMERIC:
            return {**rest, "compare": match["mode"], "path": match["inside"]}
        numbers = dict(zip(("abs", "rel"), (part.strip() for part in match["inside"].split(",")), strict=False))
        return {**rest, "compare": match["mode"], **{name: value for name, value in numbers.items() if value}}

    @field_validator("path")
    @classmethod
    def _is_path(cls, value: str) -> str:
        parse_path(value)
        return value


def load_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a file (blocking): a JSON array, `{"cases": [...]}`, JSON lines, or TOML with `[[cases]]`.

    Raises:
        CheckError: it cannot be read or an entry is not a case; the sentence names file and entry.
    """
    entries = read_entries(path, "cases", "--cases")
    if not entries:
        raise CheckError(f"{path} holds no cases; give each an input and, where it is known, the expected output")
    return tuple(_case(path, number, entry) for number, entry in enumerate(entries, 1))


def read_entries(path: Path, table: str, flag: str) -> list[Any]:
    """The list that a JSON, JSON lines or TOML file holds, by itself or under the name `table` (blocking).

    Raises:
        CheckError: it cannot be read, or holds no such list.
    """
    data = read_bytes(path, flag)
    document: Any
    try:
        if path.suffix == ".toml":
            document = tomllib.loads(data.decode())
        elif path.suffix in (".jsonl", ".ndjson"):
            return [orjson.loads(line) for line in data.splitlines() if line.strip()]
        else:
            document = orjson.loads(data)
    except ValueError as error:  # of JSON, TOML and UTF-8
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise CheckError(one_line(clean(f"{path} is not {kind}: {error}; correct the file"))) from error
    found: Any = document.get(table) if isinstance(document, dict) else document
    if not isinstance(found, list):
        raise CheckError(f"{path} holds no list of {table}: a JSON array, JSON lines, or TOML with [[{table}]]")
    return found


def read_bytes(path: Path, flag: str) -> bytes:
    """A file's content (blocking); raises `CheckError` naming the flag that gave it."""
    expanded = path.expanduser()
    try:
        if expanded.stat().st_size > MAX_FILE_BYTES:
            size = MAX_FILE_BYTES // 1024 // 1024
            raise CheckError(f"{path} is larger than {size} MiB; name a smaller file with {flag}")
        return expanded.read_bytes()
    except OSError as error:
        reason = one_line(clean(f"{path} cannot be read: {error.strerror}; create it or correct {flag}"))
        raise CheckError(reason) from error


def _case(path: Path, number: int, entry: Any) -> Case:
    try:
        one = _Entry.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = f"{path}, case {number}: {where + ': ' if where else ''}{first['msg']}; correct the file"
        raise CheckError(one_line(clean(reason))) from error
    has_expected = "expected" in one.model_fields_set
    default = Tolerance() if one.compare is Mode.EXACT else DEFAULT_TOLERANCE
    tolerance = Tolerance(
        default.absolute if one.abs is None else one.abs,
        default.relative if one.rel is None else one.rel,
    )
    name = one_line(clean(one.name), 80) or f"case {number}"
    return Case(name, one.input, has_expected, one.expected, one.compare, tolerance, one.path)


def known_good(endpoint: Endpoint | None) -> Case | None:
    """The config's known-good input, None where there is none (blocking: it may be in a file).

    Raises:
        CheckError: the file cannot be read or is no JSON.
    """
    if endpoint is None:
        return None
    if endpoint.body_file is None:
        return None if endpoint.body is None else Case("known-good input", endpoint.body)
    try:
        return Case("known-good input", orjson.loads(read_bytes(endpoint.body_file, "endpoint.body_file")))
    except orjson.JSONDecodeError as error:
        reason = f"endpoint.body_file {endpoint.body_file} is not JSON: {error}; put the known-good input there as JSON"
        raise CheckError(one_line(clean(reason))) from error


def has_known_good(endpoint: Endpoint | None) -> bool:
    """True when the config names a known-good input."""
    return endpoint is not None and (endpoint.body is not None or endpoint.body_file is not None)


def judge(case: Case, body: Any, ignored: Ignored) -> Comparison:
    """How a reply differs from what the case expects."""
    path = parse_path(case.path)
    if case.mode is Mode.LABEL:
        return _judge_label(case, body)
    found = find(body, path)
    if not found and path:
        return _one(Difference(case.path, shown(case.expected), "absent"))
    actual = found if has_wildcard(path) else found[0]
    return compare(case.expected, actual, tolerance=case.tolerance, subset=case.mode is Mode.SUBSET, ignored=ignored)


def _judge_label(case: Case, body: Any) -> Comparison:
    path = parse_path(case.path)
    found = find(body, path)
    if not found:
        return _one(Difference(case.path, shown(case.expected), "absent"))
    try:
        actual = [label_of(one) for one in found] if has_wildcard(path) else label_of(found[0])
    except PathError as error:
        return _one(Difference(case.path or "$", shown(case.expected), f"no label: {error}"))
    expected = case.expected
    if isinstance(expected, list) != isinstance(actual, list):
        expected = expected if isinstance(expected, list) else [expected]
        actual = actual if isinstance(actual, list) else [actual]
    return compare(_as_text(expected), _as_text(actual))


def label_of(value: Any) -> Any:
    """The predicted class in a reply or a part of one.

    A string, an integer or a boolean is a label itself; a list of scores means the index of its largest; an object is
    searched for a member that by its name holds the label, or the single prediction that it wraps.

    Raises:
        PathError: there is none, or several; the message says that a path is needed.
    """
    for _ in range(8):
        if isinstance(value, str | bool | int):
            return value
        if isinstance(value, list) and len(value) > 1 and all(isinstance(one, float) for one in value):
            return max(range(len(value)), key=value.__getitem__)
        inner = _wrapped(value)
        if inner is None:
            break
        value = inner[0]
    raise PathError("the reply holds no single label; give the case a path to it, such as predictions[0].label")


def _wrapped(value: Any) -> tuple[Any] | None:
    if isinstance(value, list):
        return (value[0],) if len(value) == 1 else None
    if not isinstance(value, dict):
        return None
    for name in (*_LABEL_NAMES, "predictions", "outputs", "data", "result", "probabilities", "scores"):
        if name in value:
            return (value[name],)
    return None


def _as_text(value: Any) -> Any:
    """Labels as text, so that class 1 and class "1" are one."""
    if isinstance(value, list):
        return [_as_text(one) for one in value]
    return value.strip() if isinstance(value, str) else shown(value)


def _one(difference: Difference) -> Comparison:
    return Comparison(count=1, changed=1, compared=1, differences=[difference])
