"""How far two deployments agree: outputs, labels, errors and latency, pair by pair."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from checks.base import Answer, Outcome
from checks.cases import Case, Mode, judge, label_of
from checks.json_compare import Comparison, Ignored, compare
from checks.json_path import PathError, find, has_wildcard, parse_path
from infdiag_tui.model import Axis, Bar, BarChart, CheckChart, CheckStatus, Evidence, Quantity, Verdict
from infdiag_tui.stats.rank_interval import rank_interval
from infdiag_tui.stats.wilson import wilson
from infdiag_tui.text import one_line

SOURCE = "shadow"
_HEAVY_CHARACTERS = 64 * 1024
_NO_LABEL = object()


@dataclass(slots=True)
class Side:
    """One deployment's answers to one input."""

    latencies_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0

    def take(self, answer: Answer) -> None:
        """Notes an answer."""
        if answer.ok:
            self.latencies_ms.append(answer.total_ms)
        else:
            self.errors[answer.error] += 1
            self.unanswered += answer.status is None


class Pairs:
    """One input: what both sides answered, each time."""

    def __init__(self, case: Case, ignored: Ignored) -> None:
        self.case = case
        self.production, self.shadow = Side(), Side()
        self.asked = self.compared = self.agreed = 0
        self.first: Comparison | None = None
        """The first comparison that found a difference."""
        self.max_absolute: float | None = None
        self.max_relative: float | None = None
        self.labels_compared = self.labels_agreed = 0
        self.latency_differences_ms: list[float] = []
        self.restless = False
        """True when production itself gave different outputs."""
        self._ignored = ignored
        self._usual: Any = None

    async def take(self, production: Answer, shadow: Answer) -> None:
        """Notes a pair of answers to the same input."""
        self.asked += 1
        self.production.take(production)
        self.shadow.take(shadow)
        if not (production.ok and shadow.ok):
            return
        self.latency_differences_ms.append(shadow.total_ms - production.total_ms)
        if len(production.text) + len(shadow.text) > _HEAVY_CHARACTERS:
            await asyncio.to_thread(self._compare, production.body, shadow.body)
        else:
            self._compare(production.body, shadow.body)

    @property
    def agrees(self) -> bool | None:
        """True when every pair agreed; None without a pair."""
        return None if not self.compared else self.agreed == self.compared

    def _compare(self, production: Any, shadow: Any) -> None:
        if self.compared == 0:
            self._usual = production
        elif not compare(self._usual, production, tolerance=self.case.tolerance, ignored=self._ignored).same:
            self.restless = True
        self.compared += 1
        found = self._held_against(production, shadow)
        self.max_absolute = _larger(self.max_absolute, found.max_absolute)
        self.max_relative = _larger(self.max_relative, found.max_relative)
        self.agreed += found.same
        if not found.same and self.first is None:
            self.first = found
        labels = self._label(production), self._label(shadow)
        if _NO_LABEL not in labels:
            self.labels_compared += 1
            self.labels_agreed += labels[0] == labels[1]

    def _held_against(self, production: Any, shadow: Any) -> Comparison:
        path = parse_path(self.case.path)
        found = find(production, path)
        if not found:
            return compare(production, shadow, tolerance=self.case.tolerance, ignored=self._ignored)
        expected = found if has_wildcard(path) else found[0]
        mode = self.case.mode if self.case.mode is Mode.LABEL else Mode.EXACT
        if mode is Mode.LABEL:
            try:
                expected = [label_of(one) for one in found] if has_wildcard(path) else label_of(found[0])
            except PathError:
                mode = Mode.EXACT
        case = Case(self.case.name, None, True, expected, mode, self.case.tolerance, self.case.path)
        return judge(case, shadow, self._ignored)

    def _label(self, body: Any) -> Any:
        found = find(body, parse_path(self.case.path))
        try:
            return label_of(found[0]) if len(found) == 1 else _NO_LABEL
        except PathError:
            return _NO_LABEL


def _larger(one: float | None, other: float | None) -> float | None:
    return one if other is None else max(other, one or 0.0)


def conclude(pairs: Sequence[Pairs], min_agreement: float, shadow_url: str, at: float) -> Outcome:
    """Evidence, result and the sentence."""
    evidence = [*_agreement(pairs, min_agreement, at), *_errors(pairs, at), *_latency(pairs, at)]
    verdicts = {one.verdict for one in evidence}
    status = CheckStatus.OK
    if Verdict.FAIL in verdicts:
        status = CheckStatus.FAIL
    elif verdicts & {Verdict.WARN, Verdict.UNKNOWN}:
        status = CheckStatus.WARN
    order = (Verdict.FAIL, Verdict.WARN, Verdict.UNKNOWN)
    bad = [one.statement for verdict in order for one in evidence if one.verdict is verdict]
    summary = bad[0] if bad else ". ".join(one.statement for one in evidence)
    result = _result(pairs, evidence, shadow_url)
    return Outcome(status, one_line(summary), tuple(evidence), result, charts=_charts(result["latency_ms"]))


def _charts(latency_ms: dict[str, Any]) -> tuple[CheckChart, ...]:
    """Both sides' latency, where both answered."""
    production, shadow = latency_ms["production"], latency_ms["shadow"]
    if production is None or shadow is None:
        return ()
    bars = tuple(Bar(name, (shadow[name], production[name])) for name in ("median", "max"))
    return (BarChart("Latency", Axis("latency", Quantity.MILLISECONDS), bars, ("shadow", "production")),)


def _agreement(pairs: Sequence[Pairs], min_agreement: float, at: float) -> list[Evidence]:
    compared = [one for one in pairs if one.compared]
    if not compared:
        text = "Agreement is not known: no input was answered by both deployments"
        return [Evidence("shadow.agreement", text, Verdict.UNKNOWN, SOURCE, at, sample_size=0)]
    agreeing = sum(one.agrees is True for one in compared)
    rate = agreeing / len(compared)
    low, high = wilson(agreeing, len(compared))
    inputs = "input" if len(compared) == 1 else "inputs"
    text = f"The deployments agree on {agreeing} of {len(compared)} {inputs}"
    verdict = Verdict.OK
    if rate < min_agreement:
        verdict = Verdict.FAIL if high < min_agreement else Verdict.WARN
        worst = next(one for one in compared if not one.agrees)
        text += f"; {_difference(worst)}"
        if worst.restless:
            text += " (production itself does not give the same answer twice)"
    return [
        Evidence(
            id="shadow.agreement",
            statement=one_line(text),
            verdict=verdict,
            source=SOURCE,
            at=at,
            value=rate,
            sample_size=len(compared),
            low=low,
            high=high,
            threshold=min_agreement,
            threshold_source="--min-agreement",
        )
    ]


def _difference(pair: Pairs) -> str:
    if pair.first is None or not pair.first.differences:
        return f"{pair.case.name} differs"
    one = pair.first.differences[0]
    more = f" and {pair.first.count - 1} more" if pair.first.count > 1 else ""
    return f"{pair.case.name}: {one.path} is {one.expected} in production and {one.actual} in the shadow{more}"


def _errors(pairs: Sequence[Pairs], at: float) -> list[Evidence]:
    made: list[Evidence] = []
    for side, whose, verdict in (
        ("production", "Production", Verdict.FAIL),
        ("shadow", "The shadow deployment", Verdict.WARN),
    ):
        asked = sum(one.asked for one in pairs)
        errors: Counter[str] = sum((getattr(one, side).errors for one in pairs), Counter())
        if errors:
            count = sum(errors.values())
            text = f"{whose} failed {count} of {asked} requests: {errors.most_common(1)[0][0]}"
            made.append(
                Evidence(
                    id="shadow.errors",
                    statement=one_line(text),
                    verdict=verdict,
                    source=SOURCE,
                    at=at,
                    value=count / asked,
                    subject=side,
                    sample_size=asked,
                    threshold=0.0,
                    threshold_source="a known-good input succeeds every time",
                )
            )
    return made


def _latency(pairs: Sequence[Pairs], at: float) -> list[Evidence]:
    """The median of the paired differences with its rank interval; a fact, without a verdict of its own."""
    differences = sorted(ms for one in pairs for ms in one.latency_differences_ms)
    if not differences:
        return []
    median = statistics.median(differences)
    low, high = _median_interval(differences)
    way = "slower" if median >= 0 else "faster"
    sure = "" if low is not None and high is not None and (low > 0 or high < 0) else " (within the noise)"
    count = len(differences)
    text = f"The shadow is {abs(median):.1f} ms {way} in the median of {count} pair{'s' if count > 1 else ''}{sure}"
    return [
        Evidence(
            id="shadow.latency",
            statement=text,
            verdict=Verdict.OK,
            source=SOURCE,
            at=at,
            value=median,
            unit="ms",
            sample_size=count,
            low=low,
            high=high,
        )
    ]


def _median_interval(ordered: Sequence[float]) -> tuple[float | None, float | None]:
    ranks = rank_interval(len(ordered), 0.5)
    return (
        None if ranks.low is None else ordered[ranks.low - 1],
        None if ranks.high is None else ordered[ranks.high - 1],
    )


def _result(pairs: Sequence[Pairs], evidence: Sequence[Evidence], shadow_url: str) -> dict[str, Any]:
    agreement = evidence[0]
    labels = sum(one.labels_compared for one in pairs)
    latency = next((one for one in evidence if one.id == "shadow.latency"), None)
    return {
        "shadow_url": shadow_url,
        "agreement": {
            "rate": agreement.value,
            "low": agreement.low,
            "high": agreement.high,
            "n": agreement.sample_size,
        },
        "label_agreement": {"rate": sum(one.labels_agreed for one in pairs) / labels, "n": labels} if labels else None,
        "max_absolute": max((one.max_absolute for one in pairs if one.max_absolute is not None), default=None),
        "max_relative": max((one.max_relative for one in pairs if one.max_relative is not None), default=None),
        "latency_ms": {
            "production": _times([ms for one in pairs for ms in one.production.latencies_ms]),
            "shadow": _times([ms for one in pairs for ms in one.shadow.latencies_ms]),
            "difference": None
            if latency is None
            else {"median": latency.value, "low": latency.low, "high": latency.high, "n": latency.sample_size},
        },
        "cases": [_case(one) for one in pairs],
    }


def _times(latencies_ms: Sequence[float]) -> dict[str, Any] | None:
    if not latencies_ms:
        return None
    return {"median": statistics.median(latencies_ms), "max": max(latencies_ms), "n": len(latencies_ms)}


def _case(pair: Pairs) -> dict[str, Any]:
    return {
        "name": pair.case.name,
        "agrees": pair.agrees,
        "pairs": pair.compared,
        "agreed": pair.agreed,
        "differences": [one.as_json() for one in pair.first.differences] if pair.first else [],
        "difference_count": pair.first.count if pair.first else 0,
        "production_steady": None if pair.compared < 2 else not pair.restless,
        "production_errors": sum(pair.production.errors.values()),
        "shadow_errors": sum(pair.shadow.errors.values()),
        "latency_ms": {"production": _times(pair.production.latencies_ms), "shadow": _times(pair.shadow.latencies_ms)},
    }
