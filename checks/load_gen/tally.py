"""Counts what a phase met, keeps every latency, and sums it up exactly."""

from __future__ import annotations

import math
from array import array
from collections import Counter, deque
from typing import NamedTuple

from checks.load_gen.job import QUANTILES, Figure, Phase, Summary
from checks.load_gen.wire import Shot
from infdiag_tui.model import ErrorKind
from infdiag_tui.stats.rank_interval import rank_interval

_RECENT = 50
_ENOUGH_TO_STOP = 20
_ENOUGH_ALONE = 5
"""The error rate that stops a phase is that of the latest 50 outcomes, once there are 20; one at a time, 5 suffice."""
_SPECTRUM_STEPS_PER_HALVING = 5
"""As HdrHistogram's percentile files: this many points each time that the remaining share halves."""


class Cost(NamedTuple):
    """What a phase cost this process: CPU time in seconds, and its mean wait for a core in milliseconds."""

    cpu_s: float
    core_wait_ms: float | None


class Tally:
    """The outcomes of one phase."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase
        self.finished = 0
        self.failed = 0
        self.dropped = 0
        self._errors: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._latency_ms = array("d")
        self._service_ms = array("d")
        self._without_own_ms = array("d")
        self._turned_s = 0.0
        self._turns = 0
        self._given_up_ms = math.inf
        self._given_up_service_ms = math.inf
        self._lateness_ms = array("d")
        self._first_ms: float | None = None
        self._last_end = 0.0

    def take(self, due: float, sent: float, shot: Shot) -> None:
        """Counts a finished request: when it was due, when it was sent (perf_counter seconds), how it ended.

        A timeout's latency is a lower bound: leaving it out would flatter the quantiles. Other failures have none,
        since a refusal is fast.
        """
        latency_ms, service_ms = (shot.ended - due) * 1e3, (shot.ended - sent) * 1e3
        self.finished += 1
        self._last_end = max(self._last_end, shot.ended)
        self._recent.append(bool(shot.kind))
        if self.phase.rate_per_s is not None:
            self._lateness_ms.append(max(0.0, sent - due) * 1e3)
        if self._first_ms is None:
            self._first_ms = latency_ms
        if shot.kind:
            self.failed += 1
            self._errors[shot.kind] += 1
            self._examples.setdefault(shot.kind, shot.text)
            if shot.kind != ErrorKind.TIMEOUT:
                return
            self._given_up_ms = min(self._given_up_ms, latency_ms)
            self._given_up_service_ms = min(self._given_up_service_ms, service_ms)
        self._latency_ms.append(latency_ms)
        self._service_ms.append(service_ms)
        self._without_own_ms.append(latency_ms - shot.own_s * 1e3)

    def turned(self, seconds: float) -> None:
        """Counts the time that a worker of a closed loop took from a reply to its next request."""
        self._turned_s += seconds
        self._turns += 1

    def too_many_errors(self) -> bool:
        """True when the latest outcomes failed more often than the phase allows."""
        seen = len(self._recent)
        enough = _ENOUGH_TO_STOP if self.phase.concurrency > 1 else _ENOUGH_ALONE
        return seen >= enough and sum(self._recent) / seen > self.phase.stop_at_errors

    def summary(self, started: float, ended: float, cost: Cost, stopped: str, connections: int) -> Summary:
        """Everything in figures. `started` and `ended` in perf_counter seconds, `cost` in between.

        A phase that ran to its end took until its last reply, one that was stopped until it was stopped.
        """
        elapsed_s = max((ended if stopped or not self.finished else self._last_end) - started, 1e-6)
        latency_ms, service_ms = sorted(self._latency_ms), sorted(self._service_ms)
        lateness_ms = sorted(self._lateness_ms)
        without_own_ms = sorted(self._without_own_ms)
        mean_ms = math.fsum(latency_ms) / len(latency_ms) if latency_ms else None
        return Summary(
            name=self.phase.name,
            requests=self.finished,
            errors=dict(self._errors),
            examples=self._examples,
            elapsed_s=elapsed_s,
            throughput_rps=(self.finished - self.failed) / elapsed_s if self.finished else 0.0,
            samples=len(latency_ms),
            latency_ms=_figures(latency_ms, self._given_up_ms),
            mean_ms=mean_ms,
            max_ms=_max(latency_ms, self._given_up_ms),
            service_ms=_figures(service_ms, self._given_up_service_ms),
            lateness_p99_ms=quantile(lateness_ms, 0.99) if lateness_ms else None,
            lateness_max_ms=lateness_ms[-1] if lateness_ms else None,
            dropped=self.dropped,
            cpu_share=cost.cpu_s / elapsed_s,
            core_wait_ms=cost.core_wait_ms,
            own_ms=_apart(latency_ms, without_own_ms),
            own_mean_ms=None if mean_ms is None else mean_ms - math.fsum(without_own_ms) / len(without_own_ms),
            turnaround_ms=self._turned_s * 1e3 / self._turns if self._turns else None,
            stopped=stopped,
            first_ms=self._first_ms,
            connections=connections,
            spectrum=spectrum(latency_ms),
        )


def quantile(ordered: list[float], q: float) -> float:
    """The q-quantile of an ascending, non-empty sample (Hyndman and Fan 1996, type 7: as NumPy and the console)."""
    position = (len(ordered) - 1) * q
    below, above = math.floor(position), math.ceil(position)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def figure(ordered: list[float], q: float, given_up_from_ms: float = math.inf) -> Figure:
    """The q-quantile of an ascending, non-empty sample with its rank interval.

    `given_up_from_ms` is the smallest value that is only a lower bound: what touches such a value is a lower bound too.
    """
    ranks = rank_interval(len(ordered), q)
    high = None if ranks.high is None else ordered[ranks.high - 1]
    topmost = ordered[math.ceil((len(ordered) - 1) * q)]
    return Figure(
        value=quantile(ordered, q),
        low=None if ranks.low is None else ordered[ranks.low - 1],
        high=None if high is None or high >= given_up_from_ms else high,
        at_least=topmost >= given_up_from_ms,
    )


def spectrum(ordered: list[float]) -> tuple[tuple[float, float, int], ...]:
    """(value, share of the sample at or below, count at or below), ever finer towards the tail, the maximum last."""
    size = len(ordered)
    points: list[tuple[float, float, int]] = []
    step = 0
    while size:
        halving, part = divmod(step, _SPECTRUM_STEPS_PER_HALVING)
        share = 1.0 - 2.0**-halving * (1.0 - part / (2 * _SPECTRUM_STEPS_PER_HALVING))
        rank = max(1, math.ceil(size * share))
        points.append((ordered[rank - 1], rank / size, rank))
        if rank == size:
            break
        step += 1
    return tuple(points)


def _figures(ordered: list[float], given_up_from_ms: float) -> dict[str, Figure] | None:
    if not ordered:
        return None
    return {name: figure(ordered, q, given_up_from_ms) for name, q in QUANTILES.items()}


def _apart(ordered: list[float], lower: list[float]) -> dict[str, float] | None:
    """By how much each quantile of the first ascending sample is above that of the second."""
    if not ordered:
        return None
    return {name: quantile(ordered, q) - quantile(lower, q) for name, q in QUANTILES.items()}


def _max(ordered: list[float], given_up_from_ms: float) -> Figure | None:
    if not ordered:
        return None
    return Figure(ordered[-1], None, None, at_least=ordered[-1] >= given_up_from_ms)
