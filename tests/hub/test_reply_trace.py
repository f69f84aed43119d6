"""The whole history of latency at one resolution."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.hub.replies import KEPT_WHOLE, ReplyLog
from infdiag_tui.hub.reply_trace import ReplyTrace
from infdiag_tui.model import ErrorKind, Reply


def test_a_bin_is_the_geometric_mean_of_its_replies_with_their_extremes() -> None:
    trace = ReplyTrace()
    for at, ms in ((10.1, 1.0), (10.5, 100.0), (11.2, 7.0)):
        trace.add(at, ms)
    view = trace.view()
    assert view.times == (10.0, 11.0)
    assert list(view.values) == pytest.approx([10.0, 7.0])
    assert (view.lows, view.highs) == ((1.0, 7.0), (100.0, 7.0))
    assert trace.view() is view


def test_the_resolution_is_the_same_everywhere_and_nothing_is_lost_when_it_halves() -> None:
    trace = ReplyTrace(capacity=64)
    for second in range(5000):
        trace.add(1000.0 + second, 5.0 if second < 4000 else 50.0)
    view = trace.view()
    assert 32 <= len(view.times) <= 64
    assert len(set(np.diff(view.times))) == 1
    assert {round(value) for value in view.values} <= {5, 50, *(round(v) for v in view.values if 5 < v < 50)}
    assert sum(5.01 < value < 49.9 for value in view.values) <= 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0.01, 1e6)), min_size=1, max_size=300))
def test_it_is_bounded_and_stays_in_order_whatever_comes(points: list[tuple[float, float]]) -> None:
    trace = ReplyTrace(capacity=16)
    for at, ms in points:
        trace.add(at, ms)
    view = trace.view()
    assert len(view.times) <= 16
    assert list(view.times) == sorted(view.times)
    assert min(view.lows) == min(ms for _, ms in points)
    assert max(view.highs) == max(ms for _, ms in points)


def test_what_is_no_time_is_left_out() -> None:
    trace = ReplyTrace()
    for ms in (0.0, -1.0, math.nan, math.inf):
        trace.add(1.0, ms)
    assert trace.view().times == ()


def test_a_target_keeps_its_newest_replies_whole_and_traces_answers_and_timeouts() -> None:
    log = ReplyLog("t")
    for second in range(KEPT_WHOLE + 10):
        log.add(Reply("t", float(second), float(second), 5.0))
    log.add(Reply("t", 1e6, 1e6, 5000.0, error=ErrorKind.TIMEOUT))
    log.add(Reply("t", 1e6 + 2, 1e6 + 2, 3.0, error=ErrorKind.CONNECT))
    view = log.view(1e6)
    assert len(view.replies) == KEPT_WHOLE
    assert view.replies[-1].error is ErrorKind.CONNECT
    assert view.trace.highs[-1] == 5000.0
    assert log.view(1e6 + 1).replies is view.replies
    assert log.view(1e6 + 1).trace is view.trace
