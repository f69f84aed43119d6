"""The moment at which latency rose: found, dated, and never made up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.findings.latency_change import rise
from infdiag_tui.model import Verdict
from tests.findings.scenes import BAD, NOW, noisy, of, one, replies, scene, verdict

ID = "latency.change"


def test_a_step_up_is_found_and_dated() -> None:
    evidence = one(scene(replies=replies(noisy(20, 120) + noisy(60, 20, seed=2))), ID)
    assert evidence.verdict is Verdict.FAIL
    assert evidence.value == pytest.approx(3, rel=0.2)
    assert evidence.since == pytest.approx(NOW - 20, abs=2)
    assert "since" in evidence.statement


@pytest.mark.parametrize(
    ("ratio", "expected"), [(1.2, Verdict.OK), (1.7, Verdict.WARN), (2.5, Verdict.FAIL), (0.4, Verdict.OK)]
)
def test_either_side_of_its_thresholds(ratio: float, expected: Verdict) -> None:
    totals = noisy(100, 120, spread=0.1) + noisy(100 * ratio, 40, seed=2, spread=0.1)
    assert verdict(scene(replies=replies(totals)), ID) is expected


def test_a_rise_that_hurts_nobody_is_none() -> None:
    assert verdict(scene(replies=replies(noisy(0.5, 100) + noisy(2.0, 40))), ID) is Verdict.OK


def test_too_little_data_says_nothing() -> None:
    assert of(scene(replies=replies(noisy(20, 20) + noisy(90, 9))), ID) == []


def test_a_few_slow_replies_at_the_end_are_no_change_yet() -> None:
    assert verdict(scene(replies=replies(noisy(20, 120) + [200.0] * 3)), ID) is Verdict.OK


def test_what_is_over_is_over() -> None:
    totals = noisy(20, 100) + noisy(90, 40, seed=2) + noisy(20, 100, seed=3)
    assert verdict(scene(replies=replies(totals)), ID) is Verdict.OK


def test_of_two_steps_the_first_dates_the_incident() -> None:
    totals = noisy(20, 150) + noisy(45, 60, seed=2) + noisy(200, 60, seed=3)
    evidence = one(scene(replies=replies(totals)), ID)
    assert evidence.verdict is Verdict.FAIL
    assert evidence.since == pytest.approx(NOW - 120, abs=6)


def test_a_probe_that_was_silent_for_minutes_says_nothing_of_now() -> None:
    snapshot = scene(replies=replies(noisy(20, 120) + noisy(90, 40)))
    assert of(dataclasses.replace(snapshot, at=NOW + 300), ID) == []


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 1e5), st.integers(1, 400))
def test_a_constant_series_never_fires(ms: float, count: int) -> None:
    assert rise((ms,) * count) is None
    assert all(found.verdict not in BAD for found in of(scene(replies=replies([ms] * min(count, 90))), ID))


def test_noise_fires_no_more_often_than_it_claims() -> None:
    rng = np.random.default_rng(7)
    fired = sum(rise(tuple(rng.lognormal(3, 0.6, rng.integers(40, 500)).tolist())) is not None for _ in range(1000))
    assert fired <= 3  # each is claimed to be rarer than one in a thousand, before the ratio is asked for


@settings(max_examples=30, deadline=None)
@given(st.floats(0.5, 50.0), st.integers(0, 1000))
def test_the_moment_does_not_depend_on_the_scale(factor: float, seed: int) -> None:
    values = np.array(noisy(200, 100, seed=seed) + noisy(700, 30, seed=seed + 1))
    plain, scaled = rise(tuple(values.tolist())), rise(tuple((values * factor).tolist()))
    assert plain is not None
    assert scaled is not None
    assert scaled.index == plain.index
    assert scaled.ratio == pytest.approx(plain.ratio)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_same_replies_in_another_order_are_no_change(seed: int) -> None:
    values = noisy(20, 100) + noisy(60, 100, seed=2)
    assert rise(tuple(np.random.default_rng(seed).permutation(values).tolist())) is None
