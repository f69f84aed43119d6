"""The pictures that checks make: what is in them is what was measured, from real runs where there is one to make."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.baseline_charts import charts_of as baseline_charts
from checks.chart_parts import MOST_BARS, thinned
from checks.histogram import histogram
from checks.infrastructure_charts import use_charts
from checks.load_charts import charts_of as load_charts
from checks.load_gen.job import Phase, Summary
from checks.load_gen.tally import Cost, Tally
from checks.load_gen.wire import Shot
from checks.load_knee import KneeSearch
from checks.load_run import Measured
from checks.profile_parts.charts import charts_of as profile_charts
from checks.registry import all_checks
from checks.running import run_check
from infdiag_tui.model import BarChart, CheckChart, CheckResult, Evidence, LineChart, Stroke, Verdict
from tests.checks import load_servers, stage_servers
from tests.checks.data_helpers import context, write_csv
from tests.checks.serving import context_for, serving
from tests.checks.test_shadow import inputs, scorer

FINITE = st.floats(-1e9, 1e9)


async def ran(name: str, folder: Path, **params: object) -> CheckResult:
    check = all_checks()[name]
    return await run_check(check, check.params.model_validate(params), context(folder))


def only(result: CheckResult, kind: type[CheckChart]) -> CheckChart:
    (chart,) = result.charts
    assert isinstance(chart, kind)
    return chart


def bars(chart: CheckChart) -> dict[str, tuple[float | None, ...]]:
    assert isinstance(chart, BarChart)
    return {one.label: one.values for one in chart.bars}


def lines(chart: CheckChart) -> LineChart:
    assert isinstance(chart, LineChart)
    return chart


async def test_drift_draws_each_feature_against_the_smallest_move_that_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    before = {"moved": rng.normal(0, 1, 800).tolist(), "still": rng.normal(0, 1, 800).tolist()}
    now = {"moved": rng.normal(1, 1, 800).tolist(), "still": rng.normal(0, 1, 800).tolist()}
    result = await ran(
        "drift",
        tmp_path,
        reference=write_csv(tmp_path / "a.csv", before),
        production=write_csv(tmp_path / "b.csv", now),
        min_effect=0.1,
    )

    chart = only(result, BarChart)
    assert isinstance(chart, BarChart)
    first, second = chart.bars
    assert (first.label, first.verdict, first.limit) == ("moved", Verdict.FAIL, 0.1)
    assert first.values[0] == result.result["features"][0]["ks_statistic"]
    assert (second.label, second.verdict) == ("still", Verdict.OK)


async def test_many_features_are_the_worst_of_them_and_a_count_of_the_rest(tmp_path: Path) -> None:
    columns = {f"f{number}": [float(row % 7) for row in range(60)] for number in range(MOST_BARS + 3)}
    path = write_csv(tmp_path / "a.csv", columns)
    chart = only(await ran("drift", tmp_path, reference=path, production=path), BarChart)
    assert isinstance(chart, BarChart)
    assert len(chart.bars) == MOST_BARS
    assert chart.left_out == 3


async def test_predictions_draw_where_both_sides_outputs_lie(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    current, historical = rng.normal(0.7, 0.05, 2000).tolist(), rng.normal(0.4, 0.05, 1000).tolist()
    result = await ran(
        "predictions",
        tmp_path,
        current=write_csv(tmp_path / "now.csv", {"score": current}),
        historical=write_csv(tmp_path / "old.csv", {"score": historical}),
    )

    chart = lines(only(result, LineChart))
    peaks = {curve.name: max(curve.points, key=lambda point: point[1])[0] for curve in chart.curves}
    assert peaks["now"] == pytest.approx(0.7, abs=0.05)
    assert peaks["historical"] == pytest.approx(0.4, abs=0.05)
    assert [curve.stroke for curve in chart.curves] == [Stroke.LINE, Stroke.DOTTED]
    assert "histogram" not in result.result


async def test_classes_are_bars_of_both_sides_shares(tmp_path: Path) -> None:
    result = await ran(
        "predictions",
        tmp_path,
        current=write_csv(tmp_path / "now.csv", {"prediction": ["a"] * 20 + ["b"] * 80}),
        historical=write_csv(tmp_path / "old.csv", {"prediction": ["a"] * 60 + ["b"] * 40}),
    )
    assert bars(only(result, BarChart)) == {"a": (0.2, 0.6), "b": (0.8, 0.4)}


@given(st.lists(FINITE, max_size=60), st.lists(FINITE, max_size=60))
def test_a_histogram_is_numpys_over_common_bins(before: list[float], now: list[float]) -> None:
    first, second = np.array(before, float), np.array(now, float)
    found = histogram(first, second)
    if not found:
        both = np.concatenate([first, second])
        assert not before or not now or np.ptp(both) <= 1e-9 * max(1.0, np.abs(both).max()) or _nearly_all_alike(both)
        return
    edges = [one["low"] for one in found] + [found[-1]["high"]]
    assert [one["current_share"] for one in found] == pytest.approx(np.histogram(second, edges)[0] / len(second))
    assert sum(one["historical_share"] for one in found) <= 1 + 1e-9


def _nearly_all_alike(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    """True where what is left between the outermost values has no spread that floats could tell."""
    return bool(np.diff(np.linspace(values.min(), values.max(), 25)).min() <= 0) or len(np.unique(values)) < 3


async def test_labels_draw_the_course_the_baseline_and_the_moment(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    label = rng.integers(0, 2, 3000)
    wrong = rng.random(3000) < np.where(np.arange(3000) < 2000, 0.05, 0.4)
    current = {
        "prediction": np.where(wrong, 1 - label, label).tolist(),
        "label": label.tolist(),
        "time": [1_700_000_000 + 60 * row for row in range(3000)],
    }
    result = await ran(
        "labels", tmp_path, current=write_csv(tmp_path / "c.csv", current), time="time", baseline=0.95, windows=15
    )

    chart = lines(only(result, LineChart))
    assert [level.value for level in chart.levels] == [0.95]
    assert chart.marks[0].at == result.result["change"]["time"]
    assert chart.marks[0].at == pytest.approx(1_700_000_000 + 60 * 2000, abs=60 * 60)
    assert [y for _, y in chart.curves[0].points] == [one["value"] for one in result.result["windows"]]


async def test_memory_draws_the_readings_and_where_the_slope_leads(tmp_path: Path) -> None:
    used = [200e6 + 1e6 * second for second in range(120)]
    path = write_csv(tmp_path / "m.csv", {"time": range(120), "bytes": used})
    result = await ran("memory", tmp_path, file=path, limit_bytes=400e6)

    chart = lines(only(result, LineChart))
    readings, fit = chart.curves
    assert readings.points[0] == (0.0, 200e6)
    assert fit.stroke is Stroke.DOTTED
    assert fit.points[-1][0] > 119
    assert fit.points[-1][1] == pytest.approx(200e6 + 1e6 * fit.points[-1][0], rel=1e-6)
    assert [level.value for level in chart.levels] == [400e6]


@given(st.lists(FINITE | st.just(math.nan), max_size=3000), st.integers(4, 50))
def test_thinned_points_keep_both_extremes_and_the_order(values: list[float], most: int) -> None:
    points = thinned(range(len(values)), values, most)
    finite = [value for value in values if math.isfinite(value)]
    assert len(points) <= most
    if finite:
        assert {min(finite), max(finite)} <= {y for _, y in points}
    assert [x for x, _ in points] == sorted({x for x, _ in points})


async def test_load_draws_the_distribution_under_load_beside_that_of_single_requests(tmp_path: Path) -> None:
    model = load_servers.Model(delay_s=0.005, workers=1)
    check = all_checks()["load"]
    async with load_servers.serving(model) as url:
        params = check.params.model_validate({"requests": 60, "concurrency": 6, "alone": 25})
        result = await run_check(check, params, load_servers.context(tmp_path, url, objective_p99_ms=10.0))

    chart = lines(only(result, LineChart))
    load, alone = chart.curves
    assert (load.name, alone.name) == ("under load", "one at a time")
    assert max(y for _, y in load.points) == pytest.approx(result.result["latency_ms"]["max"])
    assert max(y for _, y in load.points) > max(y for _, y in alone.points)
    assert [level.value for level in chart.levels] == [10.0]
    assert [name for _, name in chart.x.ticks] == ["p50", "p90", "p99"]
    at_p90 = next(x for x, name in chart.x.ticks if name == "p90")
    assert at_p90 == pytest.approx(1.0)


def test_the_knee_is_marked_where_the_search_found_it() -> None:
    search = KneeSearch(10.0, 1000.0, 0.01)
    last = None
    while (rate := search.next_rate) is not None:
        latency_s = 0.02 if rate < 60 else 0.5
        last = _phase(rate, latency_s)
        search.take(rate, last)
    assert last is not None
    charts = load_charts(Measured(last, last, knee=search), None)

    knee = lines(charts[0])
    assert search.knee_per_s is not None
    assert [mark.at for mark in knee.marks] == [search.knee_per_s]
    rates = [x for x, _ in knee.curves[0].points]
    assert rates == sorted(step.rate_per_s for step in search.steps)
    assert dict(knee.curves[0].points)[rates[0]] == pytest.approx(20.0)
    assert dict(knee.curves[0].points)[rates[-1]] == pytest.approx(500.0)


def _phase(rate: float, latency_s: float) -> Summary:
    tally = Tally(Phase("step", 600, 100, 60.0, rate_per_s=rate))
    for number in range(600):
        due = number / rate
        tally.take(due, due, Shot(due + latency_s))
    return tally.summary(0.0, 600 / rate + latency_s, Cost(0.1, None), "", 1)


async def test_stages_are_bars_with_their_limits_and_what_they_were_in_the_baseline(tmp_path: Path) -> None:
    server = stage_servers.StageServer(None, {"preprocess": 25, "inference": 12}, server_timing=True)
    baseline = tmp_path / "baseline.json"
    baseline.write_text(json.dumps({"stages": {"preprocess": 5.0}}))
    check = all_checks()["stages"]
    async with (
        stage_servers.running(server),
        stage_servers.context_for(tmp_path, server.url, baseline=baseline) as given_context,
    ):
        result = await run_check(
            check, check.params.model_validate({"requests": 6, "interval_s": 0, "warmup": 1}), given_context
        )

    chart = only(result, BarChart)
    assert isinstance(chart, BarChart)
    by_label = {one.label: one for one in chart.bars}
    assert by_label["preprocess"].values == (result.result["stages"]["preprocess"]["ms"], 5.0)
    assert by_label["preprocess"].limit == 10.0
    assert by_label["preprocess"].verdict is Verdict.FAIL
    assert by_label["inference"].values[1] is None
    assert chart.names == ("now", "baseline")


async def test_a_shadow_is_drawn_beside_production(tmp_path: Path) -> None:
    check = all_checks()["shadow"]
    async with (
        serving(scorer(2, "1"), scorer(2, "2")) as (url, shadow),
        context_for(tmp_path, url, confirmed=True) as given_context,
    ):
        params = check.params.model_validate({"shadow_url": shadow, "cases": inputs(tmp_path, 3)})
        result = await run_check(check, params, given_context)

    latency = result.result["latency_ms"]
    assert bars(only(result, BarChart))["median"] == (latency["shadow"]["median"], latency["production"]["median"])


def test_a_baseline_is_drawn_beside_the_one_it_replaces_as_far_as_that_can_be_read() -> None:
    content = {"latency": {"http://m/": {"p50_ms": 10, "p95_ms": 20.0, "p99_ms": None}}}
    (alone,) = baseline_charts(content, {})
    assert bars(alone) == {"p50": (10.0,), "p95": (20.0,)}
    (beside,) = baseline_charts(content, {"latency": {"http://m/": {"p50_ms": 8.0, "p95_ms": "?"}}, "stages": 3})
    assert bars(beside) == {"p50": (10.0, 8.0), "p95": (20.0, None)}


def test_operators_are_drawn_by_their_share_and_the_one_in_question_bears_its_verdict() -> None:
    evidence = Evidence("profile.top_operator", "aten::sort", Verdict.WARN, "profile", 0.0, subject="aten::sort")
    (chart,) = profile_charts("Operators", {"aten::mm": 0.2, "aten::sort": 0.7, "tiny": 1e-5}, [evidence], 0.4)
    assert bars(chart) == {"aten::sort": (0.7,), "aten::mm": (0.2,)}
    assert isinstance(chart, BarChart)
    assert [(one.verdict, one.limit) for one in chart.bars] == [(Verdict.WARN, 0.4), (Verdict.UNKNOWN, None)]


def test_only_what_is_a_part_of_a_whole_is_drawn_of_the_resources() -> None:
    def row(resource: str, value: float | None, unit: str) -> dict[str, object]:
        cell = None if value is None else {"value": value, "unit": unit}
        return {"resource": resource, "subject": "x", "utilisation": cell}

    (chart,) = use_charts(
        [
            row("pod cpu", 0.4, "share of limit"),
            row("gpu", 97.0, "percent"),
            row("process", 250.0, "percent of one core"),
            row("node", None, ""),
        ]
    )
    assert bars(chart) == {"gpu x": (0.97,), "pod cpu x": (0.4,)}
