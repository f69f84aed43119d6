"""The search for the knee: the highest rate at which p99 still is on its plateau."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import median

from checks.load_gen.job import Summary
from checks.load_judge import ENOUGH_FOR_P99, invalid_reasons

FACTOR = 2.0
"""A step has left the plateau when the lower bound of its tail is above this many times the plateau's."""
_MARGIN_MS = 1.0
_KEPT_UP = 0.95
"""Share of the offered rate that a server must answer to keep up."""
_GROWTH = 1.6
_MAX_STEPS = 16
_REPEATS = 2
"""A step that this machine spoiled is repeated this often before the search gives up."""
_REFINEMENTS = 2
"""After the first step beyond the knee, the gap is halved (geometrically) this often."""


@dataclass(frozen=True, slots=True)
class Step:
    """One rate that was tried. `tail_ms` is p99, or p95 where there were too few samples for p99."""

    rate_per_s: float
    requests: int
    tail_name: str
    tail_ms: float | None
    tail_low_ms: float | None
    throughput_rps: float
    error_rate: float
    beyond: str
    """Why this rate is beyond the knee; empty on the plateau."""
    invalid: str = ""
    """Why the step says nothing about the server; empty for a valid one."""


class KneeSearch:
    """Says which rate to try next, from what the earlier ones gave."""

    def __init__(self, start_per_s: float, max_per_s: float, max_error_rate: float) -> None:
        self.steps: list[Step] = []
        self.limited_by = ""
        """What ended the search before a knee was found; empty while it goes on or when one was found."""
        self._max_per_s = max_per_s
        self._max_error_rate = max_error_rate
        self._next: float | None = min(start_per_s, max_per_s)
        self._good: float | None = None
        self._bad: float | None = None
        self._refined = 0
        self._invalid = 0

    @property
    def next_rate(self) -> float | None:
        """The rate to try next, per second; None at the end."""
        return self._next

    @property
    def knee_per_s(self) -> float | None:
        """The highest rate known to be on the plateau, where a higher one is known not to be."""
        return self._good if self._bad is not None else None

    @property
    def highest_good_per_s(self) -> float | None:
        """The highest rate known to be on the plateau."""
        return self._good

    @property
    def first_bad_per_s(self) -> float | None:
        """The lowest rate known to be beyond the knee."""
        return self._bad

    @property
    def plateau_ms(self) -> float | None:
        """The tail on the plateau: the median of its steps."""
        tails = [step.tail_ms for step in self.steps if step.tail_ms is not None and not (step.beyond or step.invalid)]
        return median(tails) if tails else None

    def take(self, rate_per_s: float, summary: Summary) -> Step:
        """Judges a step and decides on the next."""
        step = self._judged(rate_per_s, summary)
        self.steps.append(step)
        if step.invalid:
            self._invalid += 1
            if self._invalid > _REPEATS:
                self.limited_by = step.invalid
                self._next = None
            return step
        self._invalid = 0
        if step.beyond:
            self._bad = rate_per_s if self._bad is None else min(self._bad, rate_per_s)
        else:
            self._good = rate_per_s if self._good is None else max(self._good, rate_per_s)
        self._next = self._decide()
        return step

    def end_early(self, reason: str) -> None:
        """Ends the search for a reason from outside."""
        self._next = None
        if self._bad is None:
            self.limited_by = reason

    def _decide(self) -> float | None:
        if len(self.steps) >= _MAX_STEPS:
            self.limited_by = "" if self._bad is not None else f"{_MAX_STEPS} steps"
            return None
        if self._good is None:
            return None  # even the lowest rate is beyond: there is no plateau to leave
        if self._bad is None:
            if self._good >= self._max_per_s:
                self.limited_by = f"the highest rate allowed, {self._max_per_s:g} requests/s"
                return None
            return min(self._good * _GROWTH, self._max_per_s)
        if self._refined == _REFINEMENTS:
            return None
        self._refined += 1
        return math.sqrt(self._good * self._bad)

    def _judged(self, rate_per_s: float, summary: Summary) -> Step:
        name = "p99" if summary.samples >= ENOUGH_FOR_P99 else "p95"
        tail = None if summary.latency_ms is None else summary.latency_ms[name]
        # A server that does not keep up fills the places for unanswered requests: dropped arrivals are its doing here.
        reasons = invalid_reasons(replace(summary, dropped=0))
        beyond = "" if reasons else self._beyond(rate_per_s, summary, tail.low if tail is not None else None)
        return Step(
            rate_per_s=rate_per_s,
            requests=summary.requests,
            tail_name=name,
            tail_ms=None if tail is None else tail.value,
            tail_low_ms=None if tail is None else tail.low,
            throughput_rps=summary.throughput_rps,
            error_rate=summary.failed / summary.requests if summary.requests else 0.0,
            beyond=beyond,
            invalid="; ".join(reasons),
        )

    def _beyond(self, rate_per_s: float, summary: Summary, tail_low_ms: float | None) -> str:
        if summary.stopped == "errors":
            return "stopped by errors"
        if summary.requests and summary.failed / summary.requests > self._max_error_rate:
            return f"{summary.failed / summary.requests:.1%} of the requests failed"
        if summary.dropped:
            return "unanswered requests piled up"
        plateau_ms = self.plateau_ms
        if tail_low_ms is not None and plateau_ms is not None:
            allowed_ms = max(FACTOR * plateau_ms, plateau_ms + _MARGIN_MS)
            if tail_low_ms > allowed_ms:
                return f"the tail is above {allowed_ms:.1f} ms"
        if summary.throughput_rps < _KEPT_UP * rate_per_s * _share_sending(rate_per_s, summary):
            return f"only {summary.throughput_rps:.1f} of {rate_per_s:.1f} requests/s were answered"
        return ""


def _share_sending(rate_per_s: float, summary: Summary) -> float:
    """The share of a healthy phase's time that it sends: waiting for the last reply is no failure to keep up."""
    sending_s = summary.requests / rate_per_s
    last_reply_s = 0.0 if summary.latency_ms is None else summary.latency_ms["p50"].value / 1e3
    return sending_s / (sending_s + last_reply_s) if sending_s else 0.0
