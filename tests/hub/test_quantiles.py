"""Quantiles against NumPy, their intervals against SciPy and against simulation, censoring against brute force."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from infdiag_tui.hub.quantiles import interpolated, quantile, rank_interval

LATENCIES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=400)


def test_of_a_few_replies_even_the_largest_is_a_lower_bound_of_the_p99() -> None:
    found = quantile(np.asarray([1.0, 2.0]), 0.99)

    assert found is not None
    assert (found.low_ms, found.high_ms) == (2.0, None)
    assert found.value_ms == pytest.approx(1.99)


@pytest.mark.parametrize("q", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_rank_intervals_are_those_of_the_exact_binomial(q: float) -> None:
    risk = (1 - 0.95) / 2
    for size in [*range(1, 500), 1_000, 9_999, 100_000]:
        cdf = stats.binom.cdf(np.arange(size + 1), size, q)
        low, high = int((cdf <= risk).sum()), int((cdf < 1 - risk).sum()) + 1

        assert rank_interval(size, q) == (low or None, high if high <= size else None), size


def test_a_p99_has_no_upper_bound_below_368_replies() -> None:
    assert rank_interval(100, 0.99).high is None
    assert rank_interval(367, 0.99).high is None
    assert rank_interval(368, 0.99).high == 368


@pytest.mark.parametrize(("size", "q"), [(30, 0.5), (400, 0.99), (200, 0.95)])
def test_the_interval_covers_the_true_quantile_at_least_as_often_as_it_says(size: int, q: float) -> None:
    samples = np.sort(np.random.default_rng(7).lognormal(3, 1, (4_000, size)), axis=1)
    truth = math.exp(3 + stats.norm.ppf(q))
    low, high = rank_interval(size, q)
    assert low is not None
    assert high is not None

    covered = np.mean((samples[:, low - 1] <= truth) & (truth < samples[:, high - 1]))

    # Three standard errors of 4,000 draws below the promised 95 %.
    assert covered > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 4_000)


@settings(deadline=None)  # a loaded machine is no failure
@given(LATENCIES, st.floats(0, 1))
def test_values_are_numpys(values: list[float], q: float) -> None:
    assert interpolated(np.sort(values), q) == pytest.approx(float(np.quantile(values, q)), rel=1e-12)


@settings(deadline=None)  # a loaded machine is no failure
@given(LATENCIES, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_figure_lies_within_its_interval(values: list[float], q: float) -> None:
    found = quantile(np.sort(values), q)

    assert found is not None
    assert not found.censored
    if found.is_figure:
        assert found.low_ms is not None
        assert found.high_ms is not None
        assert found.low_ms * (1 - 1e-12) <= found.value_ms <= found.high_ms * (1 + 1e-12)


def test_a_p99_of_fewer_than_a_hundred_replies_is_never_a_figure() -> None:
    for size in range(1, 100):
        found = quantile(np.arange(size, dtype=float), 0.99)
        assert found is not None
        assert not found.is_figure


def test_an_empty_sample_has_no_quantile() -> None:
    assert quantile(np.empty(0), 0.5) is None
    with pytest.raises(ValueError, match="empty"):
        interpolated(np.empty(0), 0.5)


@pytest.mark.parametrize("q", [0.0, 1.0, -1.0, math.nan])
def test_a_senseless_probability_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        rank_interval(10, q)


@settings(deadline=None)  # a loaded machine is no failure
@given(
    st.lists(st.floats(1, 5_000), min_size=1, max_size=150),
    st.lists(st.floats(100, 5_000), min_size=1, max_size=150),
    st.sampled_from([0.5, 0.95, 0.99]),
    st.integers(0, 2**32 - 1),
)
def test_what_is_told_of_a_sample_with_timeouts_holds_for_any_true_latencies(
    answered: list[float],
    limits: list[float],
    q: float,
    seed: int,
) -> None:
    found = quantile(np.sort(answered + limits), q, min(limits))
    assert found is not None
    rng = np.random.default_rng(seed)
    truths = [np.sort([*answered, *(np.asarray(limits) * rng.uniform(1, 50, len(limits)))]) for _ in range(10)]
    ranks = rank_interval(len(answered) + len(limits), q)

    for truth in truths:
        value = interpolated(truth, q)
        assert value >= found.value_ms * (1 - 1e-12)
        if not found.censored:
            assert value == pytest.approx(found.value_ms)
        if found.high_ms is not None and ranks.high is not None:
            assert truth[ranks.high - 1] == pytest.approx(found.high_ms)
        if found.low_ms is not None and ranks.low is not None:
            assert truth[ranks.low - 1] >= found.low_ms


def test_a_quantile_among_timeouts_is_censored_and_unbounded() -> None:
    sample = np.concatenate((np.full(900, 10.0), np.full(100, 5_000.0)))

    p50, p95 = quantile(sample, 0.5, 5_000.0), quantile(sample, 0.95, 5_000.0)

    assert p50 is not None
    assert p50.is_figure
    assert p95 is not None
    assert p95.censored
    assert p95.high_ms is None


def test_scipy_is_not_needed() -> None:
    code = "import sys, infdiag_tui.hub.replies; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
