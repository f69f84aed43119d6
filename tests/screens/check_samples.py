"""Offers and runs of checks as a session would tell them."""

from __future__ import annotations

import dataclasses

from infdiag_tui.model import (
    Axis,
    Bar,
    BarChart,
    CheckResult,
    CheckRun,
    CheckStatus,
    Curve,
    Evidence,
    FieldKind,
    FormField,
    Impact,
    Level,
    LineChart,
    Mark,
    OfferedCheck,
    Progress,
    Quantity,
    RunState,
    Snapshot,
    Stroke,
    Verdict,
)
from tests.screens.scripted import NOW, incident_snapshot

FIELDS = (
    FormField("requests", "Requests in a closed loop.", value="250", default="100"),
    FormField("mode", "How they are spaced.", FieldKind.CHOICE, default="constant", choices=("constant", "poisson")),
    FormField("keep_alive", "Reuse connections.", FieldKind.SWITCH, default="true"),
    FormField("names", "Which [bold]ones[/bold].", FieldKind.WORDS),
)

OFFERED = (
    OfferedCheck("load", "Load test", "Sends [red]many[/red] requests.", Impact.LOAD, 2, first=True, fields=FIELDS),
    OfferedCheck(
        "drift",
        "Data drift",
        "Compares distributions.",
        Impact.READ_ONLY,
        4,
        missing="checks.drift.reference in the config, or --reference",
        fields=(FormField("reference", "Training data."),),
    ),
    OfferedCheck("version", "Versions", "Asks every replica.", Impact.READ_ONLY, 1),
)


def found(check: str = "drift") -> CheckResult:
    return CheckResult(
        check,
        CheckStatus.FAIL,
        "1 of 2 features drifted: amount.",
        NOW - 20,
        4.0,
        evidence=(
            Evidence(
                "drift.features",
                "amount drifted [bold]by half[/bold] a spread",
                Verdict.FAIL,
                check,
                NOW - 16,
                value=0.31,
                threshold=0.25,
                threshold_source="usual PSI threshold",
                sample_size=5000,
                subject="amount",
            ),
            Evidence("drift.rows", "5,000 rows compared", Verdict.OK, check, NOW - 16, value=5000.0),
        ),
        result={
            "rows": 5000,
            "latency_ms": {"p50": 12.25, "p99": None},
            "features": [
                {"name": "amount [/x]", "kind": "numeric", "psi": 0.3123456, "drifted": True},
                {"name": "country", "kind": "categorical", "psi": 0.01, "drifted": False},
            ],
        },
        artifacts=("/var/lib/infdiag/20260101T025131Z/checks/02-drift/drift.json",),
        charts=(DRIFT_CHART,),
    )


DRIFT_CHART = BarChart(
    "Drift by feature: 0 is alike, 1 wholly different",
    Axis("distance"),
    (
        Bar("amount [/x]", (0.31,), limit=0.05, verdict=Verdict.FAIL, note="PSI 0.31"),
        Bar("country", (0.01,), limit=0.05, verdict=Verdict.OK, note="PSI 0.01"),
    ),
    limit_name="smallest that counts, 0.05",
)

LATENCY_CHART = LineChart(
    "Latency by percentile",
    Axis("percentile", ticks=((0.3, "p50"), (1.0, "p90"), (2.0, "p99"), (3.0, "p99.9"))),
    Axis("latency", Quantity.MILLISECONDS),
    (
        Curve("under load", tuple((step / 10, 22.0 + 1.8 ** (step / 5)) for step in range(31))),
        Curve("one at a time", tuple((step / 10, 9.0 + step / 10) for step in range(21)), Stroke.DOTTED),
    ),
    levels=(Level(40.0, "objective for p99"),),
)

KNEE_CHART = LineChart(
    "p99 by requests a second",
    Axis("offered rate", Quantity.RATE),
    Axis("p99", Quantity.MILLISECONDS),
    (Curve("p99", ((10.0, 21.0), (16.0, 21.5), (26.0, 22.0), (41.0, 24.0), (66.0, 61.0))),),
    levels=(Level(21.5, "plateau"),),
    marks=(Mark(41.0, "knee 41.0/s"),),
)


def loaded(run_id: int = 3) -> CheckRun:
    """A load check with a knee."""
    result = CheckResult(
        "load",
        CheckStatus.FAIL,
        "39.8 replies/s, p50 23.6 ms, p99 58.0 ms of 600; p99 above the objective of 40 ms.",
        NOW - 60,
        40.0,
        evidence=(
            Evidence("load.p99", "p99 58.0 ms (49.0 to 61.0, 95 %) of 600", Verdict.FAIL, "load", NOW, value=58.0),
        ),
        charts=(KNEE_CHART, LATENCY_CHART),
    )
    return CheckRun(run_id, "load", "Load test", RunState.DONE, NOW - 60, result=result, ended_at=NOW - 20)


def running(run_id: int = 1, share: float | None = 0.4) -> CheckRun:
    return CheckRun(
        run_id, "load", "Load test", RunState.RUNNING, NOW - 12, Progress("[b]400[/b] of 1000 requests", share)
    )


def done(run_id: int = 2) -> CheckRun:
    return CheckRun(run_id, "drift", "Data drift", RunState.DONE, NOW - 20, result=found(), ended_at=NOW - 16)


def asking(run_id: int = 1) -> CheckRun:
    question = "Sends 250 requests to http://model-server:8000/predict [red]now[/red]."
    return CheckRun(run_id, "load", "Load test", RunState.ASKING, NOW, question=question, impact=Impact.LOAD)


def refused(run_id: int = 1) -> CheckRun:
    problems = {"requests": "Input should be a valid integer (got 'many').", "": "rate needs a duration."}
    return CheckRun(run_id, "load", "Load test", RunState.INVALID, NOW, problems=problems, ended_at=NOW)


def picture(*runs: CheckRun, offered: tuple[OfferedCheck, ...] | None = OFFERED) -> Snapshot:
    return dataclasses.replace(incident_snapshot(), checks=runs, offered=offered)
