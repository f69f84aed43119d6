"""How evidence is weighed into hypotheses.

Each cause starts from a prior in log-odds that follows the core principle (infrastructure, pipeline and data before the
model) and the symptom; each rule that the evidence meets adds or takes its weight. That is the naive-Bayes form of the
weight of evidence (I. J. Good, Probability and the Weighing of Evidence, 1950): transparent, and every step is shown.
Weights that restate one measurement would count it twice, so of the rules on one evidence id only the strongest counts
on each side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from infdiag_tui.diagnosis.facts import BAD, SIGNATURE_EVIDENCE, Facts
from infdiag_tui.diagnosis.next_check import best_check
from infdiag_tui.knowledge.causes import Cause, Rule
from infdiag_tui.model import Argument, Evidence, Hypothesis, HypothesisStatus, Verdict

PRIORS = {"Infrastructure": -1.5, "Pipeline": -1.7, "Data": -1.7, "Model": -2.2}
"""Log-odds of a cause before anything was seen: on equal evidence the model is blamed last."""
LIKELY = 0.5
"""From this score on a hypothesis with evidence of its own is likely: odds of about 5 to 3."""
CONFIRMED = 1.0
REFUTED = -3.5
"""At or below this score, with evidence against it, a hypothesis is refuted: odds of about 1 to 30."""
WARNING_SHARE = 0.5
"""A warning counts this much of a failure."""

_SETTLED = (HypothesisStatus.CONFIRMED, HypothesisStatus.REFUTED)
_ORDER = {
    HypothesisStatus.CONFIRMED: 0,
    HypothesisStatus.LIKELY: 1,
    HypothesisStatus.UNTESTED: 2,
    HypothesisStatus.REFUTED: 3,
}


def weigh(facts: Facts, causes: Mapping[str, Cause], symptom: str) -> tuple[Hypothesis, ...]:
    """Every cause as a hypothesis, best first; effects of a better hypothesis come after it.

    Args:
        facts: all evidence, the newest of each id and subject.
        causes: the knowledge.
        symptom: the incident's symptom, or empty.
    """
    found = {name: _hypothesis(name, cause, symptom, facts) for name, cause in causes.items()}
    found = _attributed(found, causes)
    return tuple(sorted(found.values(), key=_rank))


def _rank(one: Hypothesis) -> tuple[int, bool, float, str]:
    return (_ORDER[one.status], bool(one.because_of), -one.score, one.cause)


def _hypothesis(name: str, cause: Cause, symptom: str, facts: Facts) -> Hypothesis:
    arguments_for = _strongest([*_met(cause.supports, facts), *facts.signed_for(name)])
    against = _strongest([dataclasses.replace(one, weight=-one.weight) for one in _met(cause.refutes, facts)])
    score = PRIORS[cause.component] + cause.symptoms.get(symptom, 0.0)
    score += sum(one.weight for one in (*arguments_for, *against))
    status, reason = _status(score, arguments_for, against)
    dated = [one.evidence.since for one in arguments_for if one.evidence.since is not None]
    return Hypothesis(
        cause=name,
        title=cause.title,
        component=cause.component,
        status=status,
        score=round(score, 3),
        reason=reason,
        evidence_for=tuple(arguments_for),
        evidence_against=tuple(against),
        next_check="" if status in _SETTLED else best_check(cause, facts),
        since=min(dated, default=None),
    )


def _met(rules: Iterable[Rule], facts: Facts) -> list[Argument]:
    """The arguments of all rules that the facts meet."""
    found = []
    for rule in rules:
        if not all(facts.holds(one) for one in rule.with_) or any(facts.holds(one) for one in rule.without):
            continue
        matching = [one for one in facts.of(rule.evidence) if _matches(rule, one)]
        # What fits for some subjects only is no "all is well": one throttled card is not refuted by seven others.
        if rule.verdict == "ok" and any(one.verdict is not Verdict.OK for one in facts.of(rule.evidence)):
            continue
        if matching:
            worst = next((one for one in matching if one.verdict is Verdict.FAIL), matching[0])
            halved = rule.verdict == "bad" and worst.verdict is Verdict.WARN
            weight = rule.weight * (WARNING_SHARE if halved else 1.0)
            found.append(Argument(worst, weight, rule.because, rule.decisive))
    return found


def _matches(rule: Rule, evidence: Evidence) -> bool:
    if rule.verdict == "bad":
        return evidence.verdict in BAD
    return evidence.verdict.value == rule.verdict


def _strongest(arguments: Iterable[Argument]) -> list[Argument]:
    """One argument for each evidence id, the strongest first."""
    best: dict[str, Argument] = {}
    for one in arguments:
        key = one.evidence.id if one.evidence.id != SIGNATURE_EVIDENCE else f"{one.evidence.id} {one.evidence.subject}"
        held = best.get(key)
        if held is None or (one.decisive, abs(one.weight)) > (held.decisive, abs(held.weight)):
            best[key] = one
    return sorted(best.values(), key=lambda one: -abs(one.weight))


def _status(
    score: float, arguments_for: Sequence[Argument], against: Sequence[Argument]
) -> tuple[HypothesisStatus, str]:
    settles = next((one for one in arguments_for if one.decisive), None)
    excludes = next((one for one in against if one.decisive), None)
    if settles and excludes:
        words = f"contradictory evidence: {settles.because}, yet {excludes.because}"
        return (HypothesisStatus.LIKELY if score >= LIKELY else HypothesisStatus.UNTESTED), words
    if settles and score >= CONFIRMED:
        return HypothesisStatus.CONFIRMED, settles.because
    if excludes:
        return HypothesisStatus.REFUTED, excludes.because
    if against and score <= REFUTED and not arguments_for:
        return HypothesisStatus.REFUTED, against[0].because
    if arguments_for and score >= LIKELY:
        return HypothesisStatus.LIKELY, arguments_for[0].because
    if arguments_for:
        return HypothesisStatus.UNTESTED, f"too little to say: {arguments_for[0].because}"
    return HypothesisStatus.UNTESTED, against[0].because if against else "nothing that bears on it was measured"


def _attributed(found: Mapping[str, Hypothesis], causes: Mapping[str, Cause]) -> dict[str, Hypothesis]:
    """Marks what is an effect of a confirmed hypothesis, or of one that is likelier than itself."""
    result = dict(found)
    open_ones = (HypothesisStatus.CONFIRMED, HypothesisStatus.LIKELY)
    for name, one in found.items():
        if one.status not in open_ones:
            continue
        for effect in causes[name].effects:
            held = result[effect]
            weaker = one.status is HypothesisStatus.CONFIRMED or (
                held.status is HypothesisStatus.LIKELY and one.score > held.score
            )
            if held.status in open_ones and not held.because_of and weaker and result[name].because_of != effect:
                result[effect] = dataclasses.replace(held, because_of=name)
    return result
