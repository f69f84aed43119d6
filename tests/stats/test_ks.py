"""The KS test equals scipy's on whatever data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from infdiag_tui.stats.ks import ks_test, smallest_detectable_d

TIED = st.lists(st.integers(-5, 5), min_size=1, max_size=80).map(lambda values: np.array(values, dtype=float))
WIDE = hnp.arrays(
    np.float64, st.integers(1, 80), elements=st.floats(allow_nan=False, allow_infinity=True, allow_subnormal=False)
)
WHOLE = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=50).map(lambda values: np.array(values, np.int64))


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.tuples(TIED, TIED), st.tuples(WIDE, WIDE), st.tuples(WHOLE, WHOLE), st.tuples(TIED, WIDE)))
def test_statistic_and_p_value_equal_scipys_exact_test(pair: Any) -> None:
    first, second = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = stats.ks_2samp(first, second)
    found = ks_test(np.sort(first), np.sort(second))
    assert found is not None
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("n", "m"), [(10_001, 9_000), (30_000, 30_000), (20_000, 1), (12_000, 500)])
@pytest.mark.parametrize("shift", [0.0, 0.02, 0.4])
@pytest.mark.parametrize("decimals", [15, 1])
def test_large_samples_equal_scipys_asymptotic_test(n: int, m: int, shift: float, decimals: int) -> None:
    random = np.random.default_rng(n + m)
    first = np.sort(random.normal(size=n).round(decimals))
    second = np.sort((random.normal(size=m) + shift).round(decimals))
    expected = stats.ks_2samp(first, second)
    found = ks_test(first, second)
    assert found is not None
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-300)


def test_the_place_of_the_greatest_difference_is_told() -> None:
    found = ks_test(np.arange(100.0), np.arange(50.0, 150.0))
    assert found is not None
    assert found.statistic == pytest.approx(0.5)
    assert 49 <= found.at <= 99


def test_an_empty_side_has_no_test() -> None:
    assert ks_test(np.empty(0), np.arange(3.0)) is None
    assert ks_test(np.arange(3.0), np.empty(0)) is None


def test_equal_constants_do_not_differ_and_other_constants_do() -> None:
    same = ks_test(np.full(50, 3.0), np.full(40, 3.0))
    other = ks_test(np.full(50, 3.0), np.full(40, 4.0))
    assert same is not None
    assert other is not None
    assert (same.statistic, same.p_value) == (0.0, 1.0)
    assert other.statistic == 1.0


def test_the_smallest_detectable_shift_is_found_in_four_of_five_samples() -> None:
    n, m = 400, 300
    d = smallest_detectable_d(n, m, 0.05)
    # A uniform shifted by d has exactly this KS distance.
    random = np.random.default_rng(7)
    hits = 0
    for _ in range(300):
        found = ks_test(np.sort(random.random(n)), np.sort(random.random(m) + d))
        assert found is not None
        hits += found.p_value < 0.05
    assert hits / 300 >= 0.78


def test_the_smallest_detectable_shift_shrinks_with_the_rows_and_is_one_without_any() -> None:
    assert smallest_detectable_d(10**6, 10**6, 0.05) < 0.003
    assert smallest_detectable_d(100, 100, 0.05) > 0.2
    assert smallest_detectable_d(0, 100, 0.05) == 1.0
    assert smallest_detectable_d(2, 2, 0.05) == 1.0
