"""Mann-Kendall, Fisher and Rayleigh against SciPy, and their false alarms on noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from infdiag_tui.stats.fisher import fisher_greater
from infdiag_tui.stats.mann_kendall import mann_kendall
from infdiag_tui.stats.rhythm import rhythm


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9).map(float), min_size=3, max_size=40))
def test_mann_kendalls_score_is_kendalls_without_its_division(values: list[float]) -> None:
    score, p = mann_kendall(values)
    pairs = sum(
        (values[j] > values[i]) - (values[j] < values[i]) for i in range(len(values)) for j in range(i + 1, len(values))
    )
    assert score == pairs
    assert 0 <= p <= 1


def test_mann_kendalls_p_is_scipys_up_to_the_continuity_correction() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, 60) + np.arange(60) * 0.02
    score, p = mann_kendall(values.tolist())
    reference = stats.kendalltau(np.arange(60), values, method="asymptotic").pvalue
    sd = math.sqrt(60 * 59 * 125 / 18)
    uncorrected = math.erfc(abs(score) / sd / math.sqrt(2))
    assert uncorrected == pytest.approx(reference, rel=1e-6)
    assert p >= uncorrected


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(0, 50))
def test_a_constant_series_has_no_trend(value: float, size: int) -> None:
    assert mann_kendall([value] * size) == (0, 1.0)


def test_noise_trends_no_more_often_than_it_claims() -> None:
    rng = np.random.default_rng(4)
    assert sum(mann_kendall(rng.normal(0, 1, 20).tolist())[1] <= 0.01 for _ in range(1000)) <= 18


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_fishers_p_is_scipys(a: int, b: int, c: int, d: int) -> None:
    expected = stats.fisher_exact([[a, b], [c, d]], alternative="greater").pvalue
    assert fisher_greater(a, a + b, c, c + d) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_fisher_refuses_more_hits_than_members() -> None:
    with pytest.raises(ValueError, match="no counts"):
        fisher_greater(3, 2, 0, 1)


def test_a_rhythm_is_found_though_most_of_its_beats_are_missed() -> None:
    rng = np.random.default_rng(5)
    beats = np.arange(60) * 10.0 + rng.normal(0, 0.3, 60)
    found = rhythm(beats[rng.random(60) < 0.4].tolist(), shortest=4, longest=100)
    assert found is not None
    assert found.period == pytest.approx(10.0, rel=0.01)
    assert found.p < 1e-3


def test_events_at_random_have_no_rhythm_more_often_than_it_claims() -> None:
    rng = np.random.default_rng(6)
    found = [rhythm(np.sort(rng.choice(300, 14, replace=False)).tolist(), shortest=6, longest=75) for _ in range(400)]
    assert sum(one is not None and one.p <= 0.01 for one in found) <= 10


@settings(max_examples=60, deadline=None)
@given(st.floats(0.1, 10.0))
def test_a_rhythm_scales_with_its_unit(factor: float) -> None:
    times = [0.0, 10.1, 19.9, 30.2, 40.0, 60.1, 69.9, 80.0]
    one = rhythm(times, shortest=4, longest=20)
    other = rhythm([time * factor for time in times], shortest=4 * factor, longest=20 * factor)
    assert one is not None
    assert other is not None
    assert other.period == pytest.approx(one.period * factor, rel=0.01)
    assert other.p == pytest.approx(one.p, rel=0.2)


def test_without_three_events_or_a_span_there_is_nothing_to_say() -> None:
    assert rhythm([1.0, 2.0], shortest=1, longest=2) is None
    assert rhythm([1.0, 1.0, 1.0], shortest=1, longest=2) is None
    with pytest.raises(ValueError, match="no periods"):
        rhythm([1.0, 2.0, 3.0], shortest=2, longest=1)
