"""The Findings panel's words."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.model import Evidence, SourceState, Verdict
from tests.screens.scripted import NOW, evidence, health, incident_snapshot
from widgets.findings import detail, figure, findings_lines
from widgets.glyphs import ASCII
from widgets.ink import line_cells, plain


def words(width: int = 100, *, details: bool = True, **changes: object) -> str:
    snapshot = dataclasses.replace(incident_snapshot(), **changes)  # type: ignore[arg-type]
    return "\n".join(plain(row) for row in findings_lines(snapshot, NOW, width, details=details))


def test_faults_come_before_warnings_with_value_threshold_sample_and_time() -> None:
    text = words(evidence=tuple(reversed(evidence())))
    assert text.index("FAIL") < text.index("WARN")
    assert "2 faults · 2 warnings · 2 within limits" in text
    assert "p99 latency is 2.1 s, above the objective of 500 ms" in text
    assert "2.10 s, threshold 500 ms (config objective_p99_ms) · n=58 in 1m 00s · since 02:57:05Z, 7m 00s" in text


def test_without_room_for_details_the_duration_stays() -> None:
    text = words(details=False)
    assert "GPU 0 is at 88 °C · for 33 s" in text
    assert "threshold" not in text


def test_a_subject_that_the_statement_leaves_out_is_named() -> None:
    one = Evidence("pods.cpu_share", "CPU is at 96 % of its limit", Verdict.WARN, "pods", NOW, subject="shop/scorer-1")
    assert "shop/scorer-1: CPU is at 96 %" in words(evidence=(one,))
    assert words().count("fraud-scorer-7d9c6b5f4-x2x9p") == 1


def test_nothing_found_is_not_said_of_sources_that_are_blind() -> None:
    text = words(evidence=evidence()[-2:])
    assert "Nothing over a threshold in 2 measurements." in text
    assert "Blind for: gpu_dcgm (unavailable)" in text
    assert "Waiting for: process" in text


def test_nothing_measured_is_no_good_news() -> None:
    assert words(evidence=(), sources={"latency": health("latency", SourceState.STARTING, None)}) == (
        "Nothing measured yet.\n○ Waiting for: latency"
    )


def test_markup_in_a_statement_is_drawn_as_it_stands() -> None:
    one = Evidence("logs.errors", "last: [/bold] [red]x[", Verdict.WARN, "logs", NOW)
    assert "last: [/bold] [red]x[" in words(evidence=(one,))


@given(width=st.integers(36, 200), statement=st.text(max_size=300), subject=st.text(max_size=60))
def test_no_line_is_wider_than_the_panel(width: int, statement: str, subject: str) -> None:
    one = Evidence("x.y", statement, Verdict.FAIL, "x", NOW, value=1.0, subject=subject, since=NOW - 5)
    snapshot = dataclasses.replace(incident_snapshot(), evidence=(one,))
    rows = findings_lines(snapshot, NOW, width)
    assert all(line_cells(row) <= width for row in rows)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.97, "share", "97 %"),
        (88.0, "celsius", "88 °C"),
        (None, "ms", ""),
        (True, "", ""),
        ("2.4.1", "", "2.4.1"),
        (3.5, "lines/min", "3.5 lines/min"),
    ],
)
def test_figures_carry_their_unit(value: float | str | bool | None, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_a_finding_without_threshold_shows_its_value_and_time_only() -> None:
    one = Evidence("pods.restarts", "restarted", Verdict.WARN, "pods", NOW, value=4.0, unit="restarts", since=NOW - 60)
    assert detail(one, NOW) == "4 restarts · since 03:03:05Z, 1m 00s"


def test_ascii_terminals_get_ascii_signs() -> None:
    rows = findings_lines(incident_snapshot(), NOW, 80, ASCII)
    assert all(char.isascii() or char == "°" for row in rows for char in plain(row))
