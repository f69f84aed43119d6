"""What a check on demand is allowed to do, how it is offered, how far it is, and what it comes back with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from infdiag_tui.model.chart import CheckChart
from infdiag_tui.model.evidence import Evidence


class Impact(StrEnum):
    """What a check does to production; all but `READ_ONLY` ask first."""

    READ_ONLY = "read-only"
    """Reads files and metrics, sends a known-good input now and then."""
    LOAD = "load"
    """Sends more requests than a probe would."""
    EXEC = "exec"
    """Runs a command beside the model: in its container, or attached to its process."""


class CheckStatus(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"
    """It could not start: an input is missing, or it was not agreed to."""
    ERROR = "error"
    """It started and could not finish."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check is: `share` from 0 to 1, None while that is unknown, and what it does at the moment."""

    text: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check's outcome.

    `summary` is one printable sentence: the finding, or why there is none and what would help. `result` is JSON-able
    and particular to the check. `artifacts` are paths of files that it wrote into the incident's folder.
    """

    check: str
    status: CheckStatus
    summary: str
    started_at: float
    duration_s: float
    evidence: tuple[Evidence, ...] = ()
    result: Mapping[str, Any] = field(default_factory=dict)
    artifacts: tuple[str, ...] = ()
    unreachable: bool = False
    """True when it failed because a target could not be reached."""
    charts: tuple[CheckChart, ...] = ()
    """What a picture says better than figures, the most telling first; for eyes, JSON has figures only."""


class RunState(StrEnum):
    """Where a check that was asked for stands."""

    STARTING = "starting"
    """Its parameters are being looked at."""
    INVALID = "invalid"
    """It did not start: `CheckRun.problems` says why, by parameter."""
    ASKING = "asking"
    """It waits for the operator's consent to `CheckRun.question`."""
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One check that was asked for.

    `problems` are sentences by parameter name, under the empty name what concerns several or a missing input. `notes`
    are sentences on what could not be had (a cluster out of reach). `ended_at` is None until it is done or cancelled.
    """

    id: int
    name: str
    title: str
    state: RunState
    started_at: float
    progress: Progress = Progress("starting")
    result: CheckResult | None = None
    ended_at: float | None = None
    question: str = ""
    impact: Impact = Impact.READ_ONLY
    problems: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """True until it is refused, done or cancelled."""
        return self.state in (RunState.STARTING, RunState.ASKING, RunState.RUNNING)


class FieldKind(StrEnum):
    """How a parameter is typed in."""

    TEXT = "text"
    SWITCH = "switch"
    """`true` or `false`."""
    CHOICE = "choice"
    WORDS = "words"
    """Several values, quoted as in a shell."""
    PAIRS = "pairs"
    """Several KEY=VALUE."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One parameter of a check as a form shows it: `value` as text, empty when only `default` applies.

    `lacking` says why it cannot be used at present; empty: it can.
    """

    name: str
    help: str
    kind: FieldKind = FieldKind.TEXT
    value: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    lacking: str = ""


@dataclass(frozen=True, slots=True)
class OfferedCheck:
    """A check on offer. `missing` says which input it lacks and which config key or flag gives it; empty: it can run.

    `impact` is the most that it may do, `configured_impact` what it does with the config's values.

    `first`: the incident's symptom asks for it. `asked_for`: only an operator starts it.
    """

    name: str
    title: str
    about: str
    impact: Impact
    step: int
    configured_impact: Impact = Impact.READ_ONLY
    first: bool = False
    asked_for: bool = False
    missing: str = ""
    fields: tuple[FormField, ...] = ()
