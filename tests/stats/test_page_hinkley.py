"""Page-Hinkley finds the moment of a change, and seldom one where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from infdiag_tui.stats.page_hinkley import limit_for, page_hinkley


def errors(random: np.random.Generator, count: int, rate: float) -> np.ndarray[Any, Any]:
    return (random.random(count) < rate).astype(float)


@pytest.mark.parametrize("known", [True, False])
def test_the_moment_of_a_rise_is_found_near_where_it_was_planted(known: bool) -> None:
    random = np.random.default_rng(5)
    limit = limit_for(6_000, 0.3, 0.025, 0.01)
    found_at = []
    for _ in range(40):
        values = np.concatenate([errors(random, 4_000, 0.1), errors(random, 2_000, 0.25)])
        change = page_hinkley(values, slack=0.025, limit=limit, mean=0.1 if known else None)
        assert change is not None
        assert change.began <= change.alarm
        found_at.append(change.began)
    assert abs(np.median(found_at) - 4_000) < 60
    assert sum(abs(at - 4_000) < 300 for at in found_at) >= 36


@pytest.mark.parametrize("known", [True, False])
def test_an_unchanged_sequence_seldom_alarms(known: bool) -> None:
    random = np.random.default_rng(6)
    limit = limit_for(3_000, 0.3, 0.025, 0.01)
    alarms = sum(
        page_hinkley(errors(random, 3_000, 0.1), slack=0.025, limit=limit, mean=0.1 if known else None) is not None
        for _ in range(400)
    )
    # Binomial: with 1 % wanted, 12 or more of 400 come once in a thousand runs.
    assert alarms < 12


def test_a_sequence_that_is_worse_from_its_start_is_found_at_its_start() -> None:
    random = np.random.default_rng(8)
    change = page_hinkley(errors(random, 2_000, 0.4), slack=0.025, limit=limit_for(2_000, 0.3, 0.025, 0.01), mean=0.1)
    assert change is not None
    assert change.began < 20


def test_an_improvement_is_no_alarm() -> None:
    random = np.random.default_rng(9)
    values = np.concatenate([errors(random, 2_000, 0.3), errors(random, 2_000, 0.1)])
    assert page_hinkley(values, slack=0.025, limit=limit_for(4_000, 0.46, 0.025, 0.01), mean=0.3) is None


def test_few_or_no_values_say_nothing() -> None:
    assert page_hinkley(np.empty(0), slack=0.1, limit=1.0) is None
    assert page_hinkley(np.ones(10), slack=0.1, limit=1.0) is None
