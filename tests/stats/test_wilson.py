"""The interval of a share against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from infdiag_tui.stats.wilson import wilson


@given(st.integers(1, 5000).flatmap(lambda size: st.tuples(st.integers(0, size), st.just(size))))
def test_it_is_scipy_s(counts: tuple[int, int]) -> None:
    successes, size = counts
    expected = binomtest(successes, size).proportion_ci(0.95, method="wilson")

    assert wilson(successes, size) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "size"), [(0, 0), (2, 1), (-1, 3)])
def test_no_share_has_no_interval(successes: int, size: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson(successes, size)
