"""The reply log against NumPy and against counting by hand."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.hub.replies import RECENT, ReplyLog
from infdiag_tui.hub.sorted_sample import SortedSample
from infdiag_tui.model import NOT_SENT, ErrorKind, LatencyWindow, Phases, Quantile, Reply

MS = st.floats(0.01, 10_000)
MAYBE_MS = st.none() | MS


def reply(at: float = 1_000.0, total_ms: float = 10.0, **rest: object) -> Reply:
    base = Reply(target="t", scheduled_at=at - total_ms / 1e3, at=at, total_ms=total_ms)
    return dataclasses.replace(base, **rest)  # type: ignore[arg-type]


@st.composite
def replies(draw: st.DrawFn) -> list[Reply]:
    """A probe's history: gaps between completions, every kind of error, phases that may be absent."""
    at, history = 1_000.0, []
    for _ in range(draw(st.integers(0, 60))):
        at += draw(st.floats(0, 30))
        history.append(
            reply(
                at,
                draw(MS),
                lateness_ms=draw(st.floats(0, 100)),
                error=draw(st.none() | st.none() | st.sampled_from(ErrorKind)),
                reused=draw(st.sampled_from([None, True, False])),
                first_token_ms=draw(MAYBE_MS),
                phases=Phases(dns_ms=draw(MAYBE_MS), wait_ms=draw(MAYBE_MS)),
            ),
        )
    return history


def filled(history: list[Reply], **options: int) -> ReplyLog:
    log = ReplyLog("t", **options)
    for one in history:
        log.add(one)
    return log


def value(quantile: Quantile | None) -> float | None:
    return None if quantile is None else quantile.value_ms


def median(values: list[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return float(np.median(known)) if known else None


def check(window: LatencyWindow, expected: list[Reply]) -> None:
    """Every figure of `window`, recomputed the plain way."""
    answered = [one for one in expected if one.ok]
    timed_out = [one for one in expected if one.error is ErrorKind.TIMEOUT]
    sent = [one for one in expected if one.error not in NOT_SENT]
    totals = [one.total_ms for one in answered + timed_out]
    assert window.requests == len(expected)
    assert window.answered == len(answered)
    assert dict(window.errors) == dict(Counter(one.error for one in expected if one.error))
    assert window.error_rate == (pytest.approx((len(sent) - len(answered)) / len(sent)) if sent else None)
    assert window.timeout_rate == (pytest.approx(len(timed_out) / len(sent)) if sent else None)
    for q, found in ((50, window.p50), (95, window.p95), (99, window.p99)):
        assert value(found) == (pytest.approx(np.percentile(totals, q)) if answered else None)
    assert window.max_ms == (max(totals) if answered else None)
    reuse = [one.reused for one in expected if one.reused is not None]
    assert window.reused_share == (pytest.approx(np.mean(reuse)) if reuse else None)
    assert window.fresh_p50_ms == pytest.approx(median([one.total_ms for one in answered if one.reused is False]))
    assert window.reused_p50_ms == pytest.approx(median([one.total_ms for one in answered if one.reused]))
    assert window.median_phases.dns_ms == pytest.approx(median([one.phases.dns_ms for one in answered]))
    assert window.median_phases.wait_ms == pytest.approx(median([one.phases.wait_ms for one in answered]))
    assert window.median_phases.tls_ms is None
    lateness = [one.lateness_ms for one in expected]
    expected_lateness = pytest.approx(np.percentile(lateness, 99), rel=1e-5, abs=1e-30) if lateness else None
    assert window.lateness_p99_ms == expected_lateness
    tokens = [one.first_token_ms for one in answered if one.first_token_ms is not None]
    tokens += [one.total_ms if one.first_token_ms is None else one.first_token_ms for one in timed_out]
    streamed = any(one.first_token_ms is not None for one in answered)
    assert value(window.first_token_p99) == (pytest.approx(np.percentile(tokens, 99)) if streamed else None)


@settings(deadline=None)  # a loaded machine is no failure
@given(replies(), st.floats(0, 400))
def test_windows_say_what_a_plain_count_of_their_replies_says(history: list[Reply], later_s: float) -> None:
    now = (history[-1].at if history else 1_000.0) + later_s

    view = filled(history).view(now)

    minute, five_minutes, whole = view.windows
    assert [window.window_s for window in view.windows] == [60.0, 300.0, None]
    check(minute, [one for one in history if one.at > now - 60])
    check(five_minutes, [one for one in history if one.at > now - 300])
    check(whole, history)


@settings(deadline=None)  # a loaded machine is no failure
@given(replies(), st.integers(1, 40), st.booleans())
def test_beyond_the_bound_old_values_leave_and_counts_stay_exact(
    history: list[Reply], capacity: int, looking: bool
) -> None:
    log = ReplyLog("t", capacity=capacity)
    for one in history:
        log.add(one)
        if looking:
            log.view(one.at)

    whole = log.view(1e9).windows[-1]

    assert whole.requests == len(history)
    assert dict(whole.errors) == dict(Counter(one.error for one in history if one.error))
    assert whole.answered == sum(one.ok for one in history)
    kept = history[-min(len(history), capacity) :] if history else []
    most = capacity + max(1, capacity // 8)
    maxima = {
        max((r.total_ms for r in history[-n:] if r.ok or r.error is ErrorKind.TIMEOUT), default=None)
        for n in range(len(kept), min(len(history), most) + 1)
    }
    assert not whole.answered or whole.max_ms in maxima


def test_counts_and_quantiles_of_many_replies_hold_past_the_bound() -> None:
    rng = np.random.default_rng(3)
    totals = rng.lognormal(3, 1, 5_000)
    log = filled([reply(1_000.0 + n, float(total)) for n, total in enumerate(totals)], capacity=1_000)

    whole = log.view(10_000.0).windows[-1]

    assert whole.requests == 5_000
    kept = [totals[-n:] for n in range(1_000, 1_126)]
    assert any(value(whole.p99) == pytest.approx(np.percentile(tail, 99)) for tail in kept)


def test_a_timeout_counts_as_at_least_its_limit() -> None:
    history = [reply(1_000.0 + n, 10.0) for n in range(80)]
    history += [reply(1_080.0 + n, 5_000.0, error=ErrorKind.TIMEOUT) for n in range(20)]

    whole = filled(history).view(1_100.0).windows[-1]

    assert whole.p50 is not None
    assert whole.p50.is_figure
    assert whole.p95 is not None
    assert (whole.p95.value_ms, whole.p95.censored, whole.p95.high_ms) == (5_000.0, True, None)


def test_an_evicted_timeout_censors_no_longer() -> None:
    history = [reply(1_000.0, 1.0, error=ErrorKind.TIMEOUT)] + [reply(1_001.0 + n, 10.0) for n in range(40)]

    whole = filled(history, capacity=16).view(2_000.0).windows[-1]

    assert whole.p50 is not None
    assert not whole.p50.censored
    assert dict(whole.errors) == {ErrorKind.TIMEOUT: 1}


def test_unsent_requests_are_counted_but_are_nobodys_failure() -> None:
    log = filled([reply(), reply(error=ErrorKind.OVERRUN), reply(error=ErrorKind.OVERRUN)])

    whole = log.view(1_000.0).windows[-1]

    assert (whole.requests, whole.answered, whole.error_rate) == (3, 1, 0.0)
    assert whole.errors == ((ErrorKind.OVERRUN, 2),)


def test_without_an_answer_there_are_no_quantiles() -> None:
    whole = filled([reply(error=ErrorKind.CONNECT), reply(error=ErrorKind.TIMEOUT)]).view(1_000.0).windows[-1]

    assert (whole.p50, whole.p99, whole.max_ms, whole.jitter) == (None, None, None, None)
    assert (whole.error_rate, whole.timeout_rate) == (1.0, 0.5)


def test_an_empty_log_has_windows_without_figures() -> None:
    view = ReplyLog("t").view(0.0)

    assert view.last is None
    assert view.recent == ()
    assert all(window == LatencyWindow(window.window_s, 0, 0, (), None, None) for window in view.windows)


def test_jitter_is_p99_over_p50() -> None:
    whole = filled([reply(1_000.0 + n, 1.0 + n) for n in range(101)]).view(2_000.0).windows[-1]

    assert whole.jitter == pytest.approx(100.0 / 51.0)


def test_the_last_reply_and_the_last_error_are_kept_apart() -> None:
    bad = reply(1_000.0, error=ErrorKind.HTTP_STATUS, status=500)
    good = reply(1_001.0)

    view = filled([bad, good]).view(1_001.0)

    assert (view.last, view.last_error) == (good, bad)


def test_recent_points_are_in_the_order_of_sending_and_failures_are_gaps() -> None:
    slow = reply(1_009.0, 5_000.0)
    failed = reply(1_005.0, 10.0, error=ErrorKind.CONNECT)

    view = filled([failed, slow]).view(1_010.0)

    assert view.recent == ((slow.scheduled_at, 5_000.0), (failed.scheduled_at, None))


def test_recent_points_are_bounded() -> None:
    view = filled([reply(1_000.0 + n) for n in range(RECENT + 50)]).view(2_000.0)

    assert len(view.recent) == RECENT
    assert view.recent[-1][0] == pytest.approx(1_000.0 + RECENT + 49 - 0.01)


def test_an_unchanged_window_is_not_computed_again() -> None:
    log = filled([reply(1_000.0), reply(1_050.0)])
    first = log.view(1_051.0)

    again = log.view(1_052.0)
    later = log.view(1_061.0)

    assert all(one is other for one, other in zip(first.windows, again.windows, strict=True))
    assert later.windows[0].requests == 1
    assert later.windows[1] is first.windows[1]


def test_a_clock_that_steps_back_loses_nothing() -> None:
    log = filled([reply(1_000.0), reply(400.0), reply(410.0)])

    assert log.view(1_001.0).windows[0].requests == 3


@settings(deadline=None)  # a loaded machine is no failure
@given(st.lists(st.lists(st.floats(0, 100), max_size=60), max_size=20), st.randoms(use_true_random=False))
def test_a_sorted_sample_knows_every_rank_whatever_came_and_went(batches: list[list[float]], rng: object) -> None:
    sample, held = SortedSample(), list[float]()
    for batch in batches:
        sample.extend(np.asarray(batch))
        held += batch
        gone = rng.sample(held, len(held) // 3)  # type: ignore[attr-defined]
        if len(batch) % 2:
            sample.discard(np.asarray(gone))
            for one in gone:
                held.remove(one)
    assert [sample[rank] for rank in range(len(sample))] == sorted(held)
    assert sample.values().tolist() == sorted(held)


def test_a_sorted_sample_merges_its_tail_without_losing_ranks() -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    sample = SortedSample()
    for part in np.array_split(values, 400):
        sample.extend(part)

    assert [sample[rank] for rank in range(0, 20_000, 37)] == np.sort(values)[::37].tolist()
    assert sample[-1] == values.max()


def test_a_sorted_sample_refuses_what_it_does_not_hold() -> None:
    sample = SortedSample()
    sample.extend(np.asarray([1.0, 2.0]))

    with pytest.raises(KeyError):
        sample.discard(np.asarray([2.0, 2.0]))
    with pytest.raises(IndexError):
        sample[2]
