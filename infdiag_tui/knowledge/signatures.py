"""The log-signature library: known lines, what each means and what it speaks for, read from `signatures/*.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import Field, model_validator

from infdiag_tui.knowledge.causes import Cause, Entry

GENERIC = "generic"
FAMILIES = (
    "cuda-driver",
    "nccl",
    "pytorch",
    "tensorflow",
    "onnxruntime",
    "tensorrt",
    "triton",
    "vllm",
    "sglang",
    "torchserve",
    "tgi",
    "ray-serve",
    "python-web",
    "grpc",
    "python",
    "kernel",
    "kubernetes",
    "proxies",
    "data-and-version",
    GENERIC,
)
"""The files, by what writes the lines; the last holds wordings that many programs share, at lower weights."""

FLAGS = re.IGNORECASE | re.ASCII
"""Case is what loggers change most. ASCII: so that lower-casing a line loses no match (`ſ` is an `s` otherwise)."""


class SpokenFor(Entry):
    """A cause that the line speaks for: `weight` in log-odds, `decisive` where the line by itself proves it."""

    cause: str
    weight: float = Field(gt=0, le=4)
    decisive: bool = False
    because: str = Field(min_length=8)


class Signature(Entry):
    """One known line.

    `pattern` is matched without regard to case on the stable core of the line, and must be such that
    `literals.required_literals` takes it. `role`: whether the line names a cause,
    only echoes one (a dead engine, a dead worker), or tells what was going on; only the first speaks for causes.
    `severity` is the line's own, whatever level it was logged at: `ok` is worth telling and no finding. `at_least` is
    how many lines it takes: one of a kind that also comes in good times says nothing. `versions` names what writes it.
    """

    title: str = Field(min_length=4)
    pattern: str
    meaning: str = Field(min_length=20)
    role: Literal["cause", "symptom", "context"]
    severity: Literal["ok", "warn", "fail"]
    causes: tuple[SpokenFor, ...] = ()
    first_check: str
    at_least: int = Field(1, ge=1)
    versions: str = ""
    positive: tuple[str, ...] = Field(min_length=1)
    negative: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _speaks_by_role(self) -> Signature:
        if (self.role == "cause") != bool(self.causes):
            raise ValueError("a line with role 'cause' speaks for causes, any other for none")
        if self.causes and self.severity == "ok":
            raise ValueError("a line that is 'ok' is no evidence for a cause")
        return self


@cache
def families() -> Mapping[str, Mapping[str, Signature]]:
    """The signatures of each family by id."""
    folder = files(__package__) / "signatures"
    return {
        name: {
            id_: Signature.model_validate(raw)
            for id_, raw in tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8")).items()
        }
        for name in FAMILIES
    }


@cache
def signatures() -> Mapping[str, Signature]:
    """Every signature by id."""
    return {id_: one for family in families().values() for id_, one in family.items()}


@cache
def signature_weights() -> Mapping[str, tuple[tuple[str, float, bool, str], ...]]:
    """By signature id: the causes that its line speaks for, each with weight, whether it is decisive, and why."""
    return {
        id_: tuple((one.cause, one.weight, one.decisive, one.because) for one in signature.causes)
        for id_, signature in signatures().items()
    }


def signature_problems(found: Mapping[str, Signature], causes: Mapping[str, Cause], checks: Iterable[str]) -> list[str]:
    """A sentence for each reference of `found` that leads nowhere."""
    known = frozenset(checks)
    said = []
    for id_, signature in found.items():
        said += [f"{id_}: {one.cause!r} is no cause" for one in signature.causes if one.cause not in causes]
        if signature.first_check not in known:
            said.append(f"{id_}: {signature.first_check!r} is no check")
    return said
