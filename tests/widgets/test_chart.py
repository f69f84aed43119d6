"""The chart: what it draws, and that nothing makes it fail."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import SeriesView
from widgets import units
from widgets.chart import ChartSpec, render_chart, span_of, span_with_history
from widgets.ink import Line, Tone, cells, line_cells, plain
from widgets.scale import Scale, fitting, nice_ceiling, sort_into_columns

ANY = st.floats(allow_nan=True, allow_infinity=True)


def drawn(points: SeriesView, spec: ChartSpec, width: int = 40, height: int = 8) -> list[str]:
    return [plain(row) for row in render_chart(points, spec, width, height)]


def series(values: list[float], start: float = 0.0) -> SeriesView:
    times = tuple(start + index for index in range(len(values)))
    return SeriesView(times, tuple(values), tuple(values), tuple(values))


def plotted(row: str) -> str:
    return row.split("┤")[1]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(ANY, ANY, ANY, ANY), max_size=30),
    st.integers(-1, 70),
    st.integers(-1, 14),
    st.tuples(ANY, ANY, st.none() | ANY, st.none() | ANY, st.none() | ANY),
    st.booleans(),
    st.booleans(),
)
def test_any_values_and_sizes_are_drawn_within_bounds(
    points: list[tuple[float, float, float, float]],
    width: int,
    height: int,
    numbers: tuple[float, float, float | None, float | None, float | None],
    area: bool,
    ascii_only: bool,
) -> None:
    times, values, lows, highs = (tuple(point[part] for point in points) for part in range(4))
    span_s, now, low, high, limit = numbers
    spec = ChartSpec(
        "any", span_s, now, low=low, high=high, limit=limit, marks=values, area=area, ascii_only=ascii_only
    )
    rows: list[Line] = render_chart(SeriesView(times, values, lows, highs), spec, width, height)
    assert len(rows) <= max(0, height)
    assert all(line_cells(row) <= width for row in rows)


def test_missing_data_is_a_gap_and_not_a_line_to_zero() -> None:
    points = SeriesView(tuple(float(second) for second in (*range(40), *range(70, 100))), tuple([50.0] * 70))
    foot = plotted(drawn(points, ChartSpec("x", 100, 99.5, high=100.0), width=57)[-2])
    assert "⣿" in foot[:15]
    assert foot[25:30] == "     "
    assert "⣿" in foot[-8:]


def test_a_value_that_is_no_number_breaks_the_line() -> None:
    filled = sort_into_columns((0, 1, 2, 3), (1.0, None, math.nan, 1.0), (), (), start=0, step_s=1, count=4)
    assert filled == [(1.0, 1.0), None, None, (1.0, 1.0)]


def test_thinned_history_is_no_gap() -> None:
    times = (0.0, 8.0, 16.0, 20.0, 24.0, 26.0, 28.0, 29.0, 30.0)
    filled = sort_into_columns(times, [5.0] * 9, (), (), start=0, step_s=1, count=31)
    assert None not in filled


def test_extremes_of_thinned_points_are_kept() -> None:
    filled = sort_into_columns((0.5,), (50.0,), (10.0,), (90.0,), start=0, step_s=1, count=1)
    assert filled == [(10.0, 90.0)]


def test_failures_are_crosses_at_the_foot() -> None:
    points = series([10.0] * 60)
    rows = drawn(points, ChartSpec("x", 60, 59.5, marks=(30.0,), area=False))
    assert "✗" in rows[-2]
    assert "✗" not in "".join(rows[:-2])


def test_a_fixed_range_shows_a_flat_high_line_high_and_a_flat_low_line_low() -> None:
    high = drawn(series([99.0] * 60), ChartSpec("x", 60, 59.5, high=100.0, area=False))
    low = drawn(series([1.0] * 60), ChartSpec("x", 60, 59.5, high=100.0, area=False))
    assert plotted(high[1]).strip()
    assert not plotted(low[1]).strip()
    assert plotted(low[-2]).strip()


def test_the_heading_tells_the_current_value_with_unit_and_the_limit() -> None:
    spec = ChartSpec("memory", 60, 59.5, text=units.short_bytes, base=1024, limit=2 * 2**30)
    heading = drawn(series([1.5 * 2**30] * 60), spec)[0]
    assert heading == "memory 1.5Gi  limit 2Gi"


def test_an_old_value_is_not_the_current_one() -> None:
    assert drawn(series([5.0] * 10), ChartSpec("x", 60, 1000.0))[0] == "x n/a"


def test_the_axis_is_labelled_with_units_and_time() -> None:
    rows = drawn(series([40.0] * 300), ChartSpec("util", 300, 299.5, text=units.percent, high=100.0))
    assert rows[1].startswith("100 %")
    assert rows[-2].lstrip().startswith("0 %")
    assert rows[-1].strip().startswith("-5m")
    assert rows[-1].endswith("now")


def test_the_limit_is_drawn_where_there_is_no_data() -> None:
    rows = drawn(SeriesView(), ChartSpec("x", 60, 0, limit=10.0))
    assert any("╌" in row for row in rows)


def test_the_picture_stands_still_within_one_column() -> None:
    points = series([float(index % 7) for index in range(200)])
    first = drawn(points, ChartSpec("x", 100, 180.1), width=26)
    second = drawn(points, ChartSpec("x", 100, 182.0), width=26)
    assert first == second


def test_ascii_charts_hold_no_other_signs() -> None:
    spec = ChartSpec("x", 60, 59.5, high=100.0, marks=(30.0,), limit=50.0, ascii_only=True)
    rows = drawn(series([40.0] * 60), spec)
    assert all(row.isascii() for row in rows)


@given(st.floats(min_value=1e-12, max_value=1e18), st.sampled_from((10, 1024)))
def test_round_ends_are_at_or_above_the_value_and_not_far_from_it(value: float, base: int) -> None:
    ceiling = nice_ceiling(value, base)
    assert value <= ceiling * (1 + 1e-9)
    assert ceiling <= value * 2.01


def test_scales_include_zero_and_have_an_extent() -> None:
    assert fitting([3.2, 7.1], None, None) == Scale(0.0, 8.0)
    assert fitting([], None, None) == Scale(0.0, 1.0)
    assert fitting([-3.0, 2.0], None, None) == Scale(-3.0, 2.0)
    assert fitting([5.0], 10.0, 10.0).high > 10.0


def test_wide_labels_never_push_the_plot_out() -> None:
    spec = ChartSpec("x", 60, 59.5, text=lambda _: "日本語日本語日本語")
    assert all(cells(row) <= 20 for row in drawn(series([1.0] * 60), spec, width=20))


@pytest.mark.parametrize(
    ("age_s", "span_s"),
    [(0.0, 60.0), (60.0, 60.0), (61.0, 120.0), (200.0, 300.0), (9000.0, 300.0), (None, 300.0)],
)
def test_a_chart_reaches_back_no_further_than_its_data_needs(age_s: float | None, span_s: float) -> None:
    first = None if age_s is None else 1_000_000.0 - age_s
    assert span_of(first, 1_000_000.0, 300.0) == span_s


def test_a_denormal_range_is_drawn() -> None:
    assert Scale(-1e-45, 0.0).row(1e300, 8) == 7
    assert Scale(-1e-45, 0.0).row(-1e300, 8) == 0


def with_history(values: list[float], until: float) -> SeriesView:
    return replace(series(values), history_until=until, history_source="Prometheus")


def test_history_is_dim_named_and_never_the_newest_figure() -> None:
    points = with_history([5.0] * 40, 19.5)
    rows = render_chart(points, ChartSpec("load", 40.0, 39.5, area=False), 100, 8)
    assert "dim: history (Prometheus)" in plain(rows[0])
    tones = [(span.text, span.tone) for row in rows[1:-1] for span in row[1:] if span.text.strip()]
    dim = sum(len(text) for text, tone in tones if tone is Tone.DIM)
    live = sum(len(text) for text, tone in tones if tone is Tone.MARK)
    assert dim > 20
    assert abs(dim - live) <= 4
    assert plain(rows[0]).startswith("load 5")
    only = render_chart(with_history([5.0] * 40, 39.0), ChartSpec("load", 40.0, 39.5), 100, 8)
    assert plain(only[0]).startswith("load n/a")


def test_a_chart_with_history_reaches_back_to_where_it_begins() -> None:
    hour = replace(series([1.0] * 3600), history_until=3500.0)
    assert span_with_history(hour, 3599.0, 300.0) == 3600.0
    assert span_with_history(hour, 3640.0, 300.0) == 3600.0
    assert span_with_history(hour, 4000.0, 300.0) == 7200.0
    assert span_with_history(series([1.0] * 3600), 3599.0, 300.0) == 300.0
    assert span_with_history(SeriesView(), 5.0, 300.0) == 300.0
