"""Evidence: a statement with a stable id, what was measured, and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a measurement means against its threshold; `UNKNOWN` when there is too little to say."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measured statement. Panels, hypotheses, report and JSON all name it by `id` (`latency.p99`).

    `subject` tells apart the same id on several things (a pod, a GPU). `low` and `high` are a 95 % confidence interval
    where one is known. `threshold_source` says where the threshold comes from. `statement` is printable.
    """

    id: str
    statement: str
    verdict: Verdict
    source: str
    at: float
    value: float | str | bool | None = None
    unit: str = ""
    subject: str = ""
    window_s: float | None = None
    sample_size: int | None = None
    low: float | None = None
    high: float | None = None
    threshold: float | None = None
    threshold_source: str = ""
    since: float | None = None
    """When it first held in this incident."""
