"""Whether the model's outputs still look like those of the past, are numbers at all, and come true."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from checks.base import Check, CheckContext, Outcome, Params
from checks.data_worker import in_child
from checks.drift import measure
from checks.drift_verdict import LANDSLIDE, Rule
from checks.predictions_charts import charts_of
from infdiag_tui.model import CheckStatus, Evidence, Verdict
from infdiag_tui.stats.means import WARNING
from infdiag_tui.stats.psi import MODERATE

NAN_SHARE = 0.01
"""From this share of outputs that are no number on the check fails, where history had significantly fewer."""

NEARLY_CONSTANT = 0.9
"""One output in more than this share of rows is a stuck model, unless history was like that."""

CALIBRATION_ERROR = 0.05
"""An expected calibration error above this, and above history's by as much, is told."""

_SPECIFICATION = "the specification's warning"


class PredictionsParams(Params):
    """Parameters of `predictions`."""

    current: Path | None = Field(None, description="Outputs of now: CSV, JSONL or Parquet.")
    historical: Path | None = Field(None, description="Outputs of a time when all was well: CSV, JSONL or Parquet.")
    column: str = Field("", description="The outputs' column; default: prediction, score, or the only one.")
    outcome: str = Field("", description="Column with what came true (0 or 1), for the calibration of probabilities.")
    shift: float = Field(WARNING, gt=0, description="Relative shift of the mean that warns.")
    threshold: float = Field(0.05, gt=0, lt=1, description="P-values below this are significant.")
    min_effect: float = Field(0.05, ge=0, le=1, description="Smallest KS D or total variation that counts as a shift.")
    min_psi: float = Field(MODERATE, ge=0, description="Smallest PSI that counts as a shift, whatever the difference.")
    bins: int = Field(10, ge=2, le=1_000, description="Bins of the PSI, at the history's quantiles.")


class PredictionsCheck(Check[PredictionsParams]):
    """Current against historical outputs."""

    name = "predictions"
    title = "Predictions: current outputs against historical ones"
    step = 0
    symptoms = ("wrong-predictions", "accuracy-drop")
    params = PredictionsParams

    def missing(self, params: PredictionsParams, context: CheckContext) -> str:
        """Both files are needed."""
        del context
        lacking = [name for name in ("current", "historical") if getattr(params, name) is None]
        if not lacking:
            return ""
        flags = " and ".join(f"--{name} FILE" for name in lacking)
        keys = " and ".join(f"checks.predictions.{name}" for name in lacking)
        return f"Comparing predictions needs {flags} (CSV, JSONL or Parquet), or {keys} in the config."

    async def run(self, params: PredictionsParams, context: CheckContext) -> Outcome:
        """See `Check.run`; files are read and compared in a child process."""
        rule = Rule(params.threshold, params.min_effect, params.min_psi, 0.01)
        arguments = {
            "current": str(params.current),
            "historical": str(params.historical),
            "column": params.column,
            "outcome": params.outcome,
            "bins": params.bins,
            "rule": asdict(rule),
        }
        found = await in_child("checks.predictions_compare:compare_outputs", arguments, context.report)
        at = context.now()
        evidence = tuple(
            one
            for one in (
                _mean(found, params, at),
                _distribution(found, rule, at),
                _nan(found, params, at),
                _constant(found, at),
                _calibration(found, params, at),
            )
            if one is not None
        )
        shift = found["mean_shift"] or {}
        result = {
            "mean_shift": shift.get("shift"),
            "mean_shift_basis": shift.get("basis"),
            "mean_shift_low": shift.get("low"),
            "mean_shift_high": shift.get("high"),
            "historical_mean": shift.get("before"),
            "current_mean": shift.get("now"),
            **{name: found[name] for name in ("column", "distribution", "classes", "current", "historical")},
            "calibration": found["calibration"],
        }
        return Outcome(_status(evidence, found, params), _summary(evidence), evidence, result, charts=charts_of(found))


def _status(evidence: tuple[Evidence, ...], found: dict[str, Any], params: PredictionsParams) -> CheckStatus:
    verdicts = {one.verdict for one in evidence}
    if Verdict.FAIL in verdicts:
        return CheckStatus.FAIL
    # The specification warns at 10 %, whether or not chance could explain it; the sentence says if it could.
    shifted = found["mean_shift"] is not None and (found["mean_shift"]["shift"] or 0.0) > params.shift
    return CheckStatus.WARN if shifted or Verdict.WARN in verdicts else CheckStatus.OK


def _summary(evidence: tuple[Evidence, ...]) -> str:
    bad = [one for one in evidence if one.verdict is Verdict.FAIL] + [
        one for one in evidence if one.verdict is Verdict.WARN
    ]
    return "; ".join(one.statement for one in bad[:3] or evidence[:1]) + "."


def _mean(found: dict[str, Any], params: PredictionsParams, at: float) -> Evidence | None:
    shift = found["mean_shift"]
    if shift is None:
        return None
    before, now = shift["before"], shift["now"]
    if shift["shift"] is None:
        statement, verdict = f"the mean output was constantly {before:.4g} and is {now:.4g}", Verdict.WARN
    else:
        statement = f"the mean output moved by {shift['shift']:.1%} of the {shift['basis']} ({before:.4g} to {now:.4g})"
        verdict = Verdict.OK
        if shift["shift"] > params.shift:
            verdict = Verdict.WARN if shift["beyond_chance"] else Verdict.UNKNOWN
        if verdict is Verdict.UNKNOWN:
            statement += (
                f", but so few rows may do so by chance (95 % interval {shift['low']:+.1%} to {shift['high']:+.1%})"
            )
    return Evidence(
        "predictions.mean_shift",
        statement,
        verdict,
        "predictions",
        at,
        value=shift["shift"],
        unit="ratio",
        subject=found["column"],
        sample_size=min(found["current"]["rows"], found["historical"]["rows"]),
        low=shift["low"],
        high=shift["high"],
        threshold=params.shift,
        threshold_source=_SPECIFICATION if params.shift == WARNING else "parameter shift",
    )


def _distribution(found: dict[str, Any], rule: Rule, at: float) -> Evidence:
    one = found["distribution"]
    shifted = "distribution" in one["reasons"]
    unit = "KS D" if one["kind"] == "numeric" else "total variation"
    if shifted:
        verdict = Verdict.FAIL if one["severe"] else Verdict.WARN
        only = {**one, "reasons": ["distribution"]}
        statement = f"the distribution of {one['name']} shifted ({measure(only)}, p {one['p_value']:.2g})"
    elif one["p_value"] is None:
        verdict, statement = Verdict.UNKNOWN, "one side has no output to compare a distribution of"
    elif one["smallest_detectable"] > LANDSLIDE:
        verdict = Verdict.UNKNOWN
        statement = f"too few outputs to tell a shift: only {unit} {one['smallest_detectable']:.2g} or more would show"
    else:
        verdict = Verdict.OK
        statement = (
            f"the distribution of {one['name']} did not shift ({unit} {one['effect']:.2g}; "
            f"{one['smallest_detectable']:.2g} would have shown)"
        )
    return Evidence(
        "predictions.distribution",
        statement,
        verdict,
        "predictions",
        at,
        value=one["effect"],
        unit=unit,
        subject=found["column"],
        sample_size=min(found["current"]["rows"], found["historical"]["rows"]),
        threshold=rule.min_effect,
        threshold_source=rule.words(),
    )


def _nan(found: dict[str, Any], params: PredictionsParams, at: float) -> Evidence:
    now, before = found["current"], found["historical"]
    share, usual = now["nan_share"], before["nan_share"]
    more = share > usual and found["nan_p_value"] is not None and found["nan_p_value"] < params.threshold
    verdict = Verdict.OK
    if share >= NAN_SHARE and (more or share > LANDSLIDE > usual):
        verdict = Verdict.FAIL
    elif share and (more or not usual):
        verdict = Verdict.WARN
    return Evidence(
        "predictions.nan",
        f"{share:.2%} of {now['rows']:,} outputs are missing, NaN or infinite ({usual:.2%} in history)",
        verdict,
        "predictions",
        at,
        value=share,
        unit="share",
        subject=found["column"],
        sample_size=now["rows"],
        threshold=NAN_SHARE,
        threshold_source="1 %, and significantly more than in history",
    )


def _constant(found: dict[str, Any], at: float) -> Evidence | None:
    now, before = found["current"], found["historical"]
    share, usual = now["commonest_share"], before["commonest_share"]
    if share is None or usual is None:
        return None
    present = now["rows"] - now["nan"]
    stuck = share > NEARLY_CONSTANT > usual and present >= 10
    constant = now["different"] == 1 and stuck
    told = "every output is the same" if constant else f"one output makes up {share:.1%} of all"
    return Evidence(
        "predictions.constant",
        f"{told} ({usual:.1%} in history), {now['different']:,} different values in {present:,} rows",
        Verdict.FAIL if constant else Verdict.WARN if stuck else Verdict.OK,
        "predictions",
        at,
        value=share,
        unit="share",
        subject=found["column"],
        sample_size=present,
        threshold=NEARLY_CONSTANT,
        threshold_source="90 % in one value, where history had less",
    )


def _calibration(found: dict[str, Any], params: PredictionsParams, at: float) -> Evidence | None:
    now, before = found["calibration"]["current"], found["calibration"]["historical"]
    if now is None:
        return None
    usual = before["error"] if before else 0.0
    off = now["error"] > usual + CALIBRATION_ERROR and now["p_value"] < params.threshold
    history = f" ({usual:.1%} in history)" if before else ""
    return Evidence(
        "predictions.calibration",
        f"probabilities are off by {now['error']:.1%} on average{history}: "
        f"{now['predicted']:.1%} predicted, {now['observed']:.1%} came true",
        Verdict.WARN if off else Verdict.OK,
        "predictions",
        at,
        value=now["error"],
        unit="share",
        subject=found["column"],
        sample_size=now["rows"],
        threshold=usual + CALIBRATION_ERROR,
        threshold_source="5 points above history's calibration error, and significant",
    )


CHECK = PredictionsCheck()
