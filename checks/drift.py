"""Data drift: whether production's inputs still look like the ones that the model was trained on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from checks.base import Check, CheckContext, Outcome, Params
from checks.data_worker import in_child
from checks.drift_charts import charts_of
from checks.drift_verdict import LANDSLIDE, Rule, missing_change, outside_share
from infdiag_tui.model import CheckStatus, Evidence, Verdict
from infdiag_tui.stats.psi import MODERATE
from infdiag_tui.text import one_line

_WORST_SHOWN = 10
_NAMED = 3


class DriftParams(Params):
    """Parameters of `drift`."""

    reference: Path | None = Field(None, description="Training data or another known-good sample: CSV, JSONL, Parquet.")
    production: Path | None = Field(None, description="What production receives now: CSV, JSONL, Parquet.")
    threshold: float = Field(0.05, gt=0, lt=1, description="Adjusted p-values below this are significant.")
    features: tuple[str, ...] = Field((), description="Features to compare; default: all columns that both files have.")
    exclude: tuple[str, ...] = Field((), description="Columns to leave out, such as ids and times.")
    categorical: tuple[str, ...] = Field((), description="Numeric columns to compare as categories (codes, classes).")
    min_effect: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Smallest difference that counts as drift: KS D, total variation, change of the missing share.",
    )
    min_psi: float = Field(MODERATE, ge=0, description="Smallest PSI that counts as drift, whatever the difference.")
    min_outside: float = Field(
        0.01, ge=0, le=1, description="Smallest share outside the reference's range that counts."
    )
    bins: int = Field(10, ge=2, le=1_000, description="Bins of the PSI, at the reference's quantiles.")

    def rule(self) -> Rule:
        """What counts as drift."""
        return Rule(self.threshold, self.min_effect, self.min_psi, self.min_outside)


class DriftCheck(Check[DriftParams]):
    """KS and PSI per numeric feature, chi-square and PSI per categorical one, missing values and ranges."""

    name = "drift"
    title = "Data drift: production inputs against training data"
    step = 4
    symptoms = ("accuracy-drop", "wrong-predictions")
    params = DriftParams

    def missing(self, params: DriftParams, context: CheckContext) -> str:
        """Both files are needed."""
        del context
        lacking = [name for name in ("reference", "production") if getattr(params, name) is None]
        if not lacking:
            return ""
        flags = " and ".join(f"--{name} FILE" for name in lacking)
        keys = " and ".join(f"checks.drift.{name}" for name in lacking)
        return f"Data drift needs {flags} (CSV, JSONL or Parquet), or {keys} in the config."

    async def run(self, params: DriftParams, context: CheckContext) -> Outcome:
        """See `Check.run`; files are read and compared in a child process."""
        rule = params.rule()
        arguments = {
            "reference": str(params.reference),
            "production": str(params.production),
            "features": params.features,
            "exclude": params.exclude,
            "categorical": params.categorical,
            "bins": params.bins,
            "rule": asdict(rule),
        }
        found: dict[str, Any] = await in_child("checks.drift_compare:compare_files", arguments, context.report)
        at = context.now()
        evidence = (
            _features(found, rule, at),
            *(_feature(one, rule, at) for one in found["features"][:_WORST_SHOWN] if one["drifted"]),
            *_columns(found, at),
            *_unread(found, at),
        )
        drifted = [one for one in found["features"] if one["drifted"]]
        mismatched = any(one["mismatch"] for one in found["skipped"])
        status = CheckStatus.OK
        if drifted or mismatched:
            status = CheckStatus.FAIL if any(one["severe"] for one in drifted) else CheckStatus.WARN
        result = {
            "features": found["features"],
            "drifted": len(drifted),
            "skipped": found["skipped"],
            "reference": found["reference"],
            "production": found["production"],
            "threshold": params.threshold,
            "rule": rule.words(),
        }
        return Outcome(status, _summary(found), evidence, result, charts=charts_of(found, rule))


def _summary(found: dict[str, Any]) -> str:
    features = found["features"]
    drifted = [one for one in features if one["drifted"]]
    mismatched = [one["name"] for one in found["skipped"] if one["mismatch"]]
    tail = f" {len(mismatched)} changed type: {', '.join(mismatched[:_NAMED])}." if mismatched else ""
    if drifted:
        more = f" and {len(drifted) - _NAMED} more" if len(drifted) > _NAMED else ""
        worst = ", ".join(f"{one['name']} ({measure(one)})" for one in drifted[:_NAMED])
        return f"{len(drifted)} of {len(features)} features drifted: {worst}{more}.{tail}"
    return f"None of {len(features)} features drifted; {_power(features)}.{tail}"


def _power(features: list[dict[str, Any]]) -> str:
    """What these samples could have shown at all."""
    weakest = max(features, key=lambda one: one["smallest_detectable"])
    if weakest["smallest_detectable"] >= 1:
        return f"but {weakest['name']} has too few values to show any shift"
    small = "but " if weakest["smallest_detectable"] > LANDSLIDE else ""
    return (
        f"{small}the smallest shift these samples would show in every feature is {weakest['smallest_detectable']:.2g} "
        "(D or total variation, at 80 % power)"
    )


def measure(feature: dict[str, Any]) -> str:
    """Why a feature counts as drifted, in figures."""
    parts = []
    if "distribution" in feature["reasons"]:
        sign = "D" if feature["kind"] == "numeric" else "total variation"
        parts.append(f"{sign} {feature['effect']:.2g}, PSI {feature['psi']:.2g}")
    if "missing values" in feature["reasons"]:
        missing = feature["missing"]
        parts.append(f"missing {missing['reference_share']:.1%} before, {missing['production_share']:.1%} now")
    if "range" in feature["reasons"]:
        parts.append(f"{outside_share(feature):.1%} outside the reference's range")
    return ", ".join(parts)


def _features(found: dict[str, Any], rule: Rule, at: float) -> Evidence:
    features = found["features"]
    drifted = [one["name"] for one in features if one["drifted"]]
    too_small = any(one["too_small"] for one in features)
    severe = any(one["severe"] for one in features)
    clear = Verdict.UNKNOWN if too_small else Verdict.OK
    return Evidence(
        "drift.features",
        _summary(found),
        (Verdict.FAIL if severe else Verdict.WARN) if drifted else clear,
        "drift",
        at,
        value=float(len(drifted)),
        unit="features",
        sample_size=min(found["reference"]["rows"], found["production"]["rows"]),
        threshold=0.0,
        threshold_source=rule.words(),
    )


def _feature(one: dict[str, Any], rule: Rule, at: float) -> Evidence:
    value, threshold, p_adjusted = one["effect"], rule.min_effect, one["p_adjusted"]
    unit = "KS D" if one["kind"] == "numeric" else "total variation"
    if "distribution" not in one["reasons"]:
        unit = "share"
        if "missing values" in one["reasons"]:
            value, p_adjusted = missing_change(one), one["missing"]["p_adjusted"]
        else:
            value, threshold, p_adjusted = outside_share(one), rule.min_outside, one["range"]["p_adjusted"]
    return Evidence(
        "drift.feature",
        f"{one['name']} drifted: {measure(one)}, adjusted p {p_adjusted:.2g} "
        f"({one['reference_rows']:,} rows before, {one['production_rows']:,} now)",
        Verdict.FAIL if one["severe"] else Verdict.WARN,
        "drift",
        at,
        value=value,
        unit=unit,
        subject=one["name"],
        sample_size=min(one["reference_rows"], one["production_rows"]),
        threshold=threshold,
        threshold_source=rule.words(),
    )


def _columns(found: dict[str, Any], at: float) -> tuple[Evidence, ...]:
    skipped = found["skipped"]
    if not skipped:
        return ()
    mismatched = any(one["mismatch"] for one in skipped)
    worst = sorted(skipped, key=lambda one: not one["mismatch"])
    listed = "; ".join(f"{one['name']}: {one['reason']}" for one in worst[:5])
    more = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    statement = one_line(f"{len(skipped)} columns were not compared: {listed}{more}", 600)
    verdict = Verdict.WARN if mismatched else Verdict.UNKNOWN
    return (Evidence("drift.columns", statement, verdict, "drift", at, value=float(len(skipped)), unit="columns"),)


def _unread(found: dict[str, Any], at: float) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            "drift.rows_not_read",
            f"{side['rows_not_read']:,} rows of {side['path']} could not be read, the first {side['first_not_read']}",
            Verdict.UNKNOWN,
            "drift",
            at,
            value=float(side["rows_not_read"]),
            unit="rows",
            subject=side["path"],
            sample_size=side["rows"],
        )
        for side in (found["reference"], found["production"])
        if side["rows_not_read"]
    )


CHECK = DriftCheck()
