"""Causes, the evidence they are weighed by and the impacts they must explain, read from this folder's TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from infdiag_tui.knowledge.units import factor_between

SIGNATURE = "signature:"
"""Prefix of a condition that holds when a log signature of that cause was seen."""

THRESHOLD = "{threshold}"
"""Stands in an alert's expression for the measured limit."""


WELL, FAILS = ":ok", ":fail"
"""Endings of conditions: that evidence was measured and neither warns nor fails; it fails, and does not only warn."""


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
    one that was measured and does not (`ID:ok`), one that fails (`ID:fail`), an impact, or `signature:CAUSE`;
    alternatives are separated by `|`. `without` are conditions that must not hold: evidence ids, as they are or with
    such an ending. `decisive`: only this cause explains it (or, among what refutes, this cause cannot have it).
    """

    evidence: str
    weight: float = Field(gt=0, le=6)
    because: str
    verdict: Literal["bad", "warn", "fail", "ok"] = "bad"
    with_: tuple[str, ...] = Field((), alias="with")
    without: tuple[str, ...] = ()
    decisive: bool = False


class Alert(Entry):
    """A Prometheus alert: `expr` holds `{threshold}`, filled from the measured baseline, else `default`.

    `evidence` names what was measured while all was well; `factor` times that, in `unit`, is the threshold, kept within
    `least` and `most` so that a baseline of nearly nothing makes no alarm that never rests. Without `evidence` the
    threshold is fixed: any occurrence counts.
    """

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    expr: str
    default: float
    unit: str = ""
    hold: str = Field("5m", pattern=r"^[0-9]{1,5}[smhd]$")
    severity: Literal["warning", "critical"] = "warning"
    evidence: str = ""
    factor: float = Field(1.5, gt=0, le=100)
    least: float | None = None
    most: float | None = None

    @field_validator("expr")
    @classmethod
    def _has_threshold(cls, expr: str) -> str:
        if THRESHOLD not in expr:
            raise ValueError(f"lacks {THRESHOLD}. Put it where the limit belongs, as in: metric > {THRESHOLD}")
        return expr

    @property
    def below(self) -> bool:
        """True when the alert fires below its threshold."""
        return f"< {THRESHOLD}" in self.expr


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
def raw_causes() -> Mapping[str, Mapping[str, Any]]:
    """Every cause by id as its file has it, infrastructure first."""
    found: dict[str, Mapping[str, Any]] = {}
    for name in ("gpu", "pods", "serving", "data", "pipeline", "model"):
        found.update(_toml(f"causes/{name}.toml"))
    return found


@cache
def causes() -> Mapping[str, Cause]:
    """Every cause by id, infrastructure first."""
    return {cause_id: Cause.model_validate(raw) for cause_id, raw in raw_causes().items()}


@cache
def evidence_kinds() -> Mapping[str, EvidenceKind]:
    """Every kind of evidence by id."""
    return {id_: EvidenceKind.model_validate(raw) for id_, raw in _toml("evidence.toml").items()}


@cache
def impacts() -> Mapping[str, frozenset[str]]:
    """Groups of evidence that mean harm, by name."""
    return {name: frozenset(ids) for name, ids in _toml("impacts.toml").items()}


@dataclass(frozen=True, slots=True)
class Dangling:
    """One reference that leads nowhere: where it stands (cause, key, ...) and what is wrong with it."""

    place: tuple[str | int, ...]
    words: str

    def __str__(self) -> str:
        return f"{'.'.join(str(part) for part in self.place)}: {self.words}"


def dangling(
    found: Mapping[str, Cause],
    symptoms: Iterable[str],
    checks: Iterable[str],
    pages: Collection[str] | None = None,
) -> list[Dangling]:
    """Each reference of `found` that leads nowhere; guidance is looked up in `pages` where these are given."""
    known_symptoms, known_checks = frozenset(symptoms), frozenset(checks)
    said: list[Dangling] = []
    for cause_id, cause in found.items():
        said += [
            Dangling((cause_id, "symptoms", one), f"{one!r} is no symptom")
            for one in cause.symptoms
            if one not in known_symptoms
        ]
        said += [
            Dangling((cause_id, "effects", index), f"{one!r} is no cause")
            for index, one in enumerate(cause.effects)
            if one not in found
        ]
        if cause.first_check not in known_checks:
            said.append(Dangling((cause_id, "first_check"), f"{cause.first_check!r} is no check"))
        if pages is not None and cause.guidance and cause.guidance not in pages:
            said.append(Dangling((cause_id, "guidance"), f"{cause.guidance!r} is no page"))
        for key, rules in (("supports", cause.supports), ("refutes", cause.refutes)):
            for index, rule in enumerate(rules):
                said += [Dangling((cause_id, key, index, field), words) for field, words in _rule(rule, found)]
        said += [Dangling((cause_id, "prevention", "alert", "evidence"), words) for words in _alert(cause)]
        if cause_id in _consequences(cause_id, found):
            said.append(Dangling((cause_id, "effects"), "it would be an effect of itself"))
    return said


def _rule(rule: Rule, found: Mapping[str, Cause]) -> Iterator[tuple[str, str]]:
    kinds, groups = evidence_kinds(), impacts()
    if rule.evidence not in kinds:
        yield "evidence", f"{rule.evidence!r} is no evidence"
    yield from (("without", f"{one!r} is no evidence") for one in rule.without if _plain(one) not in kinds)
    for condition in rule.with_:
        for one in condition.split("|"):
            if one.startswith(SIGNATURE):
                if one.removeprefix(SIGNATURE) not in found:
                    yield "with", f"{one!r} names no cause"
            elif one not in groups and _plain(one) not in kinds:
                yield "with", f"{one!r} is no evidence"


def _plain(condition: str) -> str:
    return condition.removesuffix(WELL).removesuffix(FAILS)


def _alert(cause: Cause) -> Iterator[str]:
    alert = cause.prevention.alert if cause.prevention else None
    if alert is None or not alert.evidence:
        return
    kind = evidence_kinds().get(alert.evidence)
    if kind is None:
        yield f"{alert.evidence!r} is no evidence"
    elif factor_between(kind.unit, alert.unit) is None:
        yield f"{alert.evidence!r} is measured in {kind.unit or 'no unit'}, which is not turned into {alert.unit!r}"


def problems(found: Mapping[str, Cause], symptoms: Iterable[str], checks: Iterable[str]) -> list[str]:
    """A sentence for each reference in `found`, and in the groups of impacts, that leads nowhere."""
    kinds = evidence_kinds()
    said = [str(one) for one in dangling(found, symptoms, checks)]
    for group, ids in impacts().items():
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
