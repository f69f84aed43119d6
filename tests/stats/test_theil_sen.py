from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from infdiag_tui.stats.theil_sen import MAX_POINTS, theil_sen

VALUES = st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6).map(lambda v: round(v, 3)))
POINTS = st.lists(st.tuples(VALUES, VALUES), min_size=2, max_size=60)


@given(POINTS, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_it_equals_scipys_with_ties_and_constants(points: list[tuple[float, float]], confidence: float) -> None:
    x, y = zip(*points, strict=True)
    found = theil_sen(x, y, confidence=confidence)
    if len(set(x)) == 1:
        assert found is None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stats.theilslopes(y, x, confidence)
    assert found is not None
    assert found.slope == pytest.approx(expected.slope, rel=1e-12, abs=1e-12)
    assert found.intercept == pytest.approx(expected.intercept, rel=1e-9, abs=1e-9)
    assert found.low == pytest.approx(expected.low_slope, rel=1e-12, abs=1e-12, nan_ok=True)
    assert found.high == pytest.approx(expected.high_slope, rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0]), ([0.0, 1.0], [1.0, math.nan])]
)
def test_without_two_places_there_is_no_slope(x: list[float], y: list[float]) -> None:
    assert theil_sen(x, y) is None


def test_points_must_pair_and_confidence_be_a_share() -> None:
    with pytest.raises(ValueError, match="2 x for 1 y"):
        theil_sen([1, 2], [1])
    with pytest.raises(ValueError, match="confidence"):
        theil_sen([1, 2], [1, 2], confidence=95)


def test_outliers_do_not_move_it() -> None:
    x = [float(i) for i in range(30)]
    y = [2 * i + 1 if i % 5 else 1e9 for i in x]
    found = theil_sen(x, y)
    assert found is not None
    assert found.slope == pytest.approx(2)


def test_more_points_than_pairs_fit_in_memory_are_thinned() -> None:
    x = np.arange(20_000.0)
    found = theil_sen(x.tolist(), (3 * x).tolist())
    assert found is not None
    assert found.n == MAX_POINTS
    assert found.slope == pytest.approx(3)
