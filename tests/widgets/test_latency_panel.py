from __future__ import annotations

from dataclasses import replace

import pytest

from infdiag_tui.model import (
    ErrorKind,
    LatencyView,
    LatencyWindow,
    Phases,
    Quantile,
    Reply,
    SeriesKey,
    SeriesView,
    Snapshot,
    SourceState,
)
from tests.widgets.samples import HOSTILE, NOW, broken, hostile, incident, latency_view, live, quiet, windows
from tests.widgets.stage import screen_text, settle, staged
from widgets.glyphs import ASCII, UNICODE
from widgets.ink import Tone, line_cells, plain
from widgets.latency_lines import error_words
from widgets.latency_panel import LatencyPanel, render_latency

SIZES = ((34, 6), (56, 14), (76, 18), (96, 28), (140, 20))


def drawn(view: LatencyView, width: int, height: int) -> list[str]:
    return [plain(row) for row in render_latency(with_views(view), NOW, width, height, UNICODE)]


def with_views(*views: LatencyView) -> Snapshot:
    return replace(incident(), latency=views)


def reply(error: ErrorKind | None, text: str = "", *, status: int | None = None, total_ms: float = 12.0) -> Reply:
    return Reply("t", NOW - 2, NOW - 1, total_ms, error=error, error_text=text, status=status)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_quantiles_and_errors_are_seen_at_every_size_and_fit(width: int, height: int) -> None:
    lines = render_latency(with_views(latency_view()), NOW, width, height, UNICODE)
    text = "\n".join(plain(each) for each in lines)
    for part in ("p50", "123 ms", "p95", "180–410+ ms", "p99", "≥ 5.00 s", "5.2 %"):
        assert part in text
    assert len(lines) <= height
    assert all(line_cells(each) <= width for each in lines)


def test_windows_stand_side_by_side_with_sample_sizes_and_intervals() -> None:
    rows = drawn(latency_view(), 96, 28)
    assert "1 min n=57" in rows[1]
    assert "5 min n=296" in rows[1]
    assert "all n=1,200" in rows[1]
    assert "123 ms (118–131)" in rows[2]
    assert "890 ms (610–1900)" in rows[4]


def test_where_it_is_narrow_the_newest_and_the_longest_window_are_kept() -> None:
    text = "\n".join(drawn(latency_view(), 36, 12))
    assert "1 min" in text
    assert "all" in text
    assert "5 min" not in text


def test_phases_and_connections_are_told_and_those_that_did_not_take_place_are_not() -> None:
    text = "\n".join(drawn(latency_view(), 96, 28))
    for part in ("dns 1.10 ms", "connect 2.30 ms", "wait 118 ms", "connections reused 92 %", "p50 fresh 140 ms"):
        assert part in text
    assert "tls" not in text


def test_a_server_that_never_answered_has_no_figures() -> None:
    window = LatencyWindow(60, 9, 0, ((ErrorKind.CONNECT, 9),), 1.0, 0.0)
    failed = reply(ErrorKind.CONNECT, "connection refused")
    view = LatencyView("t", (window,), failed, failed, ((NOW - 2, None),))
    text = "\n".join(drawn(view, 76, 20))
    assert "FAILING 1s ago: no connection: connection refused" in text
    assert "n/a" in text
    assert "0 ms" not in text.split("each request")[0]
    assert "100 %" in text
    assert "no connection 9" in text


def test_an_error_that_was_followed_by_answers_is_only_the_last_error() -> None:
    assert "last error 40s ago: no answer within 5.00 s" in "\n".join(drawn(latency_view(), 76, 20))


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (reply(ErrorKind.HTTP_STATUS, "overloaded", status=503), "HTTP 503: overloaded"),
        (reply(ErrorKind.TIMEOUT, total_ms=5000.0), "no answer within 5.00 s"),
        (reply(ErrorKind.DNS, "no such host"), "name not resolved: no such host"),
        (reply(ErrorKind.TLS), "TLS refused"),
        (reply(None), "answered"),
    ],
)
def test_failures_in_words(failure: Reply, words: str) -> None:
    assert error_words(failure) == words


def test_jitter_is_what_the_intervals_prove_where_p99_is_no_figure() -> None:
    text = "\n".join(drawn(latency_view(), 96, 28))
    assert "≥ 3.13× p50" in text  # p99 is at least 410 ms and p50 at most 131 ms
    assert "40.5×" not in text
    assert " 7.2× p50" in text


def test_jitter_that_nothing_bounds_is_not_available() -> None:
    few = replace(windows()[0], p50=Quantile(123.4, 118.0, None))
    rows = drawn(replace(latency_view(), windows=(few,)), 96, 28)
    assert next(row.split()[1] for row in rows if row.startswith("jitter")) == "n/a"


def test_tokens_are_told_where_there_are_any() -> None:
    first = replace(
        windows()[0], first_token_p50=Quantile(40.0, 38.0, 43.0), first_token_p99=Quantile(90.0, 60.0, None)
    )
    text = "\n".join(drawn(replace(latency_view(), windows=(first,)), 96, 28))
    assert "first token p50 40.0 ms p99 60.0–90.0+ ms" in text


def test_failures_are_marked_in_the_chart() -> None:
    rows = drawn(latency_view(), 76, 20)
    assert any("✗" in row for row in rows[-3:-1])
    assert rows[-1].endswith("now")


def test_every_target_is_named_and_shown() -> None:
    views = [latency_view(f"http://replica-{number}/predict") for number in range(3)]
    for width, height in SIZES:
        text = "\n".join(plain(row) for row in render_latency(with_views(*views), NOW, width, height, UNICODE))
        assert all(f"replica-{number}" in text for number in range(3))
        assert text.count("p99") >= 3


def test_a_window_without_phases_or_requests_is_drawn() -> None:
    empty = LatencyWindow(60, 0, 0, (), None, None, median_phases=Phases())
    for width, height in SIZES:
        assert "n/a" in "\n".join(drawn(LatencyView("t", (empty,), None, None), width, height))
        assert drawn(LatencyView("t", (), None, None), width, height)


def test_ascii_latency_has_ascii_ranges() -> None:
    rows = render_latency(with_views(latency_view()), NOW, 96, 28, ASCII)
    text = "\n".join(plain(row) for row in rows)
    assert "180-410+ ms" in text
    assert ">= 5.00 s" in text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [(1, 1), (38, 8), (80, 24), (160, 40)])
async def test_text_from_outside_is_drawn_literally(text: str, size: tuple[int, int]) -> None:
    async with staged(LatencyPanel("Latency", sources=("latency",)), hostile(text), size) as pilot:
        assert screen_text(pilot.app).replace("\n", "").isprintable()


async def test_a_stopped_probe_is_stale_and_its_figures_are_dimmed() -> None:
    shown = LatencyPanel("Latency", sources=("latency",))
    snapshot = replace(incident(), sources={"latency": live("latency", age_s=30)})
    async with staged(shown, snapshot, (80, 20)) as pilot:
        assert "stale 30 s" in screen_text(pilot.app)
        assert {span.tone for row in shown.canvas.lines for span in row} == {Tone.DIM}


@pytest.mark.parametrize(
    ("state", "words"),
    [(SourceState.OFF, "No endpoint is configured"), (SourceState.STARTING, "Waiting for the first reply.")],
)
async def test_no_replies_are_explained(state: SourceState, words: str) -> None:
    snapshot = replace(quiet(), sources={"latency": broken("latency", state, age_s=None)})
    async with staged(LatencyPanel("Latency", sources=("latency",)), snapshot, (60, 10)) as pilot:
        assert words in screen_text(pilot.app)


async def test_unchanged_latency_repaints_nothing() -> None:
    shown = LatencyPanel("Latency", sources=("latency",))
    async with staged(shown, incident(), (80, 24)) as pilot:
        before = shown.canvas.repainted_lines
        await settle(pilot, shown, replace(incident(), number=2), now=NOW + 0.2)
        assert shown.canvas.repainted_lines == before


async def test_the_servers_own_p99_stands_below_with_its_bucket_and_its_history() -> None:
    times = tuple(NOW - 3600 + 60.0 * n for n in range(61))
    values = (400.0,) * 61
    one = SeriesView((NOW,), (250.0,), (250.0,), (250.0,))
    series = {
        SeriesKey("server.p99_ms"): SeriesView(times, values, values, values, times[50], "Prometheus"),
        SeriesKey("server.p99_low_ms"): one,
        SeriesKey("server.p99_high_ms"): replace(one, values=(500.0,)),
    }
    shown = LatencyPanel("Latency", sources=("latency",))
    with_server = replace(with_views(latency_view()), series=series)
    async with staged(shown, with_server, (100, 34)) as pilot:
        text = screen_text(pilot.app)
        assert "server p99 (somewhere in 250 ms to 500 ms) 400 ms" in text
        assert "dim: history (Prometheus)" in text
        assert "p95" in text
        await settle(pilot, shown, replace(quiet(), latency=(), series=series))
        assert "server p99" in screen_text(pilot.app)  # where no endpoint is configured as well
