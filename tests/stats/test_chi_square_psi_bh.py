"""Chi-square and Benjamini-Hochberg equal scipy's; PSI equals its definition written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from infdiag_tui.stats.benjamini_hochberg import adjust
from infdiag_tui.stats.chi_square import chi_square_test, smallest_detectable_variation
from infdiag_tui.stats.psi import psi, psi_of_counts

COUNTS = st.integers(1, 12).flatmap(
    lambda size: st.tuples(*(st.lists(st.integers(0, 500), min_size=size, max_size=size) for _ in range(2)))
)


@settings(max_examples=200, deadline=None)
@given(COUNTS)
def test_chi_square_equals_scipys(pair: Any) -> None:
    reference, production = (np.array(side) for side in pair)
    found = chi_square_test(reference, production)
    table = np.array([reference, production])
    table = table[:, table.sum(axis=0) > 0]
    if not reference.sum() or not production.sum():
        assert found is None
        return
    assert found is not None
    expected = stats.chi2_contingency(table)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-12, abs=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.degrees == expected.dof
    shares = np.abs(reference / reference.sum() - production / production.sum()).sum() / 2
    assert found.total_variation == pytest.approx(shares)
    assert 2 * found.total_variation <= found.cohen_w + 1e-9


def test_the_smallest_detectable_variation_is_found_in_four_of_five_samples() -> None:
    n, m = 500, 700
    shift = smallest_detectable_variation(n, m, 1, 0.05)
    random = np.random.default_rng(3)
    hits = 0
    for _ in range(300):
        before, now = random.binomial(n, 0.5), random.binomial(m, 0.5 + shift)
        found = chi_square_test(np.array([before, n - before]), np.array([now, m - now]))
        assert found is not None
        hits += found.p_value < 0.05
    # Yates' correction costs a little of the power.
    assert hits / 300 >= 0.74
    assert smallest_detectable_variation(0, 5, 3, 0.05) == 1.0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=40))
def test_adjusted_p_values_equal_scipys_and_leave_out_what_was_not_tested(p_values: list[float | None]) -> None:
    found = adjust(p_values)
    tested = [p for p in p_values if p is not None]
    expected = list(stats.false_discovery_control(tested)) if tested else []
    assert [p is None for p in found] == [p is None for p in p_values]
    assert [p for p in found if p is not None] == pytest.approx(expected, abs=1e-15)


@settings(max_examples=100, deadline=None)
@given(COUNTS)
def test_psi_of_counts_equals_the_sum_written_out(pair: Any) -> None:
    used = [(q, p) for q, p in zip(*pair, strict=True) if q or p]
    before, now = sum(q for q, _ in used), sum(p for _, p in used)
    found = psi_of_counts(np.array(pair[0]), np.array(pair[1]))
    if not before or not now:
        assert found is None
        return
    expected = 0.0
    for q, p in used:
        actual = (p + 0.5) / (now + 0.5 * len(used))
        wanted = (q + 0.5) / (before + 0.5 * len(used))
        expected += (actual - wanted) * math.log(actual / wanted)
    assert found == pytest.approx(expected, abs=1e-12)


def test_psi_of_a_shifted_normal_is_near_its_closed_form() -> None:
    random = np.random.default_rng(1)
    before, now = np.sort(random.normal(size=200_000)), np.sort(random.normal(size=200_000) + 0.5)
    found = psi(before, now, 200)
    # The symmetric divergence of two normals of equal variance is the squared shift.
    assert found == pytest.approx(0.25, rel=0.03)


def test_psi_of_one_distribution_is_small() -> None:
    random = np.random.default_rng(2)
    found = psi(np.sort(random.normal(size=20_000)), np.sort(random.normal(size=20_000)))
    assert found is not None
    assert 0 <= found < 0.01


@pytest.mark.parametrize("moved", [2.0, 4.0])
def test_psi_sees_a_constant_move_up_or_down(moved: float) -> None:
    found = psi(np.full(1_000, 3.0), np.full(1_000, moved))
    assert found is not None
    assert found > 1


def test_psi_sees_zeros_turn_negative() -> None:
    random = np.random.default_rng(4)
    tail = np.abs(random.normal(size=400)) + 0.1
    before = np.sort(np.concatenate([np.zeros(600), tail]))
    now = np.sort(np.concatenate([np.full(600, -1.0), tail]))
    found = psi(before, now)
    assert found is not None
    assert found > 1
    assert psi(before, before) == pytest.approx(0.0, abs=1e-12)


def test_psi_of_an_empty_side_is_unknown_and_of_one_row_finite() -> None:
    assert psi(np.empty(0), np.arange(5.0)) is None
    assert psi(np.arange(5.0), np.empty(0)) is None
    found = psi(np.array([1.0]), np.array([2.0]))
    assert found is not None
    assert math.isfinite(found)
