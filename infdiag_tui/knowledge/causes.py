"""Causes, the evidence they are weighed by and the impacts they must explain, read from this folder's TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SIGNATURE = "signature:"
"""Prefix of a condition that holds when a log signature of that cause was seen."""


WELL = ":ok"
"""Ending of a condition that holds when that evidence was measured and neither warns nor fails."""


class Entry(BaseModel):
    """Base of what is read from knowledge files: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EvidenceKind(Entry):
    """What an evidence id says and who measures it."""

    title: str
    streams: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    unit: str = ""
    lasting: bool = False


class Rule(Entry):
    """How one kind of evidence bears on a cause.

    `weight` is in log-odds (natural logarithm) and positive, on whichever side the rule stands; a warning counts half
    unless the rule asks for one. `with` are conditions that must all hold as well: an evidence id that warns or fails,
    one that was measured and does not (`ID:ok`), an impact, or `signature:CAUSE`; alternatives are separated by `|`.
    `without` are evidence ids that must not warn or fail. `decisive`: only this cause explains it (or, among what
    refutes, this cause cannot have it).
    """

    evidence: str
    weight: float = Field(gt=0, le=6)
    because: str
    verdict: Literal["bad", "warn", "fail", "ok"] = "bad"
    with_: tuple[str, ...] = Field((), alias="with")
    without: tuple[str, ...] = ()
    decisive: bool = False


class Alert(Entry):
    """A Prometheus alert: `expr` holds `{threshold}`, filled from the measured baseline, else `default`."""

    name: str
    expr: str
    default: float
    unit: str = ""
    hold: str = "5m"
    evidence: str = ""
    """The evidence whose healthy value the threshold is made from, times `factor`."""
    factor: float = 1.5


class Prevention(Entry):
    """What keeps the cause from coming back unseen: a metric to watch, an alert rule, a regression test."""

    metric: str
    condition: str
    test_case: str
    alert: Alert | None = None


class Cause(Entry):
    """One root cause: what it looks like, what to do now, later and ever after."""

    title: str
    component: Literal["Infrastructure", "Model", "Data", "Pipeline"]
    symptoms: dict[str, float] = Field(default_factory=dict)
    """By symptom, the log-odds that it adds to the prior."""
    effects: tuple[str, ...] = ()
    """Causes that it brings about: when both hold, these are its consequences."""
    first_check: str = ""
    supports: tuple[Rule, ...] = ()
    refutes: tuple[Rule, ...] = ()
    summary: str = ""
    immediate_fix: str = ""
    long_term_fix: str = ""
    prevention: Prevention | None = None
    guidance: str = ""


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads((files(__package__) / name).read_text(encoding="utf-8"))


@cache
def causes() -> Mapping[str, Cause]:
    """Every cause by id, infrastructure first."""
    found: dict[str, Cause] = {}
    for name in ("gpu", "pods", "serving", "data", "pipeline", "model"):
        for cause_id, raw in _toml(f"causes/{name}.toml").items():
            found[cause_id] = Cause.model_validate(raw)
    return found


@cache
def evidence_kinds() -> Mapping[str, EvidenceKind]:
    """Every kind of evidence by id."""
    return {id_: EvidenceKind.model_validate(raw) for id_, raw in _toml("evidence.toml").items()}


@cache
def impacts() -> Mapping[str, frozenset[str]]:
    """Groups of evidence that mean harm, by name."""
    return {name: frozenset(ids) for name, ids in _toml("impacts.toml").items()}


def problems(found: Mapping[str, Cause], symptoms: Iterable[str], checks: Iterable[str]) -> list[str]:
    """A sentence for each reference in `found` that leads nowhere."""
    kinds, groups = evidence_kinds(), impacts()
    known_symptoms, known_checks = frozenset(symptoms), frozenset(checks)
    said: list[str] = []
    for cause_id, cause in found.items():
        said += [f"{cause_id}: symptoms: {one!r} is none" for one in cause.symptoms if one not in known_symptoms]
        said += [f"{cause_id}: effects: {one!r} is no cause" for one in cause.effects if one not in found]
        if cause.first_check not in known_checks:
            said.append(f"{cause_id}: first_check: {cause.first_check!r} is no check")
        for rule in (*cause.supports, *cause.refutes):
            names = [rule.evidence, *rule.without]
            for condition in rule.with_:
                for one in condition.split("|"):
                    if one.startswith(SIGNATURE):
                        names += [] if one.removeprefix(SIGNATURE) in found else [one]
                    elif one not in groups:
                        names.append(one.removesuffix(WELL))
            said += [f"{cause_id}: {rule.evidence}: {one!r} is no evidence" for one in names if one not in kinds]
    said += [f"{one}: effects: it would be an effect of itself" for one in found if one in _consequences(one, found)]
    for group, ids in groups.items():
        said += [f"impacts: {group}: {one!r} is no evidence" for one in sorted(ids) if one not in kinds]
    return said


def _consequences(cause_id: str, found: Mapping[str, Cause]) -> set[str]:
    """All that a cause brings about, by however many steps."""
    reached: set[str] = set()
    ahead = [cause_id]
    while ahead:
        cause = found.get(ahead.pop())
        for effect in cause.effects if cause else ():
            if effect not in reached:
                reached.add(effect)
                ahead.append(effect)
    return reached
