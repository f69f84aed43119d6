"""A check's charts as lines: whatever the values, within the width, and telling without colour."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import Axis, Bar, BarChart, CheckChart, Curve, Level, LineChart, Mark, Quantity, Stroke, Verdict
from widgets.check_chart import LEAST_WIDTH, chart_lines
from widgets.glyphs import ASCII, UNICODE, Glyphs
from widgets.ink import Tone, line_cells, plain
from widgets.scale import close_fitting

ANY = st.floats(allow_nan=True, allow_infinity=True)
TEXT = st.text(max_size=30)
AXES = st.builds(Axis, TEXT, st.sampled_from(Quantity), st.booleans(), st.just(()) | st.tuples(st.tuples(ANY, TEXT)))
LINES = st.builds(
    LineChart,
    TEXT,
    AXES,
    AXES,
    st.lists(
        st.builds(Curve, TEXT, st.lists(st.tuples(ANY, ANY), max_size=20).map(tuple), st.sampled_from(Stroke)),
        max_size=3,
    ).map(tuple),
    st.lists(st.builds(Level, ANY, TEXT), max_size=2).map(tuple),
    st.lists(st.builds(Mark, ANY, TEXT), max_size=2).map(tuple),
    TEXT,
)
BARS = st.builds(
    BarChart,
    TEXT,
    AXES,
    st.lists(
        st.builds(
            Bar,
            TEXT,
            st.lists(st.none() | ANY, min_size=1, max_size=2).map(tuple),
            st.none() | ANY,
            st.sampled_from(Verdict),
            TEXT,
        ),
        max_size=6,
    ).map(tuple),
    st.lists(TEXT, max_size=2).map(tuple),
    TEXT,
    st.integers(0, 5000),
)


def drawn(chart: CheckChart, width: int = 60, glyphs: Glyphs = UNICODE) -> list[str]:
    return [plain(row) for row in chart_lines(chart, width, glyphs)]


def line_chart(*points: tuple[float, float], **changes: object) -> LineChart:
    chart = LineChart("Title", Axis("x"), Axis("y", Quantity.MILLISECONDS), (Curve("c", points),))
    return replace(chart, **changes)  # type: ignore[arg-type]


def bar_chart(*bars: Bar, **changes: object) -> BarChart:
    return replace(BarChart("Title", Axis("v", Quantity.MILLISECONDS), bars), **changes)  # type: ignore[arg-type]


def plotted(row: str) -> str:
    return row.partition("┤")[2]


@settings(max_examples=200, deadline=None)
@given(LINES | BARS, st.integers(0, 120), st.sampled_from([UNICODE, ASCII]))
def test_any_values_are_drawn_within_the_width(chart: CheckChart, width: int, glyphs: Glyphs) -> None:
    rows = chart_lines(chart, width, glyphs)
    assert bool(rows) is (width >= LEAST_WIDTH)
    assert all(line_cells(row) <= width for row in rows)
    assert not any(control in plain(row) for row in rows for control in "\x1b\n\r\t")


def test_what_others_wrote_is_never_markup_nor_a_control_sequence() -> None:
    text = "\n".join(drawn(bar_chart(Bar("[red]x[/red] \x1b[31m", (1.0,)))))
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


def test_a_curve_rises_from_the_foot_to_the_head_with_its_unit_on_the_axis() -> None:
    rows = drawn(line_chart((0, 0), (10, 100)))
    assert rows[0] == "Title"
    assert rows[1].startswith(" 100 ms┤")
    assert rows[-2].startswith("   0 ms┤")
    assert plotted(rows[1])[0] == " "
    assert plotted(rows[1])[-1] != " "
    assert plotted(rows[-2])[0] != " "


def test_a_level_stands_where_its_value_is_and_one_far_off_is_told_instead() -> None:
    near = drawn(line_chart((0, 10), (1, 20), levels=(Level(40, "limit"),)))
    assert "╌╌ limit 40.0 ms" in near[1]
    assert "╌" in "".join(near[2:])
    far = drawn(line_chart((0, 10), (1, 20), levels=(Level(4000, "limit"),)))
    assert "limit 4.00 s (above)" in far[1]
    assert "╌" not in "".join(far[2:])


def test_a_mark_is_a_column_at_its_place_with_its_name_above() -> None:
    rows = drawn(line_chart((0, 10), (100, 10), marks=(Mark(50, "worse from here"),)), width=57)
    assert "┆ worse from here" in rows[1]
    columns = {plotted(row).find("┆") for row in rows[2:-1] if "┆" in plotted(row)}
    assert len(columns) == 1
    assert abs(columns.pop() - 25) <= 1


def test_a_second_curve_is_told_apart_without_colour() -> None:
    two = (Curve("now", ((0, 10), (10, 10))), Curve("before", ((0, 3), (10, 3)), Stroke.DOTTED))
    rows = drawn(line_chart(curves=two), glyphs=ASCII)
    assert "## now  .. before" in rows[1]
    assert any("####" in row for row in rows[2:])
    assert any(". . ." in row for row in rows[2:])
    assert not any("..." in row for row in rows[2:])


def test_a_small_change_on_a_high_level_fills_the_height_unless_lengths_are_to_compare() -> None:
    close = line_chart((0, 200.0), (1, 202.0), y=Axis("y", Quantity.MILLISECONDS, from_zero=False))
    assert drawn(close)[1].startswith("202 ms")
    assert "200 ms" in drawn(close)[-2]
    assert "0 ms" in drawn(line_chart((0, 200.0), (1, 202.0)))[-2].split("┤")[0]


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=20), st.sampled_from((10, 1024)))
def test_a_close_scale_holds_every_value(values: list[float], base: int) -> None:
    scale = close_fitting(values, base)
    slack = 1e-6 * max(1.0, *map(abs, values))
    assert scale.low <= min(values) + slack
    assert scale.high >= max(values) - slack
    assert scale.high > scale.low


def test_ticks_with_names_stand_under_their_places() -> None:
    x = Axis("percentile", ticks=((0.0, "p0"), (1.0, "p90"), (2.0, "p99"), (9.0, "beyond")))
    foot = drawn(line_chart((0, 1), (2, 5), x=x))[-1]
    assert foot.split() == ["p0", "p90", "p99"]
    assert foot.index("p90") - foot.index("p0") == pytest.approx(foot.index("p99") - foot.index("p90"), abs=3)


@pytest.mark.parametrize(
    ("quantity", "xs", "ends"),
    [
        (Quantity.TIME, (1_700_000_000, 1_700_003_600), ("2023-11-14 22:13Z", "2023-11-14 23:13Z")),
        (Quantity.SECONDS, (0.5, 90), ("0.5 s", "1m 30s")),
        (Quantity.RATE, (10, 2500), ("10/s", "2.5k/s")),
        (Quantity.BYTES, (0, 2**30), ("0 B", "1.00 GiB")),
    ],
)
def test_both_ends_of_the_x_axis_are_written_as_what_they_are(
    quantity: Quantity, xs: tuple[float, float], ends: tuple[str, str]
) -> None:
    chart = line_chart((xs[0], 1), (xs[1], 2), x=Axis("x", quantity))
    foot = drawn(chart, width=80)[-1]
    assert foot.strip().startswith(ends[0])
    assert foot.endswith(ends[1])


def test_nothing_to_draw_is_said_and_no_empty_picture() -> None:
    assert drawn(line_chart((math.nan, 1.0)))[-1] == "Nothing to draw."


def test_a_bars_length_is_its_value_and_something_is_never_nothing() -> None:
    rows = drawn(bar_chart(Bar("a", (100.0,)), Bar("b", (50.0,)), Bar("c", (0.01,)), Bar("d", (0.0,))))
    lengths = [sum(sign in UNICODE.bar_full + UNICODE.bar_parts.strip() for sign in row) for row in rows[1:]]
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=1)
    assert lengths[2] == 1
    assert lengths[3] == 0
    assert ["100 ms" in rows[1], "50.0 ms" in rows[2], "0.01 ms" in rows[3]] == [True] * 3


def test_a_bars_limit_is_a_tick_on_it_and_its_verdict_a_sign() -> None:
    bars = (
        Bar("over", (100.0,), limit=50.0, verdict=Verdict.FAIL),
        Bar("under", (20.0,), limit=50.0, verdict=Verdict.OK),
    )
    rows = drawn(bar_chart(*bars, limit_name="typical"))
    assert "┆ typical" in rows[1]
    assert rows[2].startswith("✗ over")
    assert rows[3].startswith("✓ under")
    assert rows[2].index("┆") == rows[3].index("┆")
    assert rows[2][rows[2].index("┆") + 1] == "█"


def test_a_limit_far_beyond_all_bars_does_not_make_them_vanish() -> None:
    row = drawn(bar_chart(Bar("a", (1.0,), limit=1e6)))[1]
    assert row.count("█") > 10
    assert "┆" not in row


def test_two_values_are_two_bars_of_different_fill() -> None:
    chart = bar_chart(Bar("p50", (30.0, 10.0)), Bar("p99", (None, 40.0)), names=("now", "before"))
    rows = drawn(chart)
    assert "█ now  ▒ before" in rows[1]
    assert "█" in rows[2]
    assert "▒" in rows[3]
    assert "30.0 ms" in rows[2]
    assert "–" in rows[4]
    assert "40.0 ms" in rows[5]
    ascii_rows = drawn(chart, glyphs=ASCII)
    assert "#" in ascii_rows[2]
    assert "=" in ascii_rows[3]
    assert all(row.isascii() for row in ascii_rows)


def test_notes_give_way_where_there_is_no_room_and_what_is_left_out_is_counted() -> None:
    chart = bar_chart(Bar("amount", (0.3,), note="PSI 0.31"), left_out=1234)
    assert "PSI 0.31" in drawn(chart, width=70)[1]
    assert "PSI" not in drawn(chart, width=30)[1]
    assert "1,234 more" in drawn(chart)[-1]


def test_a_remark_stands_with_the_picture() -> None:
    rows = chart_lines(line_chart((0, 1), (1, 2), note="invalid run: the generator sent late"), 60, UNICODE)
    told = next(row for row in rows if "invalid run" in plain(row))
    assert told[0].tone is Tone.WARN
