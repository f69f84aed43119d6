from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import LogLine, LogView, Severity
from tests.widgets.samples import HOSTILE, TRACEBACK, log_line, log_view
from widgets.ink import cells, flat, line_cells, plain
from widgets.log_filter import LogFilter
from widgets.log_rows import LogRows
from widgets.log_text import LogLayout, hides_something, render_row, rows_of

LAYOUT = LogLayout(100)


def entries(texts: list[str]) -> tuple[LogLine, ...]:
    return tuple(log_line(text) for text in texts)


def rows_over(view: LogView, layout: LogLayout = LAYOUT) -> LogRows:
    rows = LogRows(layout)
    rows.update(view)
    return rows


def shown(rows: LogRows) -> list[str]:
    return [rows.entry(rows.at(row)[0]).text for row in range(rows.row_count)]


class CountingFilter(LogFilter):
    """Counts the entries it looks at."""

    looked = 0

    def accepts(self, entry: LogLine) -> bool:
        type(self).looked += 1
        return super().accepts(entry)


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("oom", ["OOM killed"]),
        ("!oom", ["fine", "a [b] c"]),
        ("/o+m|fi/", ["OOM killed", "fine"]),
        ("!/^fine$/", ["OOM killed", "a [b] c"]),
        ("[b]", ["a [b] c"]),
        ("  ", ["OOM killed", "fine", "a [b] c"]),
        ("!", ["OOM killed", "fine", "a [b] c"]),
    ],
)
def test_filters(text: str, accepted: list[str]) -> None:
    chosen = LogFilter(text)
    assert [entry.text for entry in entries(["OOM killed", "fine", "a [b] c"]) if chosen.accepts(entry)] == accepted


def test_a_wrong_expression_is_told_and_hides_nothing() -> None:
    chosen = LogFilter("/(/")
    assert "no regular expression" in chosen.error
    assert chosen.accepts(log_line("anything"))


def test_least_severity_and_source() -> None:
    chosen = LogFilter(least=Severity.WARNING, source="pod-a")
    lines = [
        log_line("x", severity, source=source)
        for severity in (Severity.UNKNOWN, Severity.INFO, Severity.WARNING, Severity.CRITICAL)
        for source in ("prod/pod-a/model", "prod/pod-b/model")
    ]
    assert [line.severity for line in lines if chosen.accepts(line)] == [Severity.WARNING, Severity.CRITICAL]


def test_only_new_entries_are_looked_at() -> None:
    lines = entries([str(number) for number in range(1000)])
    rows = LogRows(LAYOUT)
    chosen = CountingFilter("7")
    rows.set_filter(chosen, log_view(lines[:900]))
    CountingFilter.looked = 0
    rows.update(log_view(lines[:900]))
    assert CountingFilter.looked == 0
    rows.update(log_view(lines))
    assert CountingFilter.looked == 100
    rows.update(log_view(lines[500:], first_seq=500))
    assert CountingFilter.looked == 100


@given(
    st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=25),
    st.integers(1, 40),
    st.booleans(),
)
def test_rows_agree_with_a_fresh_start_however_the_ring_moves(
    steps: list[tuple[int, bool]], size: int, wrap: bool
) -> None:
    layout = LogLayout(30, wrap=wrap)
    rows = LogRows(layout)
    rows.filter = LogFilter("!3")
    everything: list[LogLine] = []
    for more, fold in steps:
        everything += entries(
            [f"line {len(everything) + number}\nand more " * (number % 3 + 1) for number in range(more)]
        )
        first = max(0, len(everything) - size)
        view = LogView(tuple(everything[first:]), first, counts={Severity.INFO: len(everything)})
        rows.update(view)
        seq = rows.step(None, 0)
        if fold and seq is not None:
            rows.toggle_whole(seq)
        fresh = LogRows(layout)
        fresh.filter, fresh.whole = rows.filter, set(rows.whole)
        fresh.update(view)
        assert [rows.at(row) for row in range(rows.row_count)] == [fresh.at(row) for row in range(fresh.row_count)]
        assert len(rows) == len(fresh)
        assert all(rows.row_of(rows.at(row)[0]) <= row for row in range(rows.row_count))


def test_errors_come_from_the_ring_that_a_flood_cannot_empty() -> None:
    error = log_line("the cause", Severity.ERROR)
    view = replace(log_view(entries(["noise"] * 50), first_seq=10_000), errors=(error,), first_error_seq=3)
    rows = rows_over(view)
    assert "the cause" not in shown(rows)
    rows.set_filter(LogFilter(least=Severity.ERROR), view)
    assert shown(rows) == ["the cause"]
    rows.set_filter(LogFilter(), view)
    assert len(rows) == 50


def test_a_ring_that_begins_anew_is_followed() -> None:
    rows = rows_over(log_view(entries(["old"] * 10), first_seq=500))
    rows.update(log_view(entries(["new"] * 3)))
    assert shown(rows) == ["new"] * 3


def test_errors_are_found_in_both_directions() -> None:
    severities = [Severity.INFO, Severity.ERROR, Severity.INFO, Severity.CRITICAL, Severity.INFO]
    rows = rows_over(log_view(tuple(log_line(str(n), severity) for n, severity in enumerate(severities))))
    assert rows.find_error(None, -1) == 3
    assert rows.find_error(3, -1) == 1
    assert rows.find_error(1, -1) is None
    assert rows.find_error(None, 1) == 1
    assert rows.find_error(1, 1) == 3
    assert rows.find_error(3, 1) is None


def test_rows_beyond_the_end_are_an_error() -> None:
    rows = rows_over(log_view(entries(["a"])))
    with pytest.raises(IndexError):
        rows.at(1)
    with pytest.raises(IndexError):
        rows.at(-1)


def test_a_folded_traceback_tells_its_error_first_and_how_much_is_hidden() -> None:
    entry = log_line(TRACEBACK, Severity.ERROR)
    wide = LogLayout(140)
    text = plain(render_row(entry, 0, wide))
    assert text.endswith("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB  +3 lines")
    assert rows_of(entry, wide, whole=True) == 4
    assert "line 88" in plain(render_row(entry, 1, wide, whole=True))


@pytest.mark.parametrize("width", [40, 64, 100])
def test_how_much_is_hidden_stays_in_view_where_the_error_is_cut(width: int) -> None:
    row = render_row(log_line(TRACEBACK, Severity.ERROR), 0, LogLayout(width))
    assert line_cells(row) == width
    assert plain(row).endswith("…  +3 lines")
    assert "torch.OutOfM" in plain(row)


def test_a_message_with_a_traceback_tells_both() -> None:
    text = plain(render_row(log_line(f"predict failed\n{TRACEBACK}", Severity.ERROR), 0, LogLayout(200)))
    assert "2.00 GiB | predict failed  +4 lines" in text


def test_an_entry_of_two_lines_tells_the_first() -> None:
    assert plain(render_row(log_line("first\nsecond"), 0, LAYOUT)).endswith("first  +1 line")


def headed(message: str, header: str = "2026-01-01 12:00:00 INFO ") -> LogLine:
    return replace(log_line(header + message), message_start=len(header))


def test_a_row_tells_time_and_level_once() -> None:
    entry = headed('app.access: "POST /predict"')
    assert plain(render_row(entry, 0, LogLayout(64))) == '22:13:20 · INFO  app.access: "POST /predict"'
    labelled = replace(headed("died", "(pid=7) 12:00 ERROR "), header_start=8)
    assert plain(render_row(labelled, 0, LogLayout(64))).endswith("INFO  (pid=7) died")


def test_a_line_shown_whole_has_its_own_time_and_is_wrapped() -> None:
    rows = rows_over(log_view((headed("x" * 100), log_line("short"), log_line("y" * 100))), LogLayout(64))
    for seq in (0, 1, 2):
        rows.toggle_whole(seq)
    drawn = [plain(render_row(rows.entry(seq), part, rows.layout, whole=True)) for seq, part in map(rows.at, range(7))]
    assert rows.whole == {0, 2}
    assert "2026-01-01 12:00:00 INFO x" in drawn[0]
    assert "".join(drawn).count("x") == "".join(drawn).count("y") == 100
    assert max(map(len, drawn)) <= 64
    rows.toggle_whole(0)
    assert rows.row_count == 5


def test_the_filter_searches_the_header_too() -> None:
    assert LogFilter("12:00:00 info").accepts(headed("x"))


def test_what_was_cut_and_what_is_of_the_previous_run_is_told() -> None:
    entry = replace(log_line("boom"), cut_bytes=10 * 2**20, previous=True)
    text = plain(render_row(entry, 0, LAYOUT))
    assert "[previous run] boom [10.0 MiB cut]" in text


@pytest.mark.parametrize(
    ("width", "parts"), [(100, "22:13:20 ✗ ERROR …x2x9k/model"), (64, "22:13:20 ✗ ERROR boom"), (40, "✗E boom")]
)
def test_columns_give_way_to_the_text(width: int, parts: str) -> None:
    assert plain(render_row(log_line("boom", Severity.ERROR), 0, LogLayout(width))).startswith(parts)


def test_what_the_filter_found_is_marked() -> None:
    row = render_row(log_line("a Bad b"), 0, LAYOUT, matched=LogFilter("bad"))
    assert [span.text for span in row if span.tone == "found"] == ["Bad"]


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200) | st.sampled_from(HOSTILE), st.integers(12, 60), st.booleans(), st.integers(0, 20))
def test_wrapped_rows_hold_the_width_and_their_number_is_known(text: str, width: int, whole: bool, left: int) -> None:
    layout = LogLayout(width, wrap=True)
    entry = log_line(text)
    count = rows_of(entry, layout, whole=whole)
    for row in range(min(count, 60)):
        assert line_cells(render_row(entry, row, layout, whole=whole)) <= max(width, layout.gutter + 2)
    assert count >= 1
    assert cells(plain(render_row(entry, 0, LogLayout(width), left=left))) >= 0
    assert plain(render_row(entry, count, layout, whole=whole)).strip() == ""


@settings(deadline=None, max_examples=100)
@given(
    st.text(max_size=60) | st.sampled_from([*HOSTILE, TRACEBACK, f"it failed\n{TRACEBACK}", "a\n\nb"]),
    st.integers(0, 80),
    st.integers(0, 80),
    st.integers(1, 130),
    st.booleans(),
)
def test_any_place_of_the_message_can_be_drawn(text: str, first: int, second: int, width: int, wrap: bool) -> None:
    start, end = sorted((first, second))
    entry = replace(log_line(text, Severity.ERROR), header_start=start, message_start=end)
    layout = LogLayout(width, wrap=wrap)
    for whole in (False, True):
        rows = [
            render_row(entry, row, layout, whole=whole, left=3, matched=LogFilter("a"))
            for row in range(min(40, rows_of(entry, layout, whole=whole)))
        ]
        if whole or wrap:
            assert max(map(line_cells, rows)) <= max(width, layout.gutter + 2)
        assert all(flat(plain(row)) == plain(row) for row in rows)
    if not hides_something(entry, layout):
        assert rows_of(entry, layout, whole=True) == rows_of(entry, layout, whole=False)


def test_twenty_thousand_lines_change_their_filter_in_one_pass() -> None:
    view = log_view(entries([f"line {number}" for number in range(20_000)]))
    rows = rows_over(view)
    CountingFilter.looked = 0
    rows.set_filter(CountingFilter("line 1"), view)
    assert CountingFilter.looked == 20_000
    assert len(rows) == 11_111
