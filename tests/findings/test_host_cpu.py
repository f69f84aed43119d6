"""This machine's CPU: only what lasts is a finding."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.model import Evidence, HostState, SeriesKey, SeriesView, Verdict
from tests.findings.test_findings import EMPTY, NOW, findings


def cpu(*percent: float) -> Evidence:
    times = tuple(NOW - 2.0 * (len(percent) - 1 - number) for number in range(len(percent)))
    series = {SeriesKey("host.cpu_percent"): SeriesView(times, percent, percent, percent)}
    host = HostState(NOW, "jump", 2, cpu_percent=percent[-1])
    return findings(dataclasses.replace(EMPTY, host=host, series=series))["host.cpu"]


def test_a_busy_minute_is_a_finding_over_its_window() -> None:
    found = cpu(*[10.0] * 100, *[99.0] * 31)
    assert found.verdict is Verdict.WARN
    assert found.value == pytest.approx(99.0)
    assert (found.window_s, found.sample_size) == (60.0, 31)


def test_a_busy_moment_is_none() -> None:
    assert cpu(*[10.0] * 30, 100.0).verdict is Verdict.OK


@pytest.mark.parametrize("percent", [(100.0,), (100.0, 100.0, 100.0)])
def test_a_busy_start_says_too_little(percent: tuple[float, ...]) -> None:
    assert cpu(*percent).verdict is Verdict.UNKNOWN
