"""Concept drift: whether predictions still come true, and the moment from which they did less."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from checks.base import Check, CheckContext, Outcome, Params
from checks.data_worker import in_child
from checks.drift import measure
from checks.drift_verdict import Rule
from checks.labels_charts import charts_of
from infdiag_tui.clock import utc_text
from infdiag_tui.model import CheckStatus, Evidence, Verdict
from infdiag_tui.stats.psi import MODERATE

_SIGNIFICANT_Z = 1.96


class LabelsParams(Params):
    """Parameters of `labels`."""

    current: Path | None = Field(
        None, description="Predictions with their outcomes, oldest first: CSV, JSONL, Parquet."
    )
    historical: Path | None = Field(None, description="The same of a time when all was well: the baseline.")
    prediction: str = Field("", description="The predictions' column; default: prediction, score, probability, output.")
    label: str = Field("", description="The outcomes' column; default: label, outcome, target, actual, y_true.")
    time: str = Field("", description="Column to order the rows by: ISO 8601 or Unix time; default: the file's order.")
    baseline: float | None = Field(
        None, ge=0, description="The usual accuracy (0 to 1) or mean absolute error, instead of a historical file."
    )
    cutoff: float = Field(0.5, ge=0, le=1, description="Probability from which a prediction means 1.")
    smallest_drop: float | None = Field(
        None,
        gt=0,
        description="Smallest loss that matters; default: 0.05 of accuracy, or 10 % of the baseline's absolute error.",
    )
    false_alarm: float = Field(0.01, gt=0, lt=0.5, description="Chance of a false alarm over the whole file.")
    windows: int = Field(20, ge=1, le=1_000, description="Windows of equal rows in the course over time.")
    threshold: float = Field(0.05, gt=0, lt=1, description="P-values below this are significant for label drift.")
    min_effect: float = Field(0.05, ge=0, le=1, description="Smallest KS D or total variation that is label drift.")


class LabelsCheck(Check[LabelsParams]):
    """Accuracy or error over time against the baseline, with a sequential change detector, and label drift."""

    name = "labels"
    title = "Labels: do predictions still come true, and since when not"
    step = 0
    symptoms = ("accuracy-drop", "wrong-predictions")
    params = LabelsParams

    def missing(self, params: LabelsParams, context: CheckContext) -> str:
        """Outcomes are needed; a baseline is only missed in the result."""
        del context
        if params.current is None:
            return (
                "Following accuracy needs --current FILE with predictions and outcomes (CSV, JSONL or Parquet), "
                "or checks.labels.current in the config."
            )
        return ""

    async def run(self, params: LabelsParams, context: CheckContext) -> Outcome:
        """See `Check.run`; files are read and followed in a child process."""
        rule = Rule(params.threshold, params.min_effect, MODERATE, 0.01)
        arguments = {
            "current": str(params.current),
            "historical": str(params.historical) if params.historical else "",
            "names": {"prediction": params.prediction, "label": params.label, "time": params.time},
            "rule": asdict(rule),
            **params.model_dump(include={"baseline", "cutoff", "smallest_drop", "false_alarm", "windows"}),
        }
        found: dict[str, Any] = await in_child("checks.labels_compare:follow", arguments, context.report)
        at = context.now()
        evidence = (_level(found, at), _change(found, params, at), *_labels(found, rule, at))
        verdicts = {one.verdict for one in evidence}
        status = CheckStatus.WARN if Verdict.WARN in verdicts else CheckStatus.OK
        if Verdict.FAIL in verdicts:
            status = CheckStatus.FAIL
        bad = [one for one in evidence if one.verdict in {Verdict.FAIL, Verdict.WARN}]
        summary = "; ".join(one.statement for one in bad or evidence[:2]) + "."
        return Outcome(status, summary, evidence, found, charts=charts_of(found))


def _words(found: dict[str, Any], value: float) -> str:
    return f"{value:.1%}" if found["metric"] == "accuracy" else f"{value:.4g}"


def _title(found: dict[str, Any]) -> str:
    return "accuracy" if found["metric"] == "accuracy" else "mean absolute error"


def _level(found: dict[str, Any], at: float) -> Evidence:
    overall, baseline, smallest = found["overall"], found["baseline"], found["smallest"]
    falling = found["metric"] == "accuracy"
    limit = None if baseline is None else baseline - smallest if falling else baseline + smallest
    statement = f"{_title(found)} is {_words(found, overall['value'])} over {found['rows']:,} rows"
    verdict = Verdict.UNKNOWN
    if baseline is None or limit is None:
        statement += ", with no baseline to compare (--historical FILE or --baseline)"
    else:
        statement += f" (baseline {_words(found, baseline)})"
        worst = overall["low"] if falling else overall["high"]
        lost = baseline - overall["value"] if falling else overall["value"] - baseline
        if lost >= smallest and found["drop_z"] > _SIGNIFICANT_Z:
            verdict = Verdict.FAIL
        elif worst is not None and (worst >= limit if falling else worst <= limit):
            verdict = Verdict.OK
        else:
            statement += "; too few rows to rule out a loss that matters"
    return Evidence(
        "labels.accuracy" if falling else "labels.error",
        statement,
        verdict,
        "labels",
        at,
        value=overall["value"],
        unit="ratio" if falling else "",
        sample_size=found["rows"],
        low=overall["low"],
        high=overall["high"],
        threshold=limit,
        threshold_source="" if limit is None else "the baseline and the smallest loss that matters",
    )


def _change(found: dict[str, Any], params: LabelsParams, at: float) -> Evidence:
    change = found["change"]
    source = f"Page-Hinkley, false alarms in {params.false_alarm:.0%} of files"
    if change is None:
        statement = f"no moment from which the {_title(found)} was worse in {found['rows']:,} rows"
        return Evidence(
            "labels.change",
            statement,
            Verdict.OK,
            "labels",
            at,
            value=False,
            sample_size=found["rows"],
            threshold_source=source,
        )
    before = found["baseline"] if found["baseline"] is not None else (change["before"] or {}).get("value")
    after = change["after"]["value"]
    moved = f"from {_words(found, before)} to {_words(found, after)}" if before is not None else "to a worse level"
    when = f"row {change['row'] + 1:,} of {found['rows']:,}"
    if change["time"] is not None:
        when = f"{utc_text(change['time'])} ({when})"
    verb = "fell" if found["metric"] == "accuracy" else "rose"
    lost = None if before is None else abs(after - before)
    verdict = Verdict.FAIL if lost is not None and lost >= found["smallest"] else Verdict.WARN
    return Evidence(
        "labels.change",
        f"{_title(found)} {verb} {moved} at {when}",
        verdict,
        "labels",
        at,
        value=float(change["row"]),
        unit="row",
        sample_size=found["rows"],
        threshold_source=source,
        since=change["time"],
    )


def _labels(found: dict[str, Any], rule: Rule, at: float) -> tuple[Evidence, ...]:
    one = found["label_drift"]
    if one is None or "effect" not in one or one["effect"] is None:
        return ()
    unit = "KS D" if one["kind"] == "numeric" else "total variation"
    statement = f"outcomes themselves are distributed as before ({unit} {one['effect']:.2g})"
    verdict = Verdict.OK
    if one["drifted"]:
        statement = f"outcomes themselves are distributed otherwise than before ({measure(one)})"
        verdict = Verdict.WARN
    elif one["too_small"]:
        statement = f"too few outcomes to tell a label drift: only {one['smallest_detectable']:.2g} or more would show"
        verdict = Verdict.UNKNOWN
    return (
        Evidence(
            "labels.drift",
            statement,
            verdict,
            "labels",
            at,
            value=one["effect"],
            unit=unit,
            subject=one["name"],
            sample_size=min(one["reference_rows"], one["production_rows"]),
            threshold=rule.min_effect,
            threshold_source=rule.words(),
        ),
    )


CHECK = LabelsCheck()
