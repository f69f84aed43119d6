"""Which check would tell most: the ones that could move the ranking furthest come first."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from infdiag_tui.diagnosis.facts import Facts
from infdiag_tui.knowledge.causes import Cause, evidence_kinds
from infdiag_tui.model import Hypothesis, HypothesisStatus, NextCheck

DECISIVE_FACTOR = 1.5
"""What would settle a cause is worth this much more than its weight."""


def best_check(cause: Cause, facts: Facts) -> str:
    """The check that measures what weighs most for this cause and was not measured; empty when there is none."""
    gains = _gains(cause, facts)
    return max(gains, key=lambda name: gains[name]) if gains else ""


def _gains(cause: Cause, facts: Facts) -> dict[str, float]:
    """By check: the greatest weight, for or against, of what it would measure and nobody has."""
    gains: dict[str, float] = {}
    kinds = evidence_kinds()
    for rule in (*cause.supports, *cause.refutes):
        if facts.is_known(rule.evidence):
            continue
        for check in kinds[rule.evidence].checks:
            weight = rule.weight * (DECISIVE_FACTOR if rule.decisive else 1.0)
            gains[check] = max(gains.get(check, 0.0), weight)
    return gains


def next_checks(
    hypotheses: Sequence[Hypothesis],
    facts: Facts,
    causes: Mapping[str, Cause],
    runnable: Callable[[str], bool] = lambda _: True,
) -> tuple[NextCheck, ...]:
    """The checks in the order in which they would most change the ranking.

    A check's gain sums, over the open hypotheses, what it could add or take (log-odds) times p (1 - p), the variance of
    a yes-or-no question with the hypothesis' probability p: what is nearly settled gains little from another look.
    """
    gains: dict[str, dict[str, float]] = {}
    for one in hypotheses:
        if one.status in (HypothesisStatus.CONFIRMED, HypothesisStatus.REFUTED):
            continue
        chance = 1.0 / (1.0 + math.exp(-one.score))
        for check, weight in _gains(causes[one.cause], facts).items():
            if runnable(check):
                gains.setdefault(check, {})[one.cause] = weight * chance * (1.0 - chance)
    ranked = sorted(gains.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return tuple(_as_next(check, by_cause, causes) for check, by_cause in ranked)


def _as_next(check: str, by_cause: Mapping[str, float], causes: Mapping[str, Cause]) -> NextCheck:
    best = sorted(by_cause, key=lambda cause: -by_cause[cause])[:3]
    titles = [causes[cause].title[:1].lower() + causes[cause].title[1:] for cause in best]
    return NextCheck(
        check, round(sum(by_cause.values()), 3), tuple(best), f"would tell most about: {'; '.join(titles)}"
    )
