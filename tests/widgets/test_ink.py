from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from widgets.ink import (
    Span,
    Tone,
    beside,
    cells,
    clip,
    columns,
    fit,
    flat,
    flow,
    in_ascii,
    keep_tail,
    line,
    plain,
    wrap,
)

TEXTS = st.text(max_size=60)
WIDTHS = st.integers(min_value=0, max_value=40)


@given(TEXTS, WIDTHS)
def test_nothing_is_wider_than_it_may_be(text: str, width: int) -> None:
    assert cells(clip(text, width)) <= width
    assert cells(keep_tail(text, width)) <= width
    assert cells(columns(text, width)) == width
    assert cells(columns(text, width, right=True)) == width
    assert sum(cells(span.text) for span in fit((Span(text), Span(text, Tone.BAD)), width)) <= width


@given(st.text(max_size=80), st.integers(1, 30))
def test_wrapped_rows_fit_and_lose_no_word(text: str, width: int) -> None:
    rows = wrap(text, max(2, width))
    assert all(cells(row) <= max(2, width) for row in rows)
    assert "".join("".join(rows).split()) == "".join(flat(text).split())


def test_controls_and_hidden_characters_never_reach_the_terminal() -> None:
    assert flat("a\x1b[31mb\nc\u202ed\u200be") == "a [31mb c d e"


def test_text_that_fits_is_kept_whole() -> None:
    assert plain(fit((Span("abc"), Span("de")), 5)) == "abcde"
    assert plain(fit((Span("abc"), Span("def")), 5)) == "abcd…"


def test_a_cut_name_keeps_the_end_that_tells_replicas_apart() -> None:
    first = keep_tail("fraud-scorer-7d9c6b5f4-x2x9k", 16)
    second = keep_tail("fraud-scorer-7d9c6b5f4-aaaaa", 16)
    assert first.endswith("-x2x9k")
    assert first != second
    assert cells(first) == 16


def test_parts_flow_onto_as_many_lines_as_they_need() -> None:
    parts = [line("aaaa"), line("bbbb"), line("cccc")]
    assert [plain(row) for row in flow(parts, 11)] == [" aaaa  bbbb", " cccc"]


def test_blocks_stand_beside_each_other_whatever_their_heights() -> None:
    rows = beside([line("a"), line("bb")], [line("X")], 4)
    assert [plain(row) for row in rows] == ["a   X", "bb  "]


def test_ascii_signs_keep_their_columns() -> None:
    assert in_ascii("a · b – c… 5×") == "a - b - c~ 5x"
