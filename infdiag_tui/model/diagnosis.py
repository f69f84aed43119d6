"""Hypotheses about the root cause, ranked, each with its evidence and the check that would settle it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from infdiag_tui.model.evidence import Evidence


class HypothesisStatus(StrEnum):
    """How far a hypothesis has come."""

    CONFIRMED = "confirmed"
    """Evidence that only this cause explains, and none that it cannot explain."""
    LIKELY = "likely"
    """Evidence speaks for it more than against it; other causes may explain it as well."""
    UNTESTED = "untested"
    """Not looked at, or looked at with too little to say."""
    REFUTED = "refuted"
    """Evidence excludes it."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One piece of evidence as it bears on one hypothesis.

    `weight` is in log-odds (natural logarithm): positive for, negative against. `decisive`: by itself it settles the
    matter. `because` says in words why it bears on the cause.
    """

    evidence: Evidence
    weight: float
    because: str
    decisive: bool = False


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One cause and how it stands; `cause` is an id of the knowledge, `score` the log-odds of prior and evidence.

    `reason` puts the status into one sentence. `because_of` is the cause that this one is an effect of, where it is.
    `next_check` names the check that would tell most about it, empty when none would. `since` is when the earliest
    evidence for it began to hold.
    """

    cause: str
    title: str
    component: str
    status: HypothesisStatus
    score: float
    reason: str
    evidence_for: tuple[Argument, ...] = ()
    evidence_against: tuple[Argument, ...] = ()
    next_check: str = ""
    because_of: str = ""
    since: float | None = None
    likely_at: float | None = None
    """When it became likely or confirmed, if it is either."""
    confirmed_at: float | None = None
    """When it became confirmed, if it is."""


@dataclass(frozen=True, slots=True)
class NextCheck:
    """A check and what it could change: `gain` is the expected movement of the ranking (see `diagnosis`), without unit.

    `causes` are those that it would tell most about, `reason` a sentence for the operator.
    """

    check: str
    gain: float
    causes: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the evidence so far says.

    `hypotheses` are ranked, best first, with all that are refuted last. `root_causes` are the confirmed ones that are
    no effect of another, best first; empty while nothing is confirmed. `symptom` is an id of the knowledge, inferred
    from the evidence when the operator gave none, and empty when there is none. `severity` is `Critical`, `High`,
    `Medium` or empty, by `severity_rule`. `onset_at` is when the incident began by `onset_source`, None while unknown.
    `conflict` says where decisive evidence contradicts itself.
    """

    hypotheses: tuple[Hypothesis, ...] = ()
    root_causes: tuple[Hypothesis, ...] = ()
    symptom: str = ""
    symptom_inferred: bool = False
    severity: str = ""
    severity_rule: str = ""
    onset_at: float | None = None
    onset_source: str = ""
    next_checks: tuple[NextCheck, ...] = ()
    conflict: str = ""

    @property
    def root_cause(self) -> Hypothesis | None:
        """The first of the confirmed root causes."""
        return self.root_causes[0] if self.root_causes else None
