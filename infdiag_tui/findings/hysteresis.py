"""Keeps verdicts from flapping: one changes only after the other side was seen for long enough."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from infdiag_tui.knowledge.causes import evidence_kinds
from infdiag_tui.model import Evidence, Verdict

_LEVEL = {Verdict.OK: 0, Verdict.WARN: 1, Verdict.FAIL: 2}
ENTER_TIMES = 2
"""So many assessments in a row must see the worse before it is told."""

LEAVE_S = {"latency": 5.0, "gpu": 5.0, "host": 5.0, "process": 5.0, "pods": 20.0}
"""By the stream that measures: how long the better must be seen before it is believed. Twice the pace of its readings
and more: what comes every few seconds must come twice."""
LEAVE_OTHER_S = 15.0
LEAVE_TIMES = 3

_AT_ONCE = frozenset(
    {
        "gpu.lost",
        "gpu.xid",
        "latency.reachable",
        "pods.crash_loop",
        "pods.image_pull",
        "pods.none_ready",
        "pods.not_ready",
        "pods.ready",
        "pods.unschedulable",
        "process.running",
    }
)
"""States that somebody told, as opposed to levels that were measured: they change when they are told."""


@dataclass(slots=True)
class _Held:
    """What is told of one subject, and how long the other side has been seen."""

    told: Evidence
    times: int = 0
    since: float = 0.0
    direction: int = 0


class Steady:
    """Lets evidence through, a changed verdict only once it is there to stay.

    What is worse must be seen twice in a row, what is better three times and for some seconds. Until then the last
    evidence with the present verdict is told, with the time it is from. Unknown is told at once, for without data
    there is nothing to hold on to; so is what is seen for the first time, what happened, and what is no measurement.
    """

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], _Held] = {}

    def settle(self, evidence: Iterable[Evidence], now: float) -> tuple[Evidence, ...]:
        """The evidence to tell; what it no longer mentions is forgotten."""
        held: dict[tuple[str, str], _Held] = {}
        told = []
        for one in evidence:
            key = (one.id, one.subject)
            before = self._held.get(key)
            if not _is_measured(one.id):
                told.append(one)
                continue
            if one.verdict is Verdict.UNKNOWN:
                if before is not None:
                    held[key] = before
                told.append(one)
                continue
            state = _Held(one) if before is None else _next(before, one, now)
            held[key] = state
            told.append(state.told)
        self._held = held
        return tuple(told)


def _is_measured(id_: str) -> bool:
    kind = evidence_kinds().get(id_)
    return kind is not None and bool(kind.streams) and not kind.lasting and id_ not in _AT_ONCE


def _next(held: _Held, one: Evidence, now: float) -> _Held:
    step = _LEVEL[one.verdict] - _LEVEL[held.told.verdict]
    direction = (step > 0) - (step < 0)
    if direction == 0:
        return _Held(one)
    if direction != held.direction:
        return _Held(held.told, 1, now, direction)
    times = held.times + 1
    there_to_stay = times >= LEAVE_TIMES and now - held.since >= _leave_s(one.id)
    settled = times >= ENTER_TIMES if direction > 0 else there_to_stay
    return _Held(one) if settled else _Held(held.told, times, held.since, direction)


def _leave_s(id_: str) -> float:
    return LEAVE_S.get(id_.partition(".")[0], LEAVE_OTHER_S)
