"""What every means of splitting a request produces: named times of stages."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from infdiag_tui.text import clean, one_line

Stage = Literal["preprocess", "inference", "postprocess", "queue", "total", ""]
"""A stage of a request; "total" is the server's own count of all of it, "" is shown but not judged."""

STAGES: tuple[Stage, ...] = ("preprocess", "inference", "postprocess", "queue")
NAMED: tuple[Stage, ...] = (*STAGES, "total")

UNITS_MS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
"""Milliseconds in a unit."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean time of one part of a request: `mean_ms` over `n` requests, told by `source`.

    `low` and `high` are a 95 % confidence interval of the mean and `p95_ms` a quantile, where single requests are
    known. `whole_server`: requests to other models of the server may be in it.
    """

    name: str
    stage: Stage
    mean_ms: float
    n: int
    source: str
    note: str = ""
    low: float | None = None
    high: float | None = None
    p95_ms: float | None = None
    whole_server: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """What one means gave: its figures, what it does not offer and why, and remarks for the operator."""

    means: str
    figures: tuple[Figure, ...] = ()
    not_offered: tuple[tuple[Stage, str], ...] = ()
    notes: tuple[str, ...] = ()
    places: tuple[str, ...] = field(default=())

    def has(self, stage: Stage) -> bool:
        """True when it tells that stage's time."""
        return any(figure.stage == stage for figure in self.figures)


def figure_of(name: str, stage: Stage, values_ms: Sequence[float], source: str, note: str = "") -> Figure:
    """A figure from single requests' times, with Student's interval of the mean from three on. Blocking (scipy)."""
    mean_ms = statistics.fmean(values_ms)
    low = high = p95_ms = None
    if len(values_ms) >= 3:
        from scipy.special import stdtrit

        half = float(stdtrit(len(values_ms) - 1, 0.975)) * statistics.stdev(values_ms) / math.sqrt(len(values_ms))
        low, high = mean_ms - half, mean_ms + half
    if len(values_ms) >= 20:
        p95_ms = statistics.quantiles(values_ms, n=20, method="inclusive")[-1]
    return Figure(one_line(clean(name), 80), stage, mean_ms, len(values_ms), source, note, low, high, p95_ms)


# The first list with a matching word decides; "detokenize" must be looked for before "tokenize".
_WORDS: tuple[tuple[Stage, tuple[str, ...]], ...] = (
    ("postprocess", ("postproc", "detoken", "decodeoutput", "serializ", "format")),
    ("preprocess", ("preproc", "token", "feature", "transform", "parse", "deserializ", "prepare")),
    ("queue", ("queue", "wait", "batching")),
    ("inference", ("infer", "predict", "forward", "generat", "model", "compute", "score", "prefill", "decode")),
    ("total", ("total", "request", "server", "app")),
)
_CALL = re.compile(r"(?i)^(?:get|post|put|http|grpc)\b|/")


def stage_of(name: str, named: dict[str, Stage] | None = None) -> Stage:
    """The stage that a span's or a Server-Timing entry's name speaks of; `named` (by exact name) comes first.

    A name such as `POST /v2/models/x/infer` is the server's span around the whole request.
    """
    if named and name in named:
        return named[name]
    if _CALL.search(name):
        return "total"
    word = re.sub(r"[^a-z]", "", name.lower())
    return next((stage for stage, words in _WORDS if any(part in word for part in words)), "")
