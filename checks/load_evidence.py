"""The load check's evidence: each figure with its interval, sample size, threshold and verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

from checks.load_gen.job import Figure, Summary
from checks.load_judge import (
    ENOUGH_FOR_P99,
    LATENESS_SHARE,
    RISK,
    chance_of_none_alone,
    error_verdict,
    invalid_reasons,
    own_beyond_limit_ms,
    wilson,
)
from checks.load_run import Measured
from infdiag_tui.model import Evidence, Verdict

SOURCE = "load"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the figures are held against."""

    objective_p99_ms: float | None
    max_error_rate: float
    at: float
    """When the run was, Unix seconds."""


def evidence_of(measured: Measured, limits: Limits) -> tuple[Evidence, ...]:
    """Everything that the run says, the most telling first."""
    load = measured.load
    found = [_errors(load, limits), *_concurrency(measured, limits.at)]
    found += [_quantile(load, name, limits) for name in ("p50", "p99")]
    found += [_throughput(load, limits.at), _validity(load, limits.at)]
    if measured.knee is not None:
        found.append(_knee(measured, limits.at))
    return tuple(found)


def _errors(load: Summary, limits: Limits) -> Evidence:
    low, high = wilson(load.failed, load.requests)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(load.errors.items(), key=lambda one: -one[1]))
    share = load.failed / load.requests
    return Evidence(
        id="load.error_rate",
        statement=f"{load.failed:,} of {load.requests:,} requests failed ({share:.1%})"
        + (f": {kinds}" if kinds else ""),
        verdict=error_verdict(load.failed, load.requests, limits.max_error_rate),
        source=SOURCE,
        at=limits.at,
        value=share,
        sample_size=load.requests,
        low=low,
        high=high,
        threshold=limits.max_error_rate,
        threshold_source="the load check's max_error_rate",
    )


def _quantile(load: Summary, name: str, limits: Limits) -> Evidence:
    objective_ms = limits.objective_p99_ms if name == "p99" else None
    figure = None if load.latency_ms is None else load.latency_ms[name]
    reasons = invalid_reasons(load)
    if figure is None or reasons:
        why = f"not measured: {reasons[0]}" if reasons else "not measured: no request was answered"
        return Evidence(f"load.{name}", f"{name} {why}", Verdict.UNKNOWN, SOURCE, limits.at, unit="ms")
    few = name == "p99" and load.samples < ENOUGH_FOR_P99
    own_ms = own_beyond_limit_ms(load, name)
    if own_ms is not None and figure.low is not None:
        figure = replace(figure, low=max(0.0, figure.low - own_ms))
    return Evidence(
        id=f"load.{name}",
        statement=_quantile_statement(load, name, figure, few=few)
        + ("" if own_ms is None else f"; up to {own_ms:.1f} ms of it was spent waiting on this machine"),
        verdict=_quantile_verdict(figure, objective_ms, few=few),
        source=SOURCE,
        at=limits.at,
        value=figure.value,
        unit="ms",
        sample_size=load.samples,
        low=figure.low,
        high=figure.high,
        threshold=objective_ms,
        threshold_source="" if objective_ms is None else "endpoint.objective_p99_ms",
    )


def _quantile_statement(load: Summary, name: str, figure: Figure, *, few: bool) -> str:
    if few and load.max_ms is not None:
        return f"the slowest of {load.samples} took {milliseconds(load.max_ms)}; p99 needs {ENOUGH_FOR_P99} samples"
    upper = "more" if figure.high is None else f"{figure.high:.1f}"
    lower = "less" if figure.low is None else f"{figure.low:.1f}"
    return f"{name} {milliseconds(figure)} ({lower} to {upper}, 95 %) of {load.samples:,}"


def _quantile_verdict(figure: Figure, objective_ms: float | None, *, few: bool) -> Verdict:
    if objective_ms is not None and figure.value > objective_ms:
        beyond_doubt = figure.low is not None and figure.low > objective_ms
        return Verdict.FAIL if beyond_doubt else Verdict.WARN
    return Verdict.UNKNOWN if few or figure.at_least else Verdict.OK


def milliseconds(figure: Figure) -> str:
    """A latency for a sentence; a lower bound says so."""
    return f"{'at least ' if figure.at_least else ''}{figure.value:.1f} ms"


def _throughput(load: Summary, at: float) -> Evidence:
    reasons = invalid_reasons(load)
    statement = f"{load.throughput_rps:.1f} good replies/s over {load.elapsed_s:.1f} s"
    if reasons:
        statement = f"at least {statement}: {reasons[0]}"
    elif load.own_share > LATENESS_SHARE:
        statement = f"at least {statement}: up to {load.own_share:.0%} of the workers' time was the generator's own"
    return Evidence(
        id="load.throughput",
        statement=statement,
        verdict=Verdict.UNKNOWN if reasons else Verdict.OK,
        source=SOURCE,
        at=at,
        value=load.throughput_rps,
        unit="1/s",
        sample_size=load.requests,
        window_s=load.elapsed_s,
    )


def _validity(load: Summary, at: float) -> Evidence:
    reasons = invalid_reasons(load)
    late = "" if load.lateness_p99_ms is None else f"sent {load.lateness_p99_ms:.2f} ms late at p99, "
    own = load.own_ms
    added = "" if own is None else f", at most {own['p50']:.2f} ms of p50 and {own['p99']:.2f} ms of p99 its own"
    waited = "" if load.core_wait_ms is None else f", {load.core_wait_ms:.2f} ms waited for a core on average"
    used = f"{late}{load.cpu_share:.0%} of a core used{added}{waited}"
    return Evidence(
        id="load.valid",
        statement=f"invalid run: {'; '.join(reasons)}" if reasons else used,
        verdict=Verdict.WARN if reasons else Verdict.OK,
        source=SOURCE,
        at=at,
        value=not reasons,
    )


def _concurrency(measured: Measured, at: float) -> list[Evidence]:
    """What concurrency costs and breaks, where the load was not itself the lone requests."""
    alone, load = measured.alone, measured.load
    if alone is None or load is alone or not alone.requests:
        return []
    found: list[Evidence] = []
    if load.failed and not alone.failed:
        found.append(_only_concurrent(alone, measured, at))
    if alone.latency_ms is not None and load.latency_ms is not None and not invalid_reasons(load):
        apart, together = alone.latency_ms["p50"].value, load.latency_ms["p50"].value
        found.append(
            Evidence(
                id="load.p50_alone",
                statement=f"p50 {apart:.1f} ms alone, {together:.1f} ms under load ({together / apart:.1f} times)",
                verdict=Verdict.OK,
                source=SOURCE,
                at=at,
                value=apart,
                unit="ms",
                sample_size=alone.samples,
                low=alone.latency_ms["p50"].low,
                high=alone.latency_ms["p50"].high,
            )
        )
    return found


def _only_concurrent(alone: Summary, measured: Measured, at: float) -> Evidence:
    load, after = measured.load, measured.alone_after
    chance = chance_of_none_alone(alone.requests, load.requests, load.failed)
    told_apart = chance < RISK
    kinds = ", ".join(sorted(load.errors))
    if after is not None and after.failed:
        statement = (
            f"{kinds} came with the load and stayed: {after.failed} of {after.requests} failed one at a time afterwards"
        )
    elif told_apart:
        statement = f"{kinds} only under concurrency: {load.failed} of {load.requests}, none of {alone.requests} alone"
    else:
        statement = (
            f"{kinds}: {load.failed} of {load.requests} under load, none of {alone.requests} alone: too few to tell "
            "whether concurrency is why (raise --alone)"
        )
    return Evidence(
        id="load.errors_only_concurrent",
        statement=statement,
        verdict=Verdict.FAIL if told_apart else Verdict.UNKNOWN,
        source=SOURCE,
        at=at,
        value=told_apart,
        sample_size=alone.requests + load.requests,
        threshold=RISK,
        threshold_source=f"Fisher's exact test, p = {chance:.2g}",
    )


def _knee(measured: Measured, at: float) -> Evidence:
    search = measured.knee
    if search is None:
        raise ValueError("no knee was searched for")
    good, bad, plateau_ms = search.highest_good_per_s, search.first_bad_per_s, search.plateau_ms
    if search.knee_per_s is not None and bad is not None:
        why = next(step.beyond for step in search.steps if step.rate_per_s == bad and step.beyond)
        plateau = "" if plateau_ms is None else f" (plateau {plateau_ms:.1f} ms)"
        return Evidence(
            id="load.knee",
            statement=f"the knee lies between {good:.1f} and {bad:.1f} requests/s{plateau}: beyond, {why}",
            verdict=Verdict.OK,
            source=SOURCE,
            at=at,
            value=good,
            unit="1/s",
            sample_size=sum(step.requests for step in search.steps),
            low=good,
            high=bad,
        )
    if bad is not None:
        statement = f"already {bad:.1f} requests/s, the lowest rate tried, is too much: {search.steps[-1].beyond}"
        return Evidence("load.knee", statement, Verdict.FAIL, SOURCE, at, unit="1/s", high=bad)
    reached = "no valid step" if good is None else f"no knee up to {good:.1f} requests/s"
    statement = f"{reached}; the search ended at {search.limited_by}"
    return Evidence("load.knee", statement, Verdict.UNKNOWN, SOURCE, at, unit="1/s", low=good)
