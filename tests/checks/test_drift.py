"""The drift check on files with and without drift, through a real child process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psutil
import pytest
from scipy import stats

from checks.drift import CHECK, DriftParams
from checks.drift_features import compare
from checks.drift_verdict import Rule, judge
from checks.running import run_check
from checks.tables import Column, Kind
from infdiag_tui.model import CheckResult, CheckStatus, Progress, Verdict
from tests.checks.data_helpers import by_id, context, write_csv, write_jsonl

Columns = dict[str, Any]


def sample(rows: int, seed: int) -> Columns:
    random = np.random.default_rng(seed)
    return {
        "amount": random.lognormal(3, 1, rows),
        "age": random.integers(18, 90, rows),
        "country": random.choice(["de", "fr", "it", "us"], rows, p=[0.4, 0.3, 0.2, 0.1]),
        "returning": random.random(rows) < 0.3,
    }


async def check(folder: Path, before: Columns, now: Columns, **params: Any) -> CheckResult:
    reference, production = folder / "reference.parquet", folder / "production.parquet"
    pl.DataFrame(before).write_parquet(reference)
    pl.DataFrame(now).write_parquet(production)
    return await run_check(CHECK, DriftParams(reference=reference, production=production, **params), context(folder))


def feature(result: CheckResult, name: str) -> dict[str, Any]:
    return next(one for one in result.result["features"] if one["name"] == name)


async def test_unchanged_inputs_are_ok_and_say_what_would_have_shown(tmp_path: Path) -> None:
    result = await check(tmp_path, sample(5_000, 1), sample(4_000, 2))
    assert result.status is CheckStatus.OK, result.summary
    assert "None of 4 features drifted; the smallest shift these samples would show" in result.summary
    (overall,) = by_id(result, "drift.features")
    assert (overall.value, overall.verdict, overall.sample_size) == (0.0, Verdict.OK, 4_000)
    assert not by_id(result, "drift.feature")


async def test_figures_equal_scipys_over_all_features(tmp_path: Path) -> None:
    before, now = sample(3_000, 3), sample(2_500, 4)
    now["amount"] = now["amount"] * 1.5
    result = await check(tmp_path, before, now)
    for name in ("amount", "age"):
        expected = stats.ks_2samp(before[name], now[name])
        found = feature(result, name)
        assert found["kind"] == "numeric"
        assert found["ks_statistic"] == pytest.approx(expected.statistic, abs=1e-12)
        assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-9)
    table = [[int((side["country"] == name).sum()) for name in ("de", "fr", "it", "us")] for side in (before, now)]
    country = feature(result, "country")
    assert country["kind"] == "categorical"
    assert country["ks_statistic"] is None
    assert country["p_value"] == pytest.approx(stats.chi2_contingency(table).pvalue, rel=1e-9)
    features = result.result["features"]
    adjusted = stats.false_discovery_control([one["p_value"] for one in features])
    assert [one["p_adjusted"] for one in features] == pytest.approx(list(adjusted), rel=1e-9)


async def test_planted_drift_is_named_worst_first_with_effect_and_significance(tmp_path: Path) -> None:
    before, now = sample(5_000, 5), sample(5_000, 6)
    now["amount"] = now["amount"] * 2
    now["country"] = np.where(now["country"] == "us", "br", now["country"])
    result = await check(tmp_path, before, now)
    assert result.status is CheckStatus.FAIL
    assert [one["name"] for one in result.result["features"] if one["drifted"]] == ["amount", "country"]
    assert feature(result, "country")["new_categories"] == ["br"]
    assert feature(result, "country")["vanished_categories"] == ["us"]
    assert [evidence.subject for evidence in by_id(result, "drift.feature")] == ["amount", "country"]
    assert "adjusted p" in by_id(result, "drift.feature")[0].statement
    assert by_id(result, "drift.features")[0].value == 2.0


async def test_a_huge_sample_alone_does_not_make_a_trifle_drift(tmp_path: Path) -> None:
    random = np.random.default_rng(7)
    before, now = {"x": random.normal(size=400_000)}, {"x": random.normal(size=400_000) + 0.02}
    result = await check(tmp_path, before, now)
    found = feature(result, "x")
    assert found["p_adjusted"] < 1e-6
    assert not found["drifted"]
    assert result.status is CheckStatus.OK


async def test_a_landslide_shows_in_a_hundred_rows_and_ten_rows_are_called_too_few(tmp_path: Path) -> None:
    random = np.random.default_rng(8)
    before = {"x": random.normal(size=100)}
    landslide = await check(tmp_path, before, {"x": random.normal(size=100) + 1})
    assert feature(landslide, "x")["drifted"]
    few = await check(tmp_path, before, {"x": random.normal(size=10)})
    (overall,) = by_id(few, "drift.features")
    assert overall.verdict is Verdict.UNKNOWN
    assert "but the smallest shift" in few.summary


def test_no_drift_seldom_alarms_over_many_features() -> None:
    random = np.random.default_rng(9)
    alarms = 0
    rule = {"threshold": 0.05, "min_effect": 0.0, "min_psi": 0.0, "min_outside": 0.0}
    for _ in range(60):
        before, now = (
            {f"x{n}": Column(f"x{n}", Kind.NUMERIC, 200, random.normal(size=200)) for n in range(20)} for _ in range(2)
        )
        judged = judge([compare(before[name], now[name], alpha=0.0025) for name in before], Rule(**rule))
        alarms += any(one["drifted"] for one in judged)
    # 5 % for the distributions and 0.5 % each for missing values and ranges: 10 of 60 come once in a thousand runs.
    assert alarms < 10


async def test_missing_values_and_values_out_of_range_are_drift_of_their_own(tmp_path: Path) -> None:
    before, now = sample(3_000, 40), sample(3_000, 41)
    now["age"] = [None if place % 5 == 0 else int(age) for place, age in enumerate(now["age"])]
    now["amount"][:45] *= 10_000
    result = await check(tmp_path, before, now)
    age, amount = feature(result, "age"), feature(result, "amount")
    assert age["reasons"] == ["missing values"]
    assert age["missing"]["production_share"] == pytest.approx(0.2)
    assert amount["reasons"] == ["range"]
    assert amount["range"]["above_share"] == pytest.approx(0.015, abs=0.002)
    assert result.status is CheckStatus.WARN
    assert "missing 0.0% before, 20.0% now" in result.summary


async def test_32_bit_floats_against_64_bit_ones_are_no_drift(tmp_path: Path) -> None:
    values = np.random.default_rng(12).choice([0.1, 0.2, 0.7], 2_000)
    result = await check(tmp_path, {"x": values.astype(np.float32)}, {"x": values})
    assert feature(result, "x")["ks_statistic"] == 0.0


async def test_csv_against_jsonl_of_the_same_rows_is_no_drift(tmp_path: Path) -> None:
    columns = sample(2_000, 13)
    rows = [
        dict(zip(columns, row, strict=True)) for row in zip(*(one.tolist() for one in columns.values()), strict=True)
    ]
    params = DriftParams(
        reference=write_csv(tmp_path / "a.csv", columns), production=write_jsonl(tmp_path / "b.jsonl", rows)
    )
    result = await run_check(CHECK, params, context(tmp_path))
    assert result.status is CheckStatus.OK, result.summary
    assert all(one["effect"] == 0 for one in result.result["features"])


@pytest.mark.parametrize(
    ("before", "now", "p_value"),
    [
        ([1.0], [2.0], 1.0),
        ([3.0] * 50, [3.0] * 40, 1.0),
        ([float("nan")] * 5, [1.0, 2.0], None),
        ([None, None], [None, None], None),
    ],
)
async def test_one_row_constants_and_columns_without_values_are_compared_as_far_as_they_go(
    tmp_path: Path, before: list[Any], now: list[Any], p_value: float | None
) -> None:
    result = await check(tmp_path, {"x": before}, {"x": now})
    assert result.status in {CheckStatus.OK, CheckStatus.WARN}, result.summary
    assert feature(result, "x")["p_value"] == p_value


async def test_numeric_codes_are_compared_as_categories_when_asked(tmp_path: Path) -> None:
    result = await check(tmp_path, {"code": [1, 2, 3] * 100}, {"code": [1, 2, 4] * 100}, categorical=("code",))
    assert feature(result, "code")["kind"] == "categorical"
    assert feature(result, "code")["new_categories"] == ["4"]


async def test_columns_that_cannot_be_compared_are_listed_with_their_reason(tmp_path: Path) -> None:
    before, now = sample(300, 14), sample(300, 15)
    before["label"], now["age"] = np.zeros(300), [f"{age} years" for age in now["age"]]
    before["id"] = now["id"] = [f"u{place}" for place in range(300)]
    before["index"], now["index"] = range(300), range(1_000, 1_300)
    result = await check(tmp_path, before, now)
    reasons = {one["name"]: one["reason"] for one in result.result["skipped"]}
    assert reasons["label"] == "only in the reference"
    assert "numeric in the reference and categorical in production" in reasons["age"]
    assert "identifier" in reasons["id"]
    assert reasons["index"] == "it only numbers the rows"
    assert result.status is CheckStatus.WARN
    assert by_id(result, "drift.columns")[0].verdict is Verdict.WARN


async def test_no_common_column_and_unknown_features_are_errors_that_name_the_files(tmp_path: Path) -> None:
    nothing = await check(tmp_path, {"a": [1]}, {"b": [1]})
    assert nothing.status is CheckStatus.ERROR
    assert "reference.parquet" in nothing.summary
    assert "no column to compare: the first has a, the second b" in nothing.summary
    unknown = await check(tmp_path, {"amount": [1]}, {"amount": [1]}, features=("amuont",))
    assert "no column 'amuont'; it has amount" in unknown.summary
    gone = await run_check(
        CHECK, DriftParams(reference=tmp_path / "x.csv", production=tmp_path / "y.csv"), context(tmp_path)
    )
    assert (gone.status, "There is no file" in gone.summary) == (CheckStatus.ERROR, True)


async def test_without_files_it_is_skipped_with_the_flags_and_keys(tmp_path: Path) -> None:
    result = await run_check(CHECK, DriftParams(), context(tmp_path))
    assert result.status is CheckStatus.SKIPPED
    assert "--reference FILE and --production FILE" in result.summary
    assert "checks.drift.reference" in result.summary


async def test_a_module_lying_in_the_working_directory_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orjson.py").write_text("raise SystemExit('imported from the working directory')\n")
    monkeypatch.chdir(tmp_path)
    assert (await check(tmp_path, {"x": [1.0, 2.0]}, {"x": [1.0, 2.0]})).status is CheckStatus.OK


async def test_cancelling_leaves_no_process_behind(tmp_path: Path) -> None:
    big = write_csv(tmp_path / "a.csv", {f"x{n}": range(200_000) for n in range(5)})
    reading = asyncio.Event()
    reports: list[Progress] = []
    given = context(tmp_path)

    def heard(progress: Progress) -> None:
        reports.append(progress)
        reading.set()

    given.report = heard
    task = asyncio.create_task(run_check(CHECK, DriftParams(reference=big, production=big), given))
    async with asyncio.timeout(30):
        await reading.wait()
        children = psutil.Process(os.getpid()).children()
        assert children
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not any(child.is_running() for child in children)
    assert "reading a.csv" in reports[0].text


async def test_a_killed_child_is_told_in_words(tmp_path: Path) -> None:
    big = write_csv(tmp_path / "a.csv", {f"x{n}": range(200_000) for n in range(5)})
    given = context(tmp_path)

    def kill(_progress: Progress) -> None:
        for child in psutil.Process(os.getpid()).children():
            child.kill()

    given.report = kill
    result = await run_check(CHECK, DriftParams(reference=big, production=big), given)
    assert result.status is CheckStatus.ERROR
    assert "was killed, most likely for want of memory" in result.summary
