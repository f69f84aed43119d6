"""The stages of a request: their names, and from which time on each is slow."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from infdiag_tui.model import Verdict

Stage = Literal["preprocess", "inference", "postprocess", "serialization", "queue", "total", ""]
"""A stage of a request; "total" is the server's own count of all of it, "" is shown but not judged."""

STAGES: tuple[Stage, ...] = ("preprocess", "inference", "postprocess", "queue")
"""The stages of every request: that a server does not tell one is worth saying."""

TOLD: tuple[Stage, ...] = ("preprocess", "inference", "postprocess", "serialization", "queue")
"""The stages that are judged where a server tells them."""

NAMED: tuple[Stage, ...] = (*TOLD, "total")

UNITS_MS = {"s": 1000.0, "ms": 1.0, "us": 1e-3, "ns": 1e-6}
"""Milliseconds in a unit."""

SPECIFICATION = "typical times of the diagnostic protocol"
TYPICAL_MS: Mapping[str, float] = {
    "preprocess": 10.0,
    "inference": 100.0,
    "postprocess": 10.0,
    "network": 5.0,
    "serialization": 5.0,
}
"""The protocol's typical times (inference 10 to 100 ms). Where network and I/O are above theirs, it says to check
serialisation: what is in the server's own account of it must therefore fit into the same 5 ms."""

MIN_SAMPLE = 3
"""Fewer requests than this are shown but not judged."""

FAR_ABOVE = 3.0
"""So many times the typical time is a failure, less is a warning."""

FLOOR_MS = 1.0
"""Differences below this are noise of clocks and scheduling, whatever the ratio."""

QUEUE_SHARE = 0.5
BASELINE_RATIO = 2.0

# The first list with a matching word decides; "detokenize" must be looked for before "tokenize".
_WORDS: tuple[tuple[Stage, tuple[str, ...]], ...] = (
    ("serialization", ("serializ", "serialis", "marshal")),
    ("postprocess", ("postproc", "detoken", "decodeoutput", "format")),
    ("preprocess", ("preproc", "token", "feature", "transform", "parse", "prepare")),
    ("queue", ("queue", "wait", "batching")),
    ("inference", ("infer", "predict", "forward", "generat", "model", "compute", "score", "prefill", "decode")),
    ("total", ("total", "request", "server", "app")),
)
_CALL = re.compile(r"(?i)^(?:get|post|put|http|grpc)\b|/")


def stage_of(name: str, named: Mapping[str, Stage] | None = None) -> Stage:
    """The stage that a span's or a Server-Timing entry's name speaks of; `named` (by exact name) comes first.

    A name such as `POST /v2/models/x/infer` is the server's span around the whole request.
    """
    if named and name in named:
        return named[name]
    if _CALL.search(name):
        return "total"
    word = re.sub(r"[^a-z]", "", name.lower())
    return next((stage for stage, words in _WORDS if any(part in word for part in words)), "")


@dataclass(frozen=True, slots=True)
class Limits:
    """Typical times in ms by stage ("network" included), where each comes from, and the baseline's times."""

    typical_ms: Mapping[str, float] = field(default_factory=lambda: dict(TYPICAL_MS))
    sources: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(TYPICAL_MS, SPECIFICATION))
    queue_share: float = QUEUE_SHARE
    baseline_ms: Mapping[str, float] = field(default_factory=dict)
    baseline_ratio: float = BASELINE_RATIO


def limits_by(settings: Mapping[str, object], baseline_ms: Mapping[str, float]) -> Limits:
    """The limits with the keys of the config's section `checks.stages` laid over the protocol's.

    A key whose value is no positive number is left to the check to complain of.
    """

    def number(key: str) -> float | None:
        value = settings.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        return float(value) if math.isfinite(value) and value > 0 else None

    own = {stage: ms for stage in TYPICAL_MS if (ms := number(f"{stage}_max_ms")) is not None}
    return Limits(
        typical_ms={**TYPICAL_MS, **own},
        sources={stage: f"setting {stage}_max_ms" if stage in own else SPECIFICATION for stage in TYPICAL_MS},
        queue_share=number("queue_max_share") or QUEUE_SHARE,
        baseline_ms=baseline_ms,
        baseline_ratio=number("baseline_ratio") or BASELINE_RATIO,
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """A stage's verdict with the limit in ms (None where there is none) and where that comes from."""

    limit_ms: float | None
    source: str
    verdict: Verdict


def judge(stage: str, ms: float, limits: Limits, total_ms: float | None) -> Judged:
    """The verdict on a stage that takes `ms` on average; `total_ms` is the server's whole time, where it is known.

    Above the baseline times `baseline_ratio` is a failure. Without a baseline, above the typical time is a warning and
    above three times that a failure. For the queue the limit is a share of the server's whole time, and a failure is to
    wait three times as long as to be worked on.
    """
    base = limits.baseline_ms.get(stage)
    if base is not None:
        limit = max(base * limits.baseline_ratio, base + FLOOR_MS)
        return Judged(
            limit, f"baseline ({base:.3g} ms) times {limits.baseline_ratio:g}", _over(ms, limit, Verdict.FAIL)
        )
    if stage == "queue":
        if total_ms is None:
            return Judged(None, "", Verdict.UNKNOWN)
        limit = max(limits.queue_share * total_ms, FLOOR_MS)
        worse = Verdict.FAIL if ms > FAR_ABOVE * (total_ms - ms) else Verdict.WARN
        return Judged(limit, f"share {limits.queue_share:.0%} of the server's time", _over(ms, limit, worse))
    limit = limits.typical_ms[stage]
    worse = Verdict.FAIL if ms > limit * FAR_ABOVE else Verdict.WARN
    return Judged(limit, limits.sources[stage], _over(ms, limit, worse))


def _over(ms: float, limit: float, worse: Verdict) -> Verdict:
    return worse if ms > limit else Verdict.OK


def read_baseline_ms(path: Path | None) -> dict[str, float]:
    """Stage times in ms, kept as `{"stages": {"inference": 12.5}}` or with `{"ms": 12.5}` in place of a number.

    Blocking; empty without a file.

    Raises:
        OSError: the file is there and cannot be read.
        ValueError: it is no JSON.
    """
    if path is None or not path.exists():
        return {}
    try:
        kept = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return stage_times(kept)


def stage_times(kept: object) -> dict[str, float]:
    """The stage times in a baseline's document; empty where it has none."""
    stages = kept.get("stages") if isinstance(kept, dict) else None
    times: dict[str, float] = {}
    for stage, value in stages.items() if isinstance(stages, dict) else ():
        ms = value.get("ms") if isinstance(value, dict) else value
        if isinstance(ms, int | float) and not isinstance(ms, bool) and math.isfinite(ms) and ms >= 0:
            times[str(stage)] = float(ms)
    return times
