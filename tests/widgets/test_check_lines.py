"""Checks as lines: any result a check may give can be drawn, within the width, and says what was left out."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.model import CheckResult, CheckRun, CheckStatus, FieldKind, FormField, Progress, RunState
from tests.screens.check_samples import OFFERED, asking, done, refused, running
from tests.screens.scripted import NOW
from widgets.check_lines import offer_detail, offer_lines, outcome_words, run_detail, run_lines, standing
from widgets.glyphs import ASCII, UNICODE
from widgets.ink import line_cells, plain
from widgets.result_table import MOST_ROWS, cell, result_lines, table_lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=12), JSON, max_size=5), st.integers(20, 120))
def test_any_result_can_be_drawn(result: dict[str, object], width: int) -> None:
    for row in result_lines(result, width, UNICODE):
        assert "\n" not in plain(row)


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "bb", "c" * 20, "d"]), JSON, min_size=1), min_size=1, max_size=6),
    st.integers(10, 100),
)
def test_a_table_keeps_to_its_width_and_shows_every_column(records: list[dict[str, object]], width: int) -> None:
    rows = table_lines("t", records, width, UNICODE)
    assert all(line_cells(row) <= width for row in rows[1:])
    text = "".join(plain(row) for row in rows)
    for name in {name for record in records for name in record}:
        assert name in text or width < len(name)


def test_columns_without_room_follow_below_with_the_first_column_again() -> None:
    record = {"name": "amount", **{f"column_{number}": number for number in range(6)}}
    texts = [plain(row) for row in table_lines("t", [record], 40, UNICODE)]
    assert sum("amount" in text for text in texts) == 2
    assert all(any(f"column_{number}" in text for text in texts) for number in range(6))


def test_a_long_table_says_how_many_rows_are_left_out() -> None:
    rows = table_lines("t", [{"n": number} for number in range(MOST_ROWS + 5)], 60, UNICODE)
    assert "5 more rows" in plain(rows[-1])
    assert len(rows) == MOST_ROWS + 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (0.123456, "0.1235"),
        (math.nan, "not a number"),
        (-math.inf, "infinite"),
        (123456, "123,456"),
        ("x", "x"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_a_value_in_few_columns(value: object, text: str) -> None:
    assert cell(value, UNICODE) == text


def test_an_unknown_share_has_no_bar_and_a_known_one_has_its_percentage() -> None:
    known, unknown = run_lines([running(1, 0.4), running(2, None)], NOW, 100, UNICODE)
    assert "█" in plain(known)
    assert "40%" in plain(known)
    assert "█" not in plain(unknown)
    assert "░" not in plain(unknown)
    assert "%" not in plain(unknown)
    assert "12 s" in plain(unknown)


def test_a_share_out_of_range_is_drawn_at_its_end() -> None:
    assert "100%" in plain(run_lines([running(1, 7.0)], NOW, 100, UNICODE)[0])
    assert "0%" in plain(run_lines([running(1, math.nan)], NOW, 100, UNICODE)[0])


@pytest.mark.parametrize("status", list(CheckStatus))
def test_every_outcome_has_a_word_beside_its_sign(status: CheckStatus) -> None:
    run = CheckRun(1, "x", "X", RunState.DONE, NOW, result=CheckResult("x", status, "Words.", NOW, 1.0), ended_at=NOW)
    assert standing(run, ASCII)[1] == status.value.upper()
    assert "Words." in plain(run_lines([run], NOW, 80, ASCII)[0])


@pytest.mark.parametrize("state", [RunState.ASKING, RunState.INVALID, RunState.CANCELLED, RunState.STARTING])
def test_every_state_has_words(state: RunState) -> None:
    run = CheckRun(
        1, "x", "X", state, NOW, Progress("starting"), question="May I?", problems={"n": "is wrong.", "": "Y"}
    )
    assert outcome_words(run)
    assert standing(run, UNICODE)[1]


def test_details_of_every_kind_keep_to_the_width() -> None:
    for width in (30, 58, 100):
        for run in (running(), done(), asking(), refused()):
            assert all(line_cells(row) <= width for row in run_detail(run, NOW, width, UNICODE))
        for one in OFFERED:
            assert offer_detail(one, width, UNICODE)
    assert len(offer_lines(OFFERED, 60, ASCII)) == 3


def test_a_parameter_that_cannot_be_used_at_present_says_why() -> None:
    why = "There is no way into the model's container."
    field = FormField("in_pod", "Look inside.", FieldKind.SWITCH, default="false", lacking=why)
    rows = offer_detail(dataclasses.replace(OFFERED[0], fields=(field,)), 120, UNICODE)
    assert plain(rows[-1]) == f"in_pod  false  not now: {why}"


def test_the_worst_evidence_comes_first() -> None:
    texts = [plain(row) for row in run_detail(done(), NOW, 100, UNICODE)]
    fail = next(at for at, text in enumerate(texts) if text.startswith("✗ FAIL"))
    fine = next(at for at, text in enumerate(texts) if text.startswith("✓ OK"))
    assert fail < fine
