"""Memory over time: leaks told from warm-up, sawtooth and breath, each run of a process by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import Evidence, HostState, Pod, ProcessState, SeriesView, Snapshot, Verdict
from tests.findings.scenes import BAD, MIB, NOW, of, one, pod, scene, series, verdict

SLOPE, STEP = "pods.memory_slope", "pods.memory_step"


def memory(
    mib: Sequence[float] | np.ndarray,
    *,
    every_s: float = 15.0,
    ready: SeriesView | None = None,
    restarts: SeriesView | None = None,
    of_pod: Pod | None = None,
) -> Snapshot:
    told: dict[tuple[str, str], SeriesView] = {
        ("pod.memory_bytes", "prod/m-1"): series([value * MIB for value in mib], every_s=every_s),
        ("pod.ready", "prod/m-1"): ready or series([1.0], end=NOW - 7000),
    }
    if restarts is not None:
        told["pod.restarts", "prod/m-1"] = restarts
    return scene(told, pods=(of_pod or pod(),))


def slope(snapshot: Snapshot) -> Evidence:
    return one(snapshot, SLOPE)


def jitter(size: int, spread: float = 0.3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, size)


def test_a_leak_fails_where_it_reaches_the_limit_within_a_day() -> None:
    evidence = slope(memory(200 + np.arange(40) * 2 + jitter(40)))
    assert evidence.verdict is Verdict.FAIL
    assert evidence.value == pytest.approx(8.0, rel=0.1)
    assert evidence.low is not None
    assert evidence.low > 0
    assert "reaches its limit in" in evidence.statement


def test_a_leak_without_a_limit_or_of_little_only_warns_and_a_trifle_is_unclear() -> None:
    boundless = dataclasses.replace(pod().containers[0], memory_limit_bytes=None)
    assert slope(memory(200 + np.arange(40) * 2.0, of_pod=pod(containers=(boundless,)))).verdict is Verdict.WARN
    assert slope(memory(600 + np.arange(40) * 0.5 + jitter(40))).verdict is Verdict.WARN
    assert slope(memory(600 + np.arange(40) * 0.2 + jitter(40, 0.1))).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "mib",
    [
        [300.0] * 40,
        (300 + jitter(40, 3)).tolist(),
        (300 + 60 * (1 - np.exp(-np.arange(60) / 6))).tolist(),
        [200 + 10 * (n % 8) for n in range(48)],
        (400 - np.arange(40) * 2.0).tolist(),
    ],
    ids=["constant", "noise", "warm-up", "sawtooth", "falling"],
)
def test_what_is_no_leak(mib: list[float]) -> None:
    assert slope(memory(mib)).verdict is Verdict.OK


def test_too_few_readings_say_nothing() -> None:
    assert of(memory([300 + n for n in range(5)]), SLOPE) == []
    assert of(memory([300.0] * 11), SLOPE) == []


def test_six_readings_do_where_each_is_much_higher_than_the_last() -> None:
    evidence = slope(memory([100, 115, 131, 146, 160, 176], every_s=5))
    assert (evidence.verdict, evidence.sample_size) == (Verdict.FAIL, 6)
    assert of(memory([100, 115, 131, 130, 160, 176], every_s=5), SLOPE) == []
    assert of(memory([100, 101, 102, 103, 104, 160], every_s=5), SLOPE) == []
    assert of(memory([100, 140, 160, 166, 168, 169], every_s=5), SLOPE) == []


def test_runs_that_end_at_the_limit_are_a_leak_and_no_sawtooth() -> None:
    run = [100, 250, 400, 550, 700, 850, 1000]
    restarts = series([0, 1, 2], every_s=7 * 15.0, end=NOW - 6 * 15 - 8)
    ready = series([1, 0, 1, 0, 1], every_s=7 * 7.5, end=NOW - 6 * 15 - 6)
    of_pod = pod(containers=(dataclasses.replace(pod().containers[0], started_at=None),))
    evidence = slope(memory([*run, *run, *run], restarts=restarts, ready=ready, of_pod=of_pod))
    assert evidence.verdict is Verdict.FAIL


def test_a_container_that_dies_while_it_loads_does_not_leak() -> None:
    run = [100, 250, 400, 550, 700, 850, 1000]
    restarts = series([0, 1, 2], every_s=7 * 15.0, end=NOW - 6 * 15 - 8)
    never = series([0.0], end=NOW - 400)
    of_pod = pod(ready=False, ready_at=None, containers=(dataclasses.replace(pod().containers[0], started_at=None),))
    assert of(memory([*run, *run, *run], restarts=restarts, ready=never, of_pod=of_pod), SLOPE) == []


def test_growth_before_a_pod_serves_does_not_count() -> None:
    loading = [100 + 40 * n for n in range(12)] + [600.0] * 20
    ready = series([0.0, 1.0], every_s=12 * 15.0, end=NOW - 19 * 15 - 1)
    started = dataclasses.replace(pod().containers[0], started_at=NOW - 32 * 15)
    assert slope(memory(loading, ready=ready, of_pod=pod(containers=(started,)))).verdict is Verdict.OK


def test_figures_that_stopped_coming_say_nothing() -> None:
    told = {("pod.memory_bytes", "prod/m-1"): series([1e8 + n * 1e6 for n in range(40)], end=NOW - 600)}
    assert of(scene(told, pods=(pod(),)), SLOPE) == []


@settings(max_examples=40, deadline=None)
@given(st.floats(1.0, 1e5), st.integers(1, 80))
def test_constant_memory_never_fires(mib: float, readings: int) -> None:
    told = memory([mib] * readings)
    assert all(each.verdict not in BAD for id_ in (SLOPE, STEP) for each in of(told, id_))


def test_wandering_memory_is_called_a_leak_seldom() -> None:
    rng = np.random.default_rng(23)
    fired = sum(slope(memory(500 + rng.normal(0, 10, 40))).verdict in BAD for _ in range(200))
    assert fired <= 2


@settings(max_examples=25, deadline=None)
@given(st.floats(1.0, 50.0))
def test_a_leak_is_one_at_any_scale(factor: float) -> None:
    grown = (100 + np.arange(40) * 3 + jitter(40)) * factor
    assert slope(memory(grown.tolist())).verdict in BAD


# --- steps ---


def test_a_jump_that_stays_is_dated() -> None:
    evidence = one(memory([200 + n % 2 for n in range(12)] + [400 + n % 2 for n in range(8)]), STEP)
    assert evidence.verdict is Verdict.WARN
    assert evidence.value == pytest.approx(2, rel=0.02)
    assert evidence.since == pytest.approx(NOW - 7 * 15)


@pytest.mark.parametrize(
    "mib",
    [
        [200.0] * 20,
        [200 + 15 * n for n in range(20)],
        [200] * 10 + [400] + [200] * 9,
        [10] * 10 + [20] * 10,
        [200] * 10 + [240] * 10,
    ],
    ids=["constant", "slope", "spike", "too little", "too flat"],
)
def test_what_is_no_jump(mib: list[float]) -> None:
    assert verdict(memory(mib), STEP) is Verdict.OK


def test_a_restart_is_no_jump() -> None:
    restarts = series([0, 1], every_s=150.0, end=NOW - 10 * 15 + 1)
    ready = series([1, 0, 1], every_s=3.0, end=NOW - 10 * 15 + 8)
    fresh = pod(containers=(dataclasses.replace(pod().containers[0], started_at=NOW - 10 * 15),))
    snapshot = memory([200] * 12 + [600] * 10, restarts=restarts, ready=ready, of_pod=fresh)
    assert verdict(snapshot, STEP) is Verdict.OK


# --- a process on this machine ---


def process(mib: Sequence[float], *, started_at: float = NOW - 7200) -> Snapshot:
    state = ProcessState(NOW, "port 8000", 7, running=True, rss_bytes=int(mib[-1] * MIB), started_at=started_at)
    host = HostState(NOW, "h", 2, memory_total_bytes=2048 * MIB)
    told = {("process.rss_bytes", "port 8000"): series([value * MIB for value in mib], every_s=2.0)}
    return scene(told, processes=(state,), host=host)


def test_a_process_whose_memory_grows() -> None:
    id_ = "process.memory_slope"
    leaking = one(process((200 + np.arange(120) * 0.5 + jitter(120, 0.2)).tolist()), id_)
    assert leaking.verdict is Verdict.FAIL
    assert verdict(process([200.0] * 120), id_) is Verdict.OK
    assert of(process([200 + n for n in range(30)]), id_) == []
    young = process([200 + n for n in range(120)], started_at=NOW - 120)
    assert of(young, id_) == []
