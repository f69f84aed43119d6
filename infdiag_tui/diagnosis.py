"""Evidence in, ranked hypotheses out: a pure function of what was observed.

Each cause starts from a prior in log-odds that follows the core principle (infrastructure, pipeline and data before the
model) and the symptom; each rule that the evidence meets adds or takes its weight. That is the naive-Bayes form of the
weight of evidence (I. J. Good, Probability and the Weighing of Evidence, 1950): transparent, and every step is shown.
Weights that restate one measurement would count it twice, so of the rules on one evidence id only the strongest counts
on each side.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from infdiag_tui.knowledge.causes import SIGNATURE, Cause, Rule, evidence_kinds, impacts
from infdiag_tui.knowledge.symptoms import SYMPTOMS
from infdiag_tui.model import Argument, Evidence, Hypothesis, HypothesisStatus, NextCheck, Verdict

PRIORS = {"Infrastructure": -1.5, "Pipeline": -1.7, "Data": -1.7, "Model": -2.2}
"""Log-odds of a cause before anything was seen: on equal evidence the model is blamed last."""
LIKELY = 0.5
"""From this score on a hypothesis with evidence of its own is likely: odds of about 5 to 3."""
CONFIRMED = 1.0
REFUTED = -3.5
"""At or below this score, with evidence against it, a hypothesis is refuted: odds of about 1 to 30."""
WARNING_SHARE = 0.5
"""A warning counts this much of a failure."""

SIGNATURE_EVIDENCE = "logs.signature"
_BAD = (Verdict.WARN, Verdict.FAIL)
_ORDER = {
    HypothesisStatus.CONFIRMED: 0,
    HypothesisStatus.LIKELY: 1,
    HypothesisStatus.UNTESTED: 2,
    HypothesisStatus.REFUTED: 3,
}

SignatureWeights = Mapping[str, tuple[tuple[str, float, bool, str], ...]]
"""By signature id: the causes that its line speaks for, each with weight, whether it is decisive, and why."""


class Facts:
    """The evidence of one moment, by id, with the questions that rules ask."""

    def __init__(self, evidence: Iterable[Evidence], signatures: SignatureWeights) -> None:
        self._by_id: dict[str, list[Evidence]] = {}
        for one in evidence:
            self._by_id.setdefault(one.id, []).append(one)
        self._signatures = signatures
        self._signed = {
            cause
            for one in self._by_id.get(SIGNATURE_EVIDENCE, ())
            if one.verdict in _BAD
            for cause, *_ in signatures.get(one.subject, ())
        }
        self._impacts = {name for name, ids in impacts().items() if any(self.is_bad(one) for one in ids)}

    def of(self, evidence_id: str) -> Sequence[Evidence]:
        """All evidence of that id, one for each subject."""
        return self._by_id.get(evidence_id, ())

    def is_bad(self, evidence_id: str) -> bool:
        """True when it warns or fails for any subject."""
        return any(one.verdict in _BAD for one in self.of(evidence_id))

    def is_known(self, evidence_id: str) -> bool:
        """True when it was measured, with whatever outcome."""
        return any(one.verdict is not Verdict.UNKNOWN for one in self.of(evidence_id))

    def holds(self, condition: str) -> bool:
        """True when one of a condition's alternatives does."""
        return any(self._holds_one(one) for one in condition.split("|"))

    def _holds_one(self, name: str) -> bool:
        if name.startswith(SIGNATURE):
            return name.removeprefix(SIGNATURE) in self._signed
        return name in self._impacts or self.is_bad(name)

    def signed_for(self, cause: str) -> list[Argument]:
        """What lines in the logs say for a cause."""
        return [
            Argument(one, weight, because, decisive)
            for one in self.of(SIGNATURE_EVIDENCE)
            if one.verdict in _BAD
            for name, weight, decisive, because in self._signatures.get(one.subject, ())
            if name == cause
        ]


def weigh(
    evidence: Sequence[Evidence],
    causes: Mapping[str, Cause],
    symptom: str,
    signatures: SignatureWeights,
) -> tuple[Hypothesis, ...]:
    """Every cause as a hypothesis, best first; effects of a better hypothesis come after it.

    Args:
        evidence: all there is, the newest of each id and subject.
        causes: the knowledge.
        symptom: the incident's symptom, or empty.
        signatures: what each log signature speaks for.
    """
    facts = Facts(evidence, signatures)
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
        next_check=_next_check(cause, facts, status),
        since=min(dated, default=None),
    )


def _met(rules: Iterable[Rule], facts: Facts) -> list[Argument]:
    """The arguments of all rules that the facts meet."""
    found = []
    for rule in rules:
        if not all(facts.holds(one) for one in rule.with_) or any(facts.is_bad(one) for one in rule.without):
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
        return evidence.verdict in _BAD
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


def _next_check(cause: Cause, facts: Facts, status: HypothesisStatus) -> str:
    """The check that measures what weighs most for this cause and was not measured; its first check if none does."""
    if status in (HypothesisStatus.CONFIRMED, HypothesisStatus.REFUTED):
        return ""
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
            weight = rule.weight * (1.5 if rule.decisive else 1.0)
            gains[check] = max(gains.get(check, 0.0), weight)
    return gains


def next_checks(
    hypotheses: Sequence[Hypothesis],
    evidence: Sequence[Evidence],
    causes: Mapping[str, Cause],
    signatures: SignatureWeights,
    runnable: Callable[[str], bool] = lambda _: True,
) -> tuple[NextCheck, ...]:
    """The checks in the order in which they would most change the ranking.

    A check's gain sums, over the open hypotheses, what it could add or take (log-odds) times p (1 - p), the variance of
    a yes-or-no question with the hypothesis' probability p: what is nearly settled gains little from another look.
    """
    facts = Facts(evidence, signatures)
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


def inferred_symptom(evidence: Iterable[Evidence]) -> str:
    """The symptom that the evidence shows most plainly, empty when it shows none.

    Each symptom's signs are in symptoms.toml, with weights; a warning counts half.
    """
    bad: dict[str, float] = {}
    for one in evidence:
        if one.verdict in _BAD:
            share = 1.0 if one.verdict is Verdict.FAIL else WARNING_SHARE
            bad[one.id] = max(bad.get(one.id, 0.0), share)
    scores = {
        name: sum(weight * bad.get(sign, 0.0) for sign, weight in symptom.signs.items())
        for name, symptom in SYMPTOMS.items()
    }
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0 else ""
