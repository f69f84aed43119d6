"""Requests held against the training schema: fields, types, ranges, categories, missing rates."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from checks.base import CheckError
from checks.cases import read_bytes
from checks.json_compare import shown
from infdiag_tui.model import Verdict
from infdiag_tui.stats.wilson import wilson
from infdiag_tui.text import clean, one_line

RANGE_SHARE = 0.01
"""Values outside the training range in more than this share of rows are worth a word; a few are ordinary."""
MISSING_MARGIN = 0.01
"""How far a missing rate must be above training's before it matters, however large the sample."""
_EXAMPLES = 3
_TYPES: Mapping[str, tuple[type, ...]] = {
    "number": (int, float),
    "integer": (int,),
    "string": (str,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
FAILING = ("absent", "null", "type", "length")
"""Violations that a model cannot take; the others are warnings."""


class FieldSchema(BaseModel):
    """One field as it was in training."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    type: Literal["number", "integer", "string", "boolean", "array", "object", ""] = ""
    required: bool = True
    nullable: bool = False
    min: float | None = Field(None, alias="minimum")
    max: float | None = Field(None, alias="maximum")
    categories: tuple[Any, ...] | None = Field(None, alias="enum")
    missing_rate: float | None = Field(None, ge=0, le=1)
    length: int | None = Field(None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        """A type alone may stand for the field."""
        return {"type": given} if isinstance(given, str) else given


class Schema(BaseModel):
    """The training schema; `extra` says whether a field that it does not name is a violation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: dict[str, FieldSchema] = Field(min_length=1)
    extra: Literal["allow", "forbid"] = "forbid"


def load_schema(path: Path) -> Schema:
    """Reads a schema file, TOML or JSON (blocking): `fields` by name, or a JSON Schema's `properties`.

    Raises:
        CheckError: it cannot be read or is none.
    """
    data = read_bytes(path, "--schema")
    try:
        document: Any = tomllib.loads(data.decode()) if path.suffix == ".toml" else orjson.loads(data)
        return Schema.model_validate(_normal(document))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckError(one_line(clean(f"{path}: {where}: {first['msg']}; correct the schema"))) from error
    except ValueError as error:
        kind = "TOML" if path.suffix == ".toml" else "JSON"
        raise CheckError(one_line(clean(f"{path} is not {kind}: {error}; correct --schema"))) from error


def _normal(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    if isinstance(document.get("properties"), dict):
        required = document.get("required", [])
        known = set(FieldSchema.model_fields) | {"minimum", "maximum", "enum"}
        fields = {
            name: {
                **{key: value for key, value in one.items() if key in known},
                "required": isinstance(required, list) and name in required,
            }
            for name, one in document["properties"].items()
            if isinstance(one, dict)
        }
        return {"fields": fields, "extra": "forbid" if document.get("additionalProperties") is False else "allow"}
    listed = document.get("fields")
    if isinstance(listed, list):
        named = [one for one in listed if isinstance(one, dict) and isinstance(one.get("name"), str)]
        if len(named) == len(listed):
            fields = {one["name"]: {key: value for key, value in one.items() if key != "name"} for one in named}
            return {**document, "fields": fields}
    return document


def rows_of(body: Any) -> list[dict[str, Any]]:
    """The rows (field to value) in a predict request.

    `instances` (TensorFlow Serving and many others), V2 `inputs` (each named tensor is a field), `dataframe_records`,
    `inputs`, `data`, `rows`, an array of objects, or one object by itself.

    Raises:
        CheckError: no named fields are in it.
    """
    if isinstance(body, dict):
        tensors = body.get("inputs")
        if isinstance(tensors, list) and tensors and all(isinstance(one, dict) and "data" in one for one in tensors):
            return _tensor_rows(tensors)
        for name in ("instances", "dataframe_records", "inputs", "data", "rows"):
            if isinstance(body.get(name), list):
                body = body[name]
                break
        else:
            return [body]
    if not isinstance(body, list) or not body or not all(isinstance(one, dict) for one in body):
        raise CheckError("the request holds no rows with named fields, so a schema cannot be held against it")
    return body


def _tensor_rows(tensors: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, tensor in enumerate(tensors):
        name, shape, data = str(tensor.get("name", f"input {number}")), tensor.get("shape"), tensor["data"]
        if not isinstance(data, list) or not isinstance(shape, list) or not shape or not isinstance(shape[0], int):
            raise CheckError(f"input {one_line(clean(name), 60)} of the request needs shape and data")
        count = shape[0]
        each = len(data) // count if count > 0 else 0
        if count <= 0 or each * count != len(data):
            raise CheckError(f"input {one_line(clean(name), 60)} of the request: its data do not fit its shape")
        while len(rows) < count:
            rows.append({})
        for at in range(count):
            rows[at][name] = data[at] if each == 1 else data[at * each : (at + 1) * each]
    return rows


@dataclass(slots=True)
class FieldReport:
    """How one field fared over all rows. `violations` counts rows by kind; a missing value is absent or null."""

    name: str
    rows: int = 0
    missing: int = 0
    violations: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    missing_rate: float | None = None
    """Training's."""

    @property
    def excess_missing(self) -> bool:
        """True when values are missing more often than in training, beyond chance and beyond the margin."""
        if self.missing_rate is None or not self.rows or self.missing / self.rows <= self.missing_rate + MISSING_MARGIN:
            return False
        return wilson(self.missing, self.rows)[0] > self.missing_rate

    @property
    def verdict(self) -> Verdict:
        """What the violations amount to."""
        if any(self.violations[kind] for kind in FAILING):
            return Verdict.FAIL
        share = self.violations["range"] / self.rows if self.rows else 0.0
        if self.excess_missing or self.violations["category"] or self.violations["unexpected"] or share > RANGE_SHARE:
            return Verdict.WARN
        return Verdict.OK

    def sentence(self) -> str:
        """What is wrong with it."""
        parts = [f"{_WORDS[kind]} in {count} of {self.rows} rows" for kind, count in self.violations.most_common()]
        if self.excess_missing:
            parts.append(f"missing in {self.missing / self.rows:.1%} of rows, {self.missing_rate:.1%} in training")
        text = f"{self.name}: {', '.join(parts)}"
        return one_line(f"{text} (for example {', '.join(self.examples)})" if self.examples else text)

    def as_json(self) -> dict[str, Any]:
        """For the check's result."""
        return {
            "name": self.name,
            "rows": self.rows,
            "missing": self.missing,
            "violations": dict(self.violations),
            "examples": self.examples,
            "min": self.low,
            "max": self.high,
            "training_missing_rate": self.missing_rate,
            "verdict": str(self.verdict),
        }


_WORDS = {
    "absent": "absent",
    "null": "null",
    "type": "of another type",
    "length": "of another length",
    "range": "outside the training range",
    "category": "an unknown category",
    "unexpected": "not a field of the training schema",
}


def validate(schema: Schema, rows: Sequence[Mapping[str, Any]]) -> list[FieldReport]:
    """Every field of the schema, then fields that only the requests have."""
    reports = {
        name: FieldReport(one_line(clean(name), 80), len(rows), missing_rate=one.missing_rate)
        for name, one in schema.fields.items()
    }
    for row in rows:
        for name, one in schema.fields.items():
            _note(reports[name], one, row.get(name, _ABSENT))
        for name in row:
            if name not in schema.fields and schema.extra == "forbid":
                extra = reports.setdefault(name, FieldReport(one_line(clean(str(name)), 80), len(rows)))
                extra.violations["unexpected"] += 1
    return list(reports.values())


_ABSENT = object()


def _note(report: FieldReport, wanted: FieldSchema, value: Any) -> None:
    lacking = value is _ABSENT or value is None or (isinstance(value, float) and math.isnan(value))
    if lacking:
        report.missing += 1
        # A field that was missing at times in training may be missing now; how often is judged apart.
        if not wanted.missing_rate:
            if value is _ABSENT and wanted.required:
                report.violations["absent"] += 1
            elif value is not _ABSENT and not wanted.nullable:
                report.violations["null"] += 1
        return
    for kind in _violations(wanted, value):
        report.violations[kind] += 1
        example = shown(value)
        if len(report.examples) < _EXAMPLES and example not in report.examples:
            report.examples.append(example)
    if isinstance(value, int | float) and not isinstance(value, bool):
        report.low = value if report.low is None else min(report.low, value)
        report.high = value if report.high is None else max(report.high, value)


def _violations(wanted: FieldSchema, value: Any) -> Iterator[str]:
    if wanted.type and not _is_a(wanted.type, value):
        yield "type"
        return
    if wanted.length is not None and (not isinstance(value, list | str) or len(value) != wanted.length):
        yield "length"
    if isinstance(value, int | float) and not isinstance(value, bool):
        below = wanted.min is not None and value < wanted.min
        if below or (wanted.max is not None and value > wanted.max):
            yield "range"
    if wanted.categories is not None and not any(
        type(one) is type(value) and one == value for one in wanted.categories
    ):
        yield "category"


def _is_a(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])
