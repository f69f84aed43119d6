"""Mean shifts with Welch's interval as scipy's, and calibration against what was simulated."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from infdiag_tui.stats.calibration import calibration
from infdiag_tui.stats.means import mean_shift

VALUES = st.lists(st.integers(-1_000, 1_000), min_size=2, max_size=60).map(lambda found: np.array(found) / 8)


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_the_shift_is_the_specifications_and_its_interval_is_welchs(
    historical: np.ndarray[tuple[int], np.dtype[np.float64]], current: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> None:
    found = mean_shift(historical, current)
    assert found is not None
    before, now = historical.mean(), current.mean()
    if found.basis == "historical mean" and found.scale > 1e-6:
        assert found.shift == pytest.approx(abs(now - before) / abs(before))
    if historical.std() + current.std() > 1e-9 and found.scale > 1e-6:
        with warnings.catch_warnings():
            # scipy warns of a constant side.
            warnings.simplefilter("ignore", RuntimeWarning)
            expected = stats.ttest_ind(current, historical, equal_var=False).confidence_interval()
        assert found.low == pytest.approx(expected.low / found.scale, rel=1e-6, abs=1e-6)
        assert found.high == pytest.approx(expected.high / found.scale, rel=1e-6, abs=1e-6)


def test_a_mean_of_nearly_zero_does_not_make_a_trifle_a_thousand_percent() -> None:
    random = np.random.default_rng(1)
    found = mean_shift(random.normal(0, 1, 10_000), random.normal(0.01, 1, 10_000))
    assert found is not None
    assert found.shift is not None
    assert found.shift < 0.05
    assert "standard deviation" in found.basis


def test_zeros_constants_one_row_and_none() -> None:
    zeros, threes = np.zeros(5), np.full(5, 0.3)
    same, moved, from_zero = mean_shift(threes, threes), mean_shift(threes, threes * 2), mean_shift(zeros, threes)
    assert same is not None
    assert moved is not None
    assert from_zero is not None
    assert same.shift == 0.0
    assert moved.shift == pytest.approx(1.0)
    assert moved.beyond_chance
    assert from_zero.shift is None
    single = mean_shift(np.array([2.0]), np.array([3.0]))
    assert single is not None
    assert (single.shift, single.low) == (0.5, None)
    assert mean_shift(np.empty(0), threes) is None


@pytest.mark.parametrize("factor", [1.0, 0.8, 0.5])
def test_the_calibration_error_is_what_was_planted(factor: float) -> None:
    random = np.random.default_rng(2)
    p = random.random(100_000)
    y = (random.random(100_000) < p * factor).astype(float)
    found = calibration(p, y)
    assert found is not None
    assert found.error == pytest.approx((1 - factor) / 2, abs=0.01)
    assert found.brier == pytest.approx(np.mean((p - y) ** 2))
    assert sum(one.rows for one in found.bins) == 100_000
    assert (found.p_value < 1e-6) is (factor < 1)


def test_right_probabilities_are_seldom_called_wrong() -> None:
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(400):
        p = random.beta(1, 4, 200)
        found = calibration(p, (random.random(200) < p).astype(float))
        assert found is not None
        alarms += found.p_value < 0.05
    # At most 5 % are wanted: 34 of 400 come less than once in a thousand runs.
    assert alarms < 34


def test_certain_predictions_that_hold_and_that_do_not() -> None:
    right = calibration(np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    wrong = calibration(np.array([1.0, 1.0]), np.array([0.0, 1.0]))
    assert right is not None
    assert wrong is not None
    assert (right.error, right.p_value) == (0.0, 1.0)
    assert wrong.p_value == 0.0
    assert calibration(np.empty(0), np.empty(0)) is None
