"""When slow replies come: at intervals, after starts, or just so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from infdiag_tui.model import ErrorKind, ProcessState, Verdict
from tests.findings.scenes import NOW, failed, in_order, noisy, of, one, replies, scene, series, verdict

PERIODIC, AFTER = "latency.spikes_periodic", "latency.after_start"


def spiked(period_s: float, *, seconds: int = 300, ms: float = 300.0, seed: int = 1) -> list[float]:
    """One reply a second, slow whenever one of the pauses, `period_s` apart, falls on it."""
    totals = noisy(20, seconds, seed=seed)
    for beat in np.arange(7.0, seconds, period_s):
        totals[int(beat)] = ms
    return totals


def test_pauses_at_regular_intervals_are_found() -> None:
    evidence = one(scene(replies=replies(spiked(15.0))), PERIODIC)
    assert evidence.verdict is Verdict.WARN
    assert evidence.value == pytest.approx(15.0, rel=0.02)


def test_slow_replies_at_random_are_not_regular() -> None:
    totals = noisy(20, 300)
    for place in np.random.default_rng(3).choice(300, 20, replace=False):
        totals[int(place)] = 300.0
    evidence = one(scene(replies=replies(totals)), PERIODIC)
    assert (evidence.verdict, evidence.value) == (Verdict.OK, None)


def test_random_slow_replies_seem_regular_no_more_often_than_claimed() -> None:
    rng = np.random.default_rng(11)
    fired = 0
    for _ in range(150):
        totals = [20.0] * 300
        for place in rng.choice(300, 14, replace=False):
            totals[int(place)] = 300.0
        fired += verdict(scene(replies=replies(totals)), PERIODIC) is Verdict.WARN
    assert fired <= 6  # 1.5 expected at most


def test_a_slow_replica_among_three_that_take_turns_is_no_rhythm() -> None:
    assert verdict(scene(replies=replies([20.0, 20.0, 200.0] * 100)), PERIODIC) is not Verdict.WARN
    assert verdict(scene(replies=replies([20.0, 20.0, 20.0, 20.0, 200.0] * 60)), PERIODIC) is not Verdict.WARN


def test_hardly_any_spikes_are_well_and_a_few_unclear() -> None:
    assert verdict(scene(replies=replies([20.0] * 200)), PERIODIC) is Verdict.OK
    few = [20.0] * 200
    few[10] = few[60] = few[111] = few[190] = 500.0
    assert verdict(scene(replies=replies(few)), PERIODIC) is Verdict.UNKNOWN


def test_too_few_replies_say_nothing_of_a_rhythm() -> None:
    assert of(scene(replies=replies(spiked(10.0, seconds=50))), PERIODIC) == []


def starts(*ages_s: float) -> dict[tuple[str, str], object]:
    """A pod for each start, ready since so many seconds."""
    return {("pod.ready", f"ml/p{n}"): series([0.0, 1.0], every_s=3.0, end=NOW - age) for n, age in enumerate(ages_s)}


def with_cold(ages_s: tuple[float, ...], slow_for_s: int, *, seconds: int = 240, ms: float = 2500.0) -> list[float]:
    totals = noisy(20, seconds)
    for age in ages_s:
        for second in range(slow_for_s):
            totals[seconds - int(age) + second] = ms
    return totals


def test_slow_replies_right_after_starts_and_hardly_otherwise() -> None:
    ages = (200.0, 150.0, 60.0)
    evidence = one(scene(starts(*ages), replies(with_cold(ages, 3))), AFTER)  # type: ignore[arg-type]
    assert evidence.verdict is Verdict.FAIL
    assert evidence.since == pytest.approx(NOW - 200)
    assert isinstance(evidence.value, float)
    assert evidence.value > 50


def test_starts_of_pods_that_have_left_count_and_so_do_timeouts() -> None:
    cold = in_order(
        replies(noisy(20, 240)), failed(4, ErrorKind.TIMEOUT, end=NOW - 98), failed(4, ErrorKind.TIMEOUT, end=NOW - 38)
    )
    timed_out = [one if one.ok else dataclasses.replace(one, total_ms=5000.0) for one in cold]
    assert verdict(scene(starts(102.0, 42.0), timed_out), AFTER) is Verdict.FAIL  # type: ignore[arg-type]


def test_starts_without_slow_replies_are_well() -> None:
    assert verdict(scene(starts(150.0, 60.0), replies(noisy(20, 240))), AFTER) is Verdict.OK  # type: ignore[arg-type]


def test_replies_that_stay_slow_are_no_matter_of_the_start() -> None:
    totals = noisy(20, 120) + noisy(300, 120, seed=4)
    found = verdict(scene(starts(120.0), replies(totals)), AFTER)  # type: ignore[arg-type]
    assert found is not Verdict.WARN
    assert found is not Verdict.FAIL


def test_without_a_start_in_sight_there_is_nothing_to_say() -> None:
    assert of(scene(replies=replies(with_cold((100.0,), 5))), AFTER) == []
    assert of(scene(starts(900.0), replies(noisy(20, 200))), AFTER) == []  # type: ignore[arg-type]


def test_a_process_that_was_replaced_is_a_start() -> None:
    process = ProcessState(NOW, "port 8000", 7, running=True, started_at=NOW - 63.0, restarts=1)
    away = in_order(replies(noisy(20, 180, seed=2), end=NOW - 65), replies(with_cold((59.0,), 5, seconds=60)))
    assert verdict(scene(replies=away, processes=(process,)), AFTER) is Verdict.FAIL


def test_chance_makes_starts_guilty_no_more_often_than_claimed() -> None:
    rng = np.random.default_rng(5)
    fired = 0
    for _ in range(300):
        totals = [20.0] * 240
        for place in rng.choice(240, 12, replace=False):
            totals[int(place)] = 400.0
        ages = tuple(rng.uniform(20, 220, 3))
        fired += verdict(scene(starts(*ages), replies(totals)), AFTER) is Verdict.FAIL  # type: ignore[arg-type]
    assert fired <= 4  # 1.5 expected at most
