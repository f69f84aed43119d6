"""Error lines: those of late told from those that stood in the log before, over the time that is known of."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.model import (
    Evidence,
    IncidentInfo,
    LogLine,
    LogView,
    Severity,
    Snapshot,
    SourceHealth,
    SourceState,
    Verdict,
)
from infdiag_tui.report import slot_values
from tests.findings.test_findings import NOW, findings


def error(received_s_ago: float, at_s_ago: float | None = None) -> LogLine:
    at = None if at_s_ago is None else NOW - at_s_ago
    return LogLine("a", "boom", Severity.ERROR, received_at=NOW - received_s_ago, at=at)


def watched(for_s: float, *errors: LogLine, **sources: SourceHealth) -> Snapshot:
    return Snapshot(
        at=NOW,
        number=1,
        incident=IncidentInfo("m", "", NOW - for_s),
        sources={name.replace("_", ":"): health for name, health in sources.items()},
        logs=LogView(errors=errors, counts={Severity.ERROR: len(errors), Severity.INFO: 1}),
    )


def seen(snapshot: Snapshot) -> Evidence:
    return findings(snapshot)["logs.errors"]


def test_the_window_is_what_was_watched_and_the_rate_is_over_it() -> None:
    found = seen(watched(10, *[error(5)] * 20))
    assert found.window_s == pytest.approx(10)
    assert found.value == pytest.approx(120)
    assert found.statement.startswith("20 error lines in 10 s")
    assert found.verdict is Verdict.WARN


def test_a_single_line_in_the_first_seconds_is_not_yet_many_a_minute() -> None:
    assert seen(watched(5, error(1))).verdict is Verdict.OK


def test_errors_of_the_backlog_widen_the_window_to_when_they_happened() -> None:
    found = seen(watched(10, *(error(9, at_s_ago=9 + 20 * number) for number in range(10, 0, -1))))
    assert found.sample_size == 10
    assert found.window_s == pytest.approx(209)


@pytest.mark.parametrize(("age_s", "verdict"), [(1_800.0, Verdict.WARN), (90_000.0, Verdict.OK)])
def test_errors_that_stood_in_the_log_before_are_told_with_their_time_and_are_none_of_late(
    age_s: float, verdict: Verdict
) -> None:
    snapshot = watched(20, *[error(19, at_s_ago=age_s)] * 30)
    assert (seen(snapshot).sample_size, seen(snapshot).verdict) == (0, Verdict.OK)
    earlier = findings(snapshot)["logs.earlier_errors"]
    assert earlier.verdict is verdict
    assert earlier.at == NOW - age_s
    assert earlier.statement.startswith("30 error lines from before infdiag watched, the last at 2023-11-1")
    report = slot_values(dataclasses.replace(snapshot, evidence=(seen(snapshot), earlier)))
    assert "30 error lines from before" in str(report["log_errors"])


def test_errors_that_arrive_now_count_whatever_time_zone_their_log_is_written_in() -> None:
    found = seen(watched(200, *[error(30, at_s_ago=7_230)] * 30))
    assert found.sample_size == 30
    assert found.window_s == pytest.approx(200)
    assert found.verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ((SourceState.LIVE, SourceState.UNAVAILABLE), Verdict.OK),
        ((SourceState.UNAVAILABLE, SourceState.STALE), Verdict.UNKNOWN),
    ],
)
def test_no_errors_are_no_news_when_no_log_is_read_any_more(states: tuple[SourceState, ...], verdict: Verdict) -> None:
    healths = [SourceHealth("x", state, NOW - 50, last_data_at=NOW - 60) for state in states]
    assert seen(watched(600, logs_a=healths[0], logs_b=healths[1])).verdict is verdict
