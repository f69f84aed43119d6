"""What a check on demand is allowed to do, and what it comes back with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

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
