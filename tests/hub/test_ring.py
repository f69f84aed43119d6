"""The series ring: exact while new, thinned while old, extremes kept."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.hub.ring import SeriesRing

finite = st.floats(-1e12, 1e12, allow_nan=False)


def test_few_samples_are_kept_as_they_came() -> None:
    ring = SeriesRing(8)
    for at in range(5):
        ring.append(float(at), at * 10.0)
    view = ring.view()
    assert view.times == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert view.values == view.lows == view.highs == (0.0, 10.0, 20.0, 30.0, 40.0)
    assert ring.last == 40.0


@given(st.lists(finite, min_size=1, max_size=400), st.integers(4, 64))
def test_any_number_of_samples_is_bounded_and_loses_neither_extremes_nor_mean(
    values: list[float],
    capacity: int,
) -> None:
    ring = SeriesRing(capacity)
    for at, value in enumerate(values):
        assert ring.append(float(at), value)
    view = ring.view()
    assert len(view.times) <= capacity
    assert ring.samples == len(values)
    assert min(view.lows) == min(values)
    assert max(view.highs) == max(values)
    assert list(view.times) == sorted(view.times)
    assert view.times[-1] == len(values) - 1
    assert view.values[-1] == values[-1]
    for low, mean, high in zip(view.lows, view.values, view.highs, strict=True):
        slack = 1e-9 * max(abs(low), abs(high), 1.0)
        assert low - slack <= mean <= high + slack


def test_the_newest_half_is_never_thinned() -> None:
    ring = SeriesRing(64)
    for at in range(1000):
        ring.append(float(at), float(at))
    newest = ring.view().times[-32:]
    assert newest == tuple(float(at) for at in range(1000 - 32, 1000))


def test_what_is_not_finite_or_runs_backwards_is_counted_and_left_out() -> None:
    ring = SeriesRing(8)
    ring.append(10.0, 1.0)
    assert not ring.append(11.0, math.nan)
    assert not ring.append(11.0, math.inf)
    assert not ring.append(9.0, 5.0)
    assert ring.rejected == 3
    assert ring.view().values == (1.0,)


def test_the_view_is_the_same_object_until_a_sample_comes() -> None:
    ring = SeriesRing(8)
    ring.append(1.0, 1.0)
    first = ring.view()
    assert ring.view() is first
    ring.append(2.0, 1.0)
    assert ring.view() is not first


def test_since_returns_the_points_from_a_moment_on() -> None:
    ring = SeriesRing(8)
    for at in range(5):
        ring.append(float(at), at * 2.0)
    times, values = ring.since(3.0)
    assert times.tolist() == [3.0, 4.0]
    assert values.tolist() == [6.0, 8.0]


def test_a_ring_too_small_to_thin_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4"):
        SeriesRing(3)


@given(
    st.lists(st.tuples(st.floats(-50, 50) | st.just(math.nan), finite | st.just(math.inf)), max_size=300),
    st.integers(0, 100),
    st.integers(4, 64),
)
def test_history_stands_before_what_is_live_in_order_and_within_half_of_the_room(
    points: list[tuple[float, float]], live: int, capacity: int
) -> None:
    ring = SeriesRing(capacity)
    for at in range(live):
        ring.append(float(at), 1.0)
    before = ring.view()
    ring.prepend([at for at, _ in points], [value for _, value in points], "Prometheus")
    view = ring.view()
    assert len(view.times) <= capacity
    assert list(view.times) == sorted(set(view.times))
    assert ring.samples == live  # history is no sample of this incident
    if view.history_until is None:
        assert view == before
        return
    history = [at for at in view.times if at <= view.history_until]
    assert 0 < len(history) <= capacity // 2 + 1
    assert view.history_source == "Prometheus"
    assert all(math.isfinite(value) for value in view.values)
    if live:
        assert view.times[-1] == before.times[-1]
        assert view.live
    else:
        assert not view.live
        ring.append(view.times[-1] + 1, 5.0)
        assert ring.view().live


def test_history_that_comes_twice_is_there_once() -> None:
    ring = SeriesRing()
    ring.append(100.0, 7.0)
    assert ring.prepend((70.0, 80.0, 90.0, 100.0, 110.0), (1.0, 2.0, 3.0, 4.0, 5.0), "Prometheus") == 3
    assert ring.prepend((75.0, 85.0, 95.0), (9.0, 9.0, 9.0), "Prometheus") == 0
    assert ring.view().times == (70.0, 80.0, 90.0, 100.0)
    assert ring.view().values == (1.0, 2.0, 3.0, 7.0)
    assert ring.view().history_until == 90.0
    with pytest.raises(ValueError, match="no points of one series"):
        ring.prepend((1.0,), (1.0, 2.0), "Prometheus")
