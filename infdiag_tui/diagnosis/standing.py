"""Since when hypotheses stand as they do."""

from __future__ import annotations

import dataclasses

from infdiag_tui.model import Diagnosis, Hypothesis, HypothesisStatus

_LIKELY_OR_BETTER = (HypothesisStatus.LIKELY, HypothesisStatus.CONFIRMED)


class Standing:
    """Remembers, from one diagnosis to the next, when each cause became likely and confirmed."""

    def __init__(self) -> None:
        self._likely: dict[str, float] = {}
        self._confirmed: dict[str, float] = {}

    def dated(self, diagnosis: Diagnosis, at: float) -> Diagnosis:
        """`diagnosis` with these times; `at` is when it was made, Unix seconds."""
        hypotheses = tuple(self._dated(one, at) for one in diagnosis.hypotheses)
        by_cause = {one.cause: one for one in hypotheses}
        roots = tuple(by_cause[one.cause] for one in diagnosis.root_causes)
        return dataclasses.replace(diagnosis, hypotheses=hypotheses, root_causes=roots)

    def _dated(self, one: Hypothesis, at: float) -> Hypothesis:
        likely = _since(self._likely, one.cause, at, holds=one.status in _LIKELY_OR_BETTER)
        confirmed = _since(self._confirmed, one.cause, at, holds=one.status is HypothesisStatus.CONFIRMED)
        return dataclasses.replace(one, likely_at=likely, confirmed_at=confirmed)


def _since(known: dict[str, float], cause: str, at: float, *, holds: bool) -> float | None:
    if not holds:
        known.pop(cause, None)
        return None
    return known.setdefault(cause, at)
