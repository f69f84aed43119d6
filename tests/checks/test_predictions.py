"""The predictions check on outputs with and without each fault, through a real child process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from checks.predictions import CHECK, PredictionsParams
from checks.running import run_check
from infdiag_tui.model import CheckResult, CheckStatus, Evidence, Verdict
from tests.checks.data_helpers import by_id, context, write_csv


async def check(folder: Path, historical: Any, current: Any, **params: Any) -> CheckResult:
    before, now = folder / "historical.csv", folder / "current.csv"
    for path, columns in ((before, historical), (now, current)):
        write_csv(path, columns if isinstance(columns, dict) else {"score": columns})
    return await run_check(CHECK, PredictionsParams(historical=before, current=now, **params), context(folder))


def one(result: CheckResult, name: str) -> Evidence:
    (found,) = by_id(result, f"predictions.{name}")
    return found


async def test_unchanged_scores_are_ok(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    result = await check(tmp_path, random.beta(2, 5, 4_000), random.beta(2, 5, 3_000), column="score")
    assert result.status is CheckStatus.OK, result.summary
    assert result.result["mean_shift"] < 0.05
    assert {evidence.verdict for evidence in result.evidence} == {Verdict.OK}


async def test_a_mean_that_moved_by_more_than_ten_percent_warns_with_the_specifications_figure(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    before, now = random.beta(2, 5, 4_000), random.beta(2.5, 5, 3_000)
    result = await check(tmp_path, before, now, column="score")
    expected = abs(now.mean() - before.mean()) / before.mean()
    assert result.result["mean_shift"] == pytest.approx(expected, rel=1e-9)
    assert result.result["mean_shift_basis"] == "historical mean"
    shift = one(result, "mean_shift")
    assert (shift.verdict, shift.threshold) == (Verdict.WARN, 0.10)
    assert shift.low is not None
    assert shift.low <= expected <= (shift.high or 0)
    assert result.status is CheckStatus.WARN
    assert result.result["distribution"]["ks_statistic"] == pytest.approx(stats.ks_2samp(before, now).statistic)


async def test_a_negative_historical_mean_warns_as_a_positive_one_does(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    result = await check(tmp_path, random.normal(-10, 1, 500), random.normal(-12, 1, 500))
    assert result.result["mean_shift"] == pytest.approx(0.2, abs=0.02)
    assert result.status is not CheckStatus.OK


@pytest.mark.parametrize(("moved", "warns"), [(0.0, False), (0.5, True)])
async def test_a_mean_near_zero_is_measured_in_standard_deviations(tmp_path: Path, moved: float, warns: bool) -> None:
    random = np.random.default_rng(4)
    result = await check(tmp_path, random.normal(0, 2, 4_000), random.normal(2 * moved, 2, 4_000))
    assert result.result["mean_shift"] == pytest.approx(moved, abs=0.08)
    assert "standard deviation" in result.result["mean_shift_basis"]
    assert (result.status is not CheckStatus.OK) is warns


async def test_a_shift_that_few_rows_may_show_by_chance_warns_and_says_so(tmp_path: Path) -> None:
    result = await check(tmp_path, [0.1, 0.9, 0.2, 0.8], [0.3, 0.9, 0.4, 0.9])
    assert result.status is CheckStatus.WARN
    assert one(result, "mean_shift").verdict is Verdict.UNKNOWN
    assert "by chance" in one(result, "mean_shift").statement


async def test_nan_outputs_fail(tmp_path: Path) -> None:
    scores = np.random.default_rng(5).random(1_000)
    broken = scores.copy()
    broken[::20], broken[1::50] = np.nan, np.inf
    result = await check(tmp_path, scores, broken)
    assert result.status is CheckStatus.FAIL
    assert one(result, "nan").value == pytest.approx(0.07)
    assert "7.00% of 1,000 outputs are missing, NaN or infinite (0.00% in history)" in result.summary
    all_nan = await check(tmp_path, scores, np.full(50, np.nan))
    assert all_nan.status is CheckStatus.FAIL
    assert all_nan.result["mean_shift"] is None


async def test_constant_outputs_fail_and_constant_history_is_no_fault(tmp_path: Path) -> None:
    scores = np.random.default_rng(6).random(500)
    result = await check(tmp_path, scores, np.full(500, 0.5))
    assert one(result, "constant").verdict is Verdict.FAIL
    same = await check(tmp_path, np.full(500, 0.1), np.full(400, 0.1))
    assert same.status is CheckStatus.OK, same.summary
    assert same.result["mean_shift"] == 0.0
    nothing = await check(tmp_path, np.zeros(500), np.full(400, 0.1))
    assert nothing.result["mean_shift"] is None
    assert one(nothing, "mean_shift").verdict is Verdict.WARN


async def test_class_shares_and_named_classes(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    before = {"prediction": random.choice(["cat", "dog"], 2_000, p=[0.7, 0.3])}
    now = {"prediction": random.choice(["cat", "dog"], 2_000, p=[0.3, 0.7])}
    result = await check(tmp_path, before, now)
    assert result.result["mean_shift"] is None
    shares = {entry["name"]: entry["current_share"] for entry in result.result["classes"]}
    assert shares["cat"] == pytest.approx(0.3, abs=0.05)
    assert one(result, "distribution").unit == "total variation"
    assert result.status is CheckStatus.FAIL
    numbers = await check(tmp_path, [0, 1] * 100, [0, 1] * 100)
    assert [entry["historical_share"] for entry in numbers.result["classes"]] == [0.5, 0.5]


async def test_booleans_have_a_mean(tmp_path: Path) -> None:
    result = await check(tmp_path, [True, False] * 200, [True, True, True, False] * 100)
    assert result.result["mean_shift"] == pytest.approx(0.5)


@pytest.mark.parametrize(("distortion", "verdict"), [(1.0, Verdict.OK), (0.4, Verdict.WARN)])
async def test_probabilities_that_do_not_come_true_are_told(
    tmp_path: Path, distortion: float, verdict: Verdict
) -> None:
    random = np.random.default_rng(8)

    def rows(factor: float) -> dict[str, Any]:
        p = random.random(4_000)
        return {"score": p, "paid": (random.random(4_000) < p * factor).astype(int)}

    result = await check(tmp_path, rows(1.0), rows(distortion), column="score", outcome="paid")
    found = one(result, "calibration")
    assert found.verdict is verdict
    assert result.result["calibration"]["historical"]["error"] < 0.04
    brier = result.result["calibration"]["current"]["brier"]
    assert (brier < 0.2) is (distortion == 1.0)


async def test_parquet_of_32_bits_agrees_with_numpy(tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    before, now = random.random(2_000).astype(np.float32), random.random(2_000).astype(np.float32) * 2
    for name, values in (("b", before), ("n", now)):
        pl.DataFrame({"y": values}).write_parquet(tmp_path / f"{name}.parquet")
    params = PredictionsParams(historical=tmp_path / "b.parquet", current=tmp_path / "n.parquet", column="y")
    result = await run_check(CHECK, params, context(tmp_path))
    before, now = before.astype(float), now.astype(float)
    assert result.result["mean_shift"] == pytest.approx((now.mean() - before.mean()) / before.mean(), rel=1e-9)


async def test_what_is_missing_or_wrong_is_said_with_its_remedy(tmp_path: Path) -> None:
    skipped = await run_check(CHECK, PredictionsParams(), context(tmp_path))
    assert skipped.status is CheckStatus.SKIPPED
    assert "--current FILE and --historical FILE" in skipped.summary
    wrong = await check(tmp_path, [1.0], [1.0], column="scroe")
    assert "no column 'scroe'; it has score" in wrong.summary
    unnamed = await check(tmp_path, {"a": [1], "b": [2]}, {"a": [1], "b": [2]})
    assert "Name the outputs with --column" in unnamed.summary
    mixed = await check(tmp_path, [1.0, 2.0], ["cat", "dog"])
    assert (mixed.status, "cannot be compared" in mixed.summary) == (CheckStatus.ERROR, True)
    bad = await check(tmp_path, {"p": [0.1], "y": [1]}, {"p": [3.0], "y": [1]}, column="p", outcome="y")
    assert "probabilities from 0 to 1" in bad.summary
