"""What the answers to known-good inputs say: which fail, whether they repeat, whether the replicas agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from checks.base import Outcome
from checks.case_runs import CaseRun, Tally, Target
from checks.json_compare import Comparison
from infdiag_tui.model import CheckStatus, Evidence, Verdict
from infdiag_tui.text import one_line

SERVICE = "service"
"""The endpoint itself, as its clients see it."""
SOURCE = "reproduce"
_NAMED = 3
"""Names listed in a sentence; the result has all."""
_RULE = "a known-good input succeeds every time"


@dataclass(frozen=True, slots=True)
class Finding:
    """All that was met. `sampled` are the names of cases whose outputs may differ by design."""

    runs: Sequence[CaseRun]
    targets: Sequence[Target]
    given_up: set[str]
    sampled: set[str]
    at: float

    @property
    def replicas(self) -> list[str]:
        """Names of the replicas that were asked by themselves."""
        return [target.name for target in self.targets if target.name != SERVICE]

    def tallies(self, target: str) -> list[tuple[CaseRun, Tally]]:
        """What each case met at a target."""
        return [(run, run.tallies[target]) for run in self.runs if target in run.tallies]

    def steady(self) -> list[CaseRun]:
        """Cases whose output is meant to be the same every time."""
        return [run for run in self.runs if run.case.name not in self.sampled]


def conclude(finding: Finding) -> Outcome:
    """Evidence, result and the sentence."""
    failed = [_failed(finding, target.name) for target in finding.targets]
    skew = _skew(finding)
    repeats = _deterministic(finding, skewed=skew is not None and skew.value is True)
    wrong = [one for target in finding.targets if (one := _wrong(finding, target.name))]
    evidence = [*failed, *wrong, *([repeats] if repeats else []), *([skew] if skew else [])]
    verdicts = {one.verdict for one in evidence}
    status = CheckStatus.OK
    if Verdict.FAIL in verdicts:
        status = CheckStatus.FAIL
    elif Verdict.WARN in verdicts:
        status = CheckStatus.WARN
    bad = [one.statement for one in evidence if one.verdict in (Verdict.FAIL, Verdict.WARN)]
    summary = bad[0] if bad else _all_well(finding, evidence)
    return Outcome(status, summary, tuple(evidence), _result(finding, repeats, skew))


def _all_well(finding: Finding, evidence: list[Evidence]) -> str:
    without = sum(not run.case.has_expected for run in finding.runs)
    text = evidence[0].statement
    unsure = next((one.statement for one in evidence[1:] if one.verdict is Verdict.UNKNOWN), "")
    repeats = next((one.statement for one in evidence if one.id == "reproduce.deterministic"), "")
    text += f". {unsure or repeats}" if unsure or repeats else ""
    if without:
        text += f". Whether {'it is' if without == 1 else 'they are'} right is not known: no expected output was given"
    return text


def _failed(finding: Finding, target: str) -> Evidence:
    tallies = finding.tallies(target)
    asked = sum(tally.asked for _, tally in tallies)
    bad = [(run, tally) for run, tally in tallies if tally.failed]
    where = "" if target == SERVICE else f" at {target}"
    if target in finding.given_up:
        errors = [error for _, tally in tallies for error in tally.errors]
        statement = f"{target} does not answer: {errors[0]}"
    elif not bad:
        statement = f"All {asked} requests with {_cases(len(tallies))} were answered as expected{where}"
        if not any(run.case.has_expected for run, _ in tallies):
            statement = f"All {asked} requests with {_cases(len(tallies))} were answered{where}"
    else:
        statement = f"{len(bad)} of {_cases(len(tallies))} failed{where}: {_why(*bad[0])}"
    return _of_cases(finding, target, "failed", statement, len(bad), asked, _RULE)


def _wrong(finding: Finding, target: str) -> Evidence | None:
    """Whether what was answered is right, whatever came of other requests; None where nothing says what is right."""
    judged = [(run, tally) for run, tally in finding.tallies(target) if run.case.has_expected and tally.answered]
    if not judged:
        return None
    bad = [(run, tally) for run, tally in judged if tally.mismatches]
    answered = sum(tally.answered for _, tally in judged)
    where = "" if target == SERVICE else f" at {target}"
    statement = f"Every one of {answered} answers is as expected{where}"
    if bad:
        run, tally = bad[0]
        times = f"{tally.mismatches} of {tally.answered} times"
        statement = f"Wrong answers to {len(bad)} of {_cases(len(judged))}{where}: {run.case.name} {times}"
        statement += f", {_first_difference(tally.mismatch)}"
    return _of_cases(finding, target, "wrong", statement, len(bad), answered, "expected outputs of the cases")


def _of_cases(finding: Finding, target: str, name: str, statement: str, bad: int, requests: int, rule: str) -> Evidence:
    """Evidence that so many cases are bad at a target; a single one is a failure."""
    return Evidence(
        id=f"reproduce.{name}",
        statement=one_line(statement),
        verdict=Verdict.FAIL if bad else Verdict.OK,
        source=SOURCE,
        at=finding.at,
        value=float(bad),
        unit="cases",
        subject="" if target == SERVICE else target,
        sample_size=requests,
        threshold=0.0,
        threshold_source=rule,
    )


def _why(run: CaseRun, tally: Tally) -> str:
    bad = sum(tally.errors.values()) + tally.mismatches
    times = "every time" if bad == tally.asked else f"{bad} of {tally.asked} times"
    if tally.errors:
        error, _ = tally.errors.most_common(1)[0]
        return f"{run.case.name} {times}, {error}"
    return f"{run.case.name} {times}, {_first_difference(tally.mismatch)}"


def _first_difference(found: Comparison | None) -> str:
    if found is None or not found.differences:
        return "the output differs"
    one = found.differences[0]
    more = f" and {found.count - 1} more" if found.count > 1 else ""
    return f"{one.path} is {one.actual} instead of {one.expected}{more}"


def _deterministic(finding: Finding, *, skewed: bool) -> Evidence | None:
    """Whether one and the same server gives the same answer; through a balancer it may be different servers."""
    if not finding.steady():
        return _evidence(
            finding,
            "deterministic",
            Verdict.UNKNOWN,
            "Whether answers repeat cannot be told: the input lets the model draw at random (set temperature 0 or a "
            "seed)",
        )
    # Where replicas differ from each other, answers through the balancer differ for that reason alone.
    alone = finding.replicas if skewed else [*finding.replicas, SERVICE]
    varying: list[tuple[CaseRun, str]] = []
    judged = answers = 0
    for run in finding.steady():
        for target in alone:
            tally = run.tallies.get(target)
            if tally is not None and tally.answered >= 2:
                judged += 1
                answers += tally.answered
                if len(tally.variants) > 1:
                    varying.append((run, target))
    if not judged:
        return _evidence(
            finding,
            "deterministic",
            Verdict.UNKNOWN,
            "Whether answers repeat is not known: no input was answered twice",
        )
    if not varying:
        bits = " (within the tolerance)" if any(run.changed for run in finding.steady()) and not skewed else ""
        text = f"The same input gave the same answer in all {answers} answers{bits}"
        if len(finding.replicas) > 1:
            text = f"Each replica gave the same answer to the same input{bits}"
        return _evidence(finding, "deterministic", Verdict.OK, text, value=True, sample_size=answers)
    run, target = varying[0]
    share = f"{len(run.tallies[target].variants)} different outputs in {run.tallies[target].answered} answers"
    where = "" if target == SERVICE else f" of {target}"
    text = f"The same input does not give the same answer: {share}{where} to {run.case.name}"
    found = run.difference()
    text += f"; {_apart(found)}" if found else ""
    return _evidence(finding, "deterministic", Verdict.WARN, text, value=False, sample_size=answers)


def _apart(found: Comparison) -> str:
    if not found.differences:
        return "the outputs differ"
    one = found.differences[0]
    more = f" and {found.count - 1} more" if found.count > 1 else ""
    return f"{one.path} was {one.expected}, then {one.actual}{more}"


def _skew(finding: Finding) -> Evidence | None:
    """Whether replicas answer the same input differently; None where there is nothing to tell it by."""
    if len(finding.replicas) < 2:
        return _skew_by_version(finding)
    told = 0
    for run in finding.steady():
        sole = dict(_sole_variants(run, finding.replicas))
        told = max(told, len(sole))
        groups = Counter(sole.values())
        if len(groups) < 2:
            continue
        usual = max(groups, key=lambda number: (groups[number], -number))
        odd = [name for name, number in sole.items() if number != usual]
        verb = "differs" if len(odd) == 1 else "differ"
        text = f"Replicas disagree on {run.case.name}: {_names(odd)} {verb} from {len(sole) - len(odd)} others"
        found = run.difference()
        text += f"; {_apart(found)}".replace(", then ", " and elsewhere ") if found else ""
        return _evidence(finding, "replica_skew", Verdict.FAIL, text, value=True, sample_size=len(sole))
    if told < 2:
        text = "Whether the replicas agree cannot be told: fewer than two gave a steady answer"
        return _evidence(finding, "replica_skew", Verdict.UNKNOWN, text, sample_size=told)
    text = f"All {told} replicas give the same answer to the same input"
    return _evidence(finding, "replica_skew", Verdict.OK, text, value=False, sample_size=told)


def _skew_by_version(finding: Finding) -> Evidence | None:
    """Behind a balancer, answers that name different model versions come from different replicas."""
    tallies = [tally for _, tally in finding.tallies(SERVICE)]
    versions = sorted(set().union(*(tally.versions for tally in tallies)))
    if len(versions) < 2:
        return None
    answered = sum(tally.answered for tally in tallies)
    text = f"Answers come from different model versions behind the same address: {_names(versions)}"
    return _evidence(finding, "replica_skew", Verdict.FAIL, text, value=True, sample_size=answered)


def _sole_variants(run: CaseRun, replicas: Sequence[str]) -> Iterator[tuple[str, int]]:
    for name in replicas:
        tally = run.tallies.get(name)
        if tally is not None and len(tally.variants) == 1:
            yield name, next(iter(tally.variants))


def _evidence(
    finding: Finding,
    name: str,
    verdict: Verdict,
    statement: str,
    *,
    value: bool | None = None,
    sample_size: int | None = None,
) -> Evidence:
    return Evidence(
        id=f"reproduce.{name}",
        statement=one_line(statement),
        verdict=verdict,
        source=SOURCE,
        at=finding.at,
        value=value,
        sample_size=sample_size,
    )


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _result(finding: Finding, repeats: Evidence | None, skew: Evidence | None) -> dict[str, Any]:
    return {
        "cases": [_case(run, finding) for run in finding.runs],
        "targets": [_target(finding, target) for target in finding.targets],
        "deterministic": repeats.value if repeats else None,
        "replica_skew": skew.value if skew else None,
        "ignored": sorted(set().union(*(run.ignored for run in finding.runs)))[:100],
    }


def _case(run: CaseRun, finding: Finding) -> dict[str, Any]:
    tallies = run.tallies
    errors: Counter[str] = sum((tally.errors for tally in tallies.values()), Counter())
    mismatch = next((tally.mismatch for tally in tallies.values() if tally.mismatch), None)
    apart = run.difference()
    repeated = any(tally.answered >= 2 for tally in tallies.values())
    first = tallies.get(SERVICE) or next(iter(tallies.values()), Tally())
    return {
        "name": run.case.name,
        "ok": bool(tallies) and not any(tally.failed for tally in tallies.values()),
        "compare": str(run.case.mode) if run.case.has_expected else None,
        "requests": sum(tally.asked for tally in tallies.values()),
        "errors": sum(errors.values()),
        "error": errors.most_common(1)[0][0] if errors else "",
        "mismatches": sum(tally.mismatches for tally in tallies.values()),
        "differences": [one.as_json() for one in mismatch.differences] if mismatch else [],
        "difference_count": mismatch.count if mismatch else 0,
        "max_absolute": mismatch.max_absolute if mismatch else None,
        "max_relative": mismatch.max_relative if mismatch else None,
        "failed_on": [name for name, tally in tallies.items() if tally.failed],
        "deterministic": all(len(tally.variants) <= 1 for tally in tallies.values()) if repeated else None,
        "identical": not run.changed if repeated else None,
        "sampled": run.case.name in finding.sampled,
        "outputs": len(run.variants),
        "output_differences": [one.as_json() for one in apart.differences] if apart else [],
        "model_versions": sorted(set().union(*(tally.versions for tally in tallies.values()))),
        "latency_ms": first.latency(),
    }


def _target(finding: Finding, target: Target) -> dict[str, Any]:
    tallies = finding.tallies(target.name)
    everything = Tally(latencies_ms=[ms for _, tally in tallies for ms in tally.latencies_ms])
    return {
        "target": target.name,
        "url": target.base_url,
        "requests": sum(tally.asked for _, tally in tallies),
        "errors": sum(sum(tally.errors.values()) for _, tally in tallies),
        "failed_cases": sum(tally.failed for _, tally in tallies),
        "given_up": target.name in finding.given_up,
        "model_versions": sorted(set().union(*(tally.versions for _, tally in tallies))),
        "latency_ms": everything.latency(),
    }
