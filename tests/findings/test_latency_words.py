"""Latency evidence says no more than its sample holds: who was counted, and what is bounded."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.hub.replies import ReplyLog
from infdiag_tui.model import ErrorKind, Evidence, Quantile, Reply, Verdict
from infdiag_tui.report import slot_values
from tests.findings.test_findings import EMPTY, NOW, findings, window, with_latency


def probed(*counts: tuple[int, ErrorKind | None, float]) -> dict[str, Evidence]:
    """Evidence of `count` replies each with an error (or none) and a latency in milliseconds."""
    log = ReplyLog("http://m/predict")
    for count, error, total_ms in counts:
        for _ in range(count):
            log.add(Reply("http://m/predict", NOW - 5, NOW - 5, total_ms, error=error))
    return findings(dataclasses.replace(EMPTY, latency=(log.view(NOW),)))


def test_requests_that_were_never_sent_are_neither_failures_nor_counted_in_the_rate() -> None:
    rate = probed((90, None, 20.0), (10, ErrorKind.HTTP_STATUS, 5.0), (50, ErrorKind.OVERRUN, 0.0))[
        "latency.error_rate"
    ]
    assert rate.value == pytest.approx(0.1)
    assert rate.sample_size == 100
    assert rate.statement == "10 of 100 requests failed (10 http-status); 50 more were never sent"


def test_the_report_counts_requests_as_the_finding_does() -> None:
    log = ReplyLog("t")
    for error in (*[None] * 8, ErrorKind.TIMEOUT, ErrorKind.HTTP_STATUS, *[ErrorKind.OVERRUN] * 5):
        log.add(Reply("t", NOW - 5, NOW - 5, 20.0, error=error))
    values = slot_values(dataclasses.replace(EMPTY, latency=(log.view(NOW),)))
    sent = "10 probe requests, 2 failed (1 timeout, 1 http-status), 5 more never sent"
    assert str(values["requests"]).startswith(sent)
    assert "n=9)" in str(values["latency"])


def test_overruns_alone_give_no_error_rate_to_judge() -> None:
    found = probed((20, ErrorKind.OVERRUN, 0.0), (3, ErrorKind.CONNECT, 1.0))
    assert found["latency.error_rate"].verdict is Verdict.UNKNOWN


def test_a_quantiles_sample_is_what_was_timed_and_a_single_answer_gives_no_verdict() -> None:
    p50 = probed((99, ErrorKind.CONNECT, 1.0), (1, None, 500.0))["latency.p50"]
    assert p50.sample_size == 1
    assert p50.verdict is Verdict.UNKNOWN
    assert p50.statement.startswith("p50 is near 500.0 ms, but 1 replies are too few to bound it")


def test_the_slowest_is_not_called_an_answer_when_it_was_a_timeout() -> None:
    slowest = probed((10, None, 20.0), (1, ErrorKind.TIMEOUT, 5000.0))["latency.max"]
    assert slowest.statement == "The slowest of 11 answers and timeouts took 5000.0 ms or more"
    assert probed((10, None, 20.0))["latency.max"].statement == "The slowest of 10 answers took 20.0 ms"


@pytest.mark.parametrize(
    ("quantile", "words"),
    [
        (Quantile(10, 8, None), "somewhere above 8.0 ms"),
        (Quantile(10, None, 12), "somewhere below 12.0 ms"),
        (Quantile(10, None, None), "near 10.0 ms, but"),
        (Quantile(10, 8, 12), "is 10.0 ms (95 % interval 8.0 to 12.0)"),
        (Quantile(10, 8, None, censored=True), "at least 10 ms"),
    ],
)
def test_a_quantile_is_bounded_only_from_where_the_sample_bounds_it(quantile: Quantile, words: str) -> None:
    found = findings(with_latency(dataclasses.replace(window(10, 20), p50=quantile)))
    assert words in found["latency.p50"].statement


def test_jitter_of_a_small_sample_is_a_bound_or_a_maybe() -> None:
    wide = dataclasses.replace(window(20, 100), p99=Quantile(100, 90, None))
    assert findings(with_latency(wide))["latency.jitter"].statement.startswith("p99 is at least 4.3 times p50")
    none = dataclasses.replace(window(20, 100), p99=Quantile(100, None, None))
    assert findings(with_latency(none))["latency.jitter"].statement.startswith("p99 may be 5.0 times p50, but")
