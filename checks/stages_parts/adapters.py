"""Model servers' stage metrics as data: which counters tell which stage, and where they are scraped."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from checks.base import CheckError
from checks.stages_parts.figures import NAMED, Stage

CONFIGURED = "configured metrics"


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(_Data):
    """One time that a server tells; see the head of servers.toml for the meaning of the keys."""

    name: str
    stage: Stage
    unit: Literal["s", "ms", "us", "ns"] = "s"
    histogram: tuple[str, ...] = ()
    sum: tuple[str, ...] = ()
    count: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    gauge: tuple[str, ...] = ()
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    whole_server: bool = False
    note: str = ""
    offer: str = ""

    @property
    def computed(self) -> bool:
        """True when it is made from other parts."""
        return bool(self.plus)

    @property
    def metric(self) -> str:
        """What to call it in a sentence."""
        return (self.histogram + self.sum + self.gauge or (self.note,))[0]


class Server(_Data):
    """One kind of model server."""

    name: str
    known_by: tuple[str, ...]
    places: tuple[str, ...]
    parts: tuple[Part, ...]
    model_labels: tuple[str, ...] = ()
    offer: str = ""


class _File(_Data):
    servers: tuple[Server, ...]


@cache
def known_servers() -> tuple[Server, ...]:
    """Every server of servers.toml, in its order."""
    text = files("checks.stages_parts").joinpath("servers.toml").read_text(encoding="utf-8")
    return _File.model_validate(tomllib.loads(text)).servers


_METRIC = r"[A-Za-z_:][A-Za-z0-9_:.]*"
_CHOICE = re.compile(rf"({_METRIC})(?:/({_METRIC}))?(?:\{{(.*)\}})?\Z")
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"([^"]*)"\s*(?:,|\Z)')
_SUFFIXES: tuple[tuple[tuple[str, ...], Literal["s", "ms", "us", "ns"]], ...] = (
    (("_milliseconds", "_millis", "_ms"), "ms"),
    (("_microseconds", "_micros", "_us"), "us"),
    (("_nanoseconds", "_nanos", "_ns"), "ns"),
    (("_seconds", "_s"), "s"),
)


def configured(choices: tuple[str, ...], unit: Literal["", "s", "ms", "us", "ns"]) -> Server | None:
    """The metrics that the operator named, e.g. `preprocess=app_preprocess_seconds{model="a"}` or `queue=SUM/COUNT`.

    Raises:
        CheckError: a choice cannot be read.
    """
    if not choices:
        return None
    parts = tuple(_part(choice, unit) for choice in choices)
    known_by = tuple(name for part in parts for name in (*part.count, *(f"{base}_count" for base in part.histogram)))
    return Server(name=CONFIGURED, known_by=known_by, places=("/metrics",), parts=parts)


def named_stage(choice: str, flag: str) -> tuple[Stage, str]:
    """`STAGE=NAME` taken apart.

    Raises:
        CheckError: no such stage, or no name.
    """
    word, _, name = choice.partition("=")
    stage = next((stage for stage in NAMED if stage == word.strip()), None)
    if stage is None or not name.strip():
        raise CheckError(f"{flag} {choice!r}: write STAGE=NAME with a stage of {', '.join(NAMED)}.")
    return stage, name.strip()


def _part(choice: str, unit: Literal["", "s", "ms", "us", "ns"]) -> Part:
    stage, metric = named_stage(choice, "--stage")
    match = _CHOICE.match(metric)
    if match is None:
        raise CheckError(
            f'--stage {choice!r}: {metric!r} is no metric; write NAME, SUM/COUNT or NAME{{label="value"}}.'
        )
    name, count, labels = match[1], match[2], dict(_LABEL.findall(match[3] or ""))
    if match[3] and not labels:
        raise CheckError(f'--stage {choice!r}: labels are written {{name="value"}}.')
    base = re.sub(r"_(?:sum|count|bucket)\Z", "", name) if count is None else name
    unit_of = unit or _unit_of(re.sub(r"(?:_total|_sum)\Z", "", base))
    if count is not None:
        return Part(name=base, stage=stage, unit=unit_of, sum=(base,), count=(count,), labels=labels)
    return Part(name=base, stage=stage, unit=unit_of, histogram=(base,), labels=labels)


def _unit_of(name: str) -> Literal["s", "ms", "us", "ns"]:
    return next((unit for endings, unit in _SUFFIXES if name.endswith(endings)), "s")
