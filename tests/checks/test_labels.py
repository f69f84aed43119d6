"""The labels check finds when predictions stopped coming true, through a real child process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from checks.labels import CHECK, LabelsParams
from checks.running import run_check
from infdiag_tui.model import CheckResult, CheckStatus, Evidence, Verdict
from tests.checks.data_helpers import by_id, context, write_csv

START = datetime(2026, 3, 1, tzinfo=UTC)


def outcomes(rows: int, accuracy: float, seed: int, positive: float = 0.5) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    label = np.where(random.random(rows) < positive, "fraud", "fine")
    wrong = random.random(rows) >= accuracy
    return {"prediction": np.where(wrong, np.where(label == "fraud", "fine", "fraud"), label), "label": label}


def joined(*parts: dict[str, Any]) -> dict[str, Any]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


async def check(folder: Path, current: dict[str, Any], historical: Any = None, **params: Any) -> CheckResult:
    now = write_csv(folder / "current.csv", current)
    before = write_csv(folder / "historical.csv", historical) if historical else None
    return await run_check(CHECK, LabelsParams(current=now, historical=before, **params), context(folder))


def one(result: CheckResult, name: str) -> Evidence:
    (found,) = by_id(result, f"labels.{name}")
    return found


async def test_steady_accuracy_is_ok(tmp_path: Path) -> None:
    result = await check(tmp_path, outcomes(4_000, 0.9, 1), outcomes(4_000, 0.9, 2))
    assert result.status is CheckStatus.OK, result.summary
    assert {evidence.verdict for evidence in result.evidence} == {Verdict.OK}
    assert result.result["change"] is None
    assert len(result.result["windows"]) == 20
    assert sum(window["rows"] for window in result.result["windows"]) == 4_000


@pytest.mark.parametrize("known", [True, False])
async def test_the_moment_of_a_drop_is_told_with_and_without_a_baseline(tmp_path: Path, known: bool) -> None:
    current = joined(outcomes(3_000, 0.92, 3), outcomes(1_500, 0.75, 4))
    current["at"] = [(START + timedelta(minutes=row)).isoformat() for row in range(4_500)]
    result = await check(tmp_path, current, outcomes(3_000, 0.92, 5) if known else None, time="at")
    change = one(result, "change")
    assert result.status is CheckStatus.FAIL
    assert change.verdict is Verdict.FAIL
    assert isinstance(change.value, float)
    assert abs(change.value - 3_000) < 100
    assert change.since == pytest.approx((START + timedelta(minutes=change.value)).timestamp())
    assert "accuracy fell from 9" in change.statement
    assert "2026-03-03 " in change.statement
    assert result.result["change"]["after"]["value"] == pytest.approx(0.75, abs=0.04)


async def test_rows_out_of_order_are_put_in_the_order_of_their_time(tmp_path: Path) -> None:
    current = joined(outcomes(2_000, 0.95, 6), outcomes(1_000, 0.7, 7))
    seconds = START.timestamp() + np.arange(3_000)
    shuffled = np.random.default_rng(8).permutation(3_000)
    parts = {name: values[shuffled] for name, values in current.items()}
    for name, moments in (
        ("iso", [datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in seconds[shuffled]]),
        ("milliseconds", (seconds[shuffled] * 1_000).astype(int)),
    ):
        result = await check(tmp_path, {**parts, "at": moments}, time="at")
        assert abs(result.result["change"]["row"] - 2_000) < 100, name
        found = result.result["change"]
        assert found["time"] == pytest.approx(START.timestamp() + found["row"])
    dated = [datetime.fromtimestamp(at, UTC) for at in seconds[shuffled]]
    pl.DataFrame({**parts, "at": dated}).write_parquet(tmp_path / "a.parquet")
    result = await run_check(CHECK, LabelsParams(current=tmp_path / "a.parquet", time="at"), context(tmp_path))
    assert abs(result.result["change"]["row"] - 2_000) < 100


async def test_a_model_that_is_worse_from_the_first_row_is_found(tmp_path: Path) -> None:
    result = await check(tmp_path, outcomes(1_000, 0.7, 9), baseline=0.9)
    assert one(result, "accuracy").verdict is Verdict.FAIL
    assert result.result["change"]["row"] < 30
    assert result.result["baseline"] == pytest.approx(0.9)


async def test_few_rows_say_too_little(tmp_path: Path) -> None:
    result = await check(tmp_path, outcomes(20, 0.9, 10), baseline=0.9)
    assert one(result, "accuracy").verdict is Verdict.UNKNOWN
    assert "too few rows" in one(result, "accuracy").statement


async def test_label_drift_is_told_apart_from_accuracy(tmp_path: Path) -> None:
    result = await check(tmp_path, outcomes(3_000, 0.9, 11, positive=0.8), outcomes(3_000, 0.9, 12, positive=0.5))
    assert one(result, "drift").verdict is Verdict.WARN
    assert one(result, "change").verdict is Verdict.OK
    assert result.status is CheckStatus.WARN


async def test_regression_errors_are_followed_as_absolute_errors(tmp_path: Path) -> None:
    random = np.random.default_rng(13)
    label = random.normal(100, 20, 4_000)
    noise = random.normal(0, 5, 4_000)
    noise[3_000:] *= 2
    current = {"prediction": label + noise, "label": label}
    history = {"prediction": label[:2_000] + random.normal(0, 5, 2_000), "label": label[:2_000]}
    result = await check(tmp_path, current, history)
    assert result.result["metric"] == "mean_absolute_error"
    assert result.result["baseline"] == pytest.approx(4, abs=0.3)
    assert abs(result.result["change"]["row"] - 3_000) < 100
    assert "mean absolute error rose from" in one(result, "change").statement
    steady = await check(tmp_path, history, history)
    assert steady.status is CheckStatus.OK, steady.summary


async def test_probabilities_are_decided_at_the_cutoff_and_late_outcomes_left_out(tmp_path: Path) -> None:
    current = {"score": [0.9, 0.8, 0.2, 0.4, 0.7], "outcome": [1, 1, 0, 1, ""]}
    result = await check(tmp_path, current)
    assert result.result["overall"]["value"] == pytest.approx(0.75)
    assert result.result["rows_without_outcome"] == 1
    lower = await check(tmp_path, current, cutoff=0.3)
    assert lower.result["overall"]["value"] == 1.0


async def test_what_is_missing_or_wrong_is_said_with_its_remedy(tmp_path: Path) -> None:
    skipped = await run_check(CHECK, LabelsParams(), context(tmp_path))
    assert skipped.status is CheckStatus.SKIPPED
    assert "--current FILE" in skipped.summary
    unnamed = await check(tmp_path, {"a": [1], "b": [2]})
    assert "with --prediction" in unnamed.summary
    none_known = await check(tmp_path, {"prediction": [1, 2], "label": ["", ""]})
    assert "no row with a prediction and an outcome" in none_known.summary
    no_time = await check(tmp_path, {"prediction": [1], "label": [1], "at": ["soon"]}, time="at")
    assert "'soon', which is no time" in no_time.summary
    assert {one.status for one in (unnamed, none_known, no_time)} == {CheckStatus.ERROR}
