"""The change-point test: exact where another library says so, silent on noise, blind to scale."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from infdiag_tui.stats.change_point import change_point

VALUES = st.lists(st.one_of(st.integers(0, 4).map(float), st.floats(0.001, 1e6)), min_size=12, max_size=80)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_its_score_is_that_of_wilcoxons_test_at_the_best_split(values: list[float]) -> None:
    found = change_point(values, least_before=3, least_after=3)
    if len(set(values)) == 1:
        assert found is None
        return
    tests = [
        stats.mannwhitneyu(values[:t], values[t:], method="asymptotic", use_continuity=False).pvalue
        for t in range(3, len(values) - 2)
    ]
    assert found is not None
    assert found.p == pytest.approx(min(1.0, len(tests) * min(tests)), rel=1e-9, abs=1e-300)
    assert tests[found.index - 3] == pytest.approx(min(tests), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.floats(0.01, 100.0))
def test_the_split_does_not_depend_on_the_unit(values: list[float], factor: float) -> None:
    one = change_point(values, least_before=3, least_after=3)
    other = change_point([value * factor for value in values], least_before=3, least_after=3)
    if one is None:
        return
    # Rounding may make two values equal that were not.
    if len({value * factor for value in values}) == len(set(values)):
        assert other is not None
        assert other.index == one.index
        assert other.p == pytest.approx(one.p)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e9, 1e9), st.integers(0, 100))
def test_a_constant_series_has_no_change(value: float, size: int) -> None:
    assert change_point([value] * size, least_before=3, least_after=3) is None


def test_noise_changes_no_more_often_than_it_claims() -> None:
    rng = np.random.default_rng(20_260_131)
    found = [
        change_point(rng.lognormal(0, 0.5, rng.integers(30, 300)), least_before=15, least_after=6) for _ in range(600)
    ]
    assert sum(one is not None and one.p <= 0.01 for one in found) <= 12  # 6 expected at most, and 2.4 sd above


def test_a_step_is_found_where_it_is_with_the_levels_on_both_sides() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate((rng.normal(10, 1, 60), rng.normal(30, 1, 12)))
    found = change_point(values, least_before=15, least_after=6)
    assert found is not None
    assert found.index == 60
    assert found.p < 1e-4
    assert found.before == pytest.approx(10, abs=0.5)
    assert found.after == pytest.approx(30, abs=1)
    assert found.before_high < found.after_low
    assert found.ratio == pytest.approx(3, rel=0.1)


def test_too_few_values_are_not_split_and_a_side_cannot_be_empty() -> None:
    assert change_point([1.0, 2.0] * 10, least_before=15, least_after=6) is None
    with pytest.raises(ValueError, match="each side"):
        change_point([1.0, 2.0], least_before=0, least_after=1)


def test_the_ratio_after_zero() -> None:
    found = change_point([0.0] * 20 + [5.0] * 20, least_before=5, least_after=5)
    assert found is not None
    assert found.ratio == math.inf
