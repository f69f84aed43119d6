"""The onset of latency by the hour that Prometheus remembers: found, dated, and only where it reaches back."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from infdiag_tui.diagnosis.symptom import onset_of
from infdiag_tui.model import SeriesView, Snapshot, SourceHealth, SourceState, Verdict
from tests.findings.scenes import NOW, found, noisy, of, one, scene, series

ID = "latency.change"


def past(values: Sequence[float], *, live: Sequence[float] = (), end: float = NOW) -> SeriesView:
    """A point a minute, the last of `live` at `end`."""
    view = series([*values, *live], every_s=60.0, end=end)
    return dataclasses.replace(view, history_until=view.times[len(values) - 1], history_source="Prometheus")


def told(median: SeriesView | None = None, p99: SeriesView | None = None, **fields: Any) -> Snapshot:
    views = {"server.p50_ms": median, "server.p99_ms": p99}
    return scene({name: view for name, view in views.items() if view is not None}, **fields)


def test_a_rise_before_the_incident_was_opened_dates_it() -> None:
    evidence = one(told(past(noisy(50, 40) + noisy(200, 20, seed=2))), ID)
    assert evidence.verdict is Verdict.FAIL
    assert evidence.since == pytest.approx(NOW - 20 * 60, abs=61)
    assert evidence.subject == "server"
    assert "Prometheus" in evidence.statement


def test_history_and_what_came_since_are_one_series() -> None:
    evidence = one(told(past(noisy(50, 50), live=noisy(200, 10, seed=2))), ID)
    assert evidence.verdict is Verdict.FAIL
    assert evidence.since == pytest.approx(NOW - 10 * 60, abs=121)


def test_a_tail_that_rose_alone_is_told_by_its_own_name() -> None:
    evidence = one(told(past(noisy(50, 60)), past(noisy(100, 40) + noisy(900, 20, seed=2))), ID)
    assert evidence.verdict is Verdict.FAIL
    assert "the server's p99" in evidence.statement


def test_a_level_that_was_kept_is_evidence_as_well() -> None:
    evidence = one(told(past(noisy(50, 60)), past(noisy(80, 60, seed=3))), ID)
    assert evidence.verdict is Verdict.OK


def test_without_history_or_with_too_little_or_too_old_nothing_is_said() -> None:
    assert of(told(series(noisy(50, 60), every_s=60)), ID) == []
    assert of(told(past(noisy(50, 10) + noisy(200, 10))), ID) == []
    assert of(told(past(noisy(50, 40) + noisy(200, 20), end=NOW - 600)), ID) == []


def test_readings_that_share_events_are_not_counted_twice() -> None:
    # A quarter of an hour of live readings every 15 s, each over the minute before: 15 of them are independent.
    view = past(noisy(50, 40))
    times = tuple(view.times[-1] + 15.0 * n for n in range(1, 61))
    at = view.times[-1] + 900
    joined = dataclasses.replace(view, times=view.times + times, values=view.values + (50.0,) * 60)
    evidence = one(dataclasses.replace(told(joined), at=at), ID)
    assert evidence.sample_size == 40 + 15


def test_it_dates_the_incident_in_the_diagnosis_and_is_past_when_prometheus_is_gone() -> None:
    view = past(noisy(50, 40) + noisy(200, 20, seed=2))
    live = SourceHealth("server_prometheus", SourceState.LIVE, NOW - 60, NOW)
    evidence = found(told(view, sources={"server_prometheus": live}))
    since, source = onset_of(evidence, ())
    assert since == pytest.approx(NOW - 20 * 60, abs=61)
    assert source == ID
    gone = dataclasses.replace(live, state=SourceState.UNAVAILABLE, since=NOW - 5, last_data_at=NOW - 40)
    (outdated,) = of(told(view, sources={"server_prometheus": gone}), ID)
    assert outdated.verdict is Verdict.UNKNOWN
    assert outdated.statement.startswith("as of ")


def test_other_findings_do_not_compare_what_this_console_measures_with_what_prometheus_counted() -> None:
    # Prometheus counted three replicas, this console reaches one: no traffic fell, and none rose before.
    live = series([10.0] * 40, every_s=5.0)
    before = tuple(live.times[0] - 60.0 * n for n in range(60, 0, -1))
    joined = SeriesView(before + live.times, (1.0,) * 60 + live.values, (), (), before[-1], "Prometheus")
    assert one(scene({"server.request_rate": joined}), "server.traffic_change").verdict is Verdict.OK
    rate = one(scene({"server.request_rate": joined}), "server.request_rate")
    assert rate.value == pytest.approx(10)
