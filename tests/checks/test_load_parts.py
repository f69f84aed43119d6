"""The load check's parts: rank intervals, quantiles, judgement, the knee search, parameters, and the process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from checks.base import CheckError
from checks.load_gen.child import Generator
from checks.load_gen.core_wait import CoreWait, mean_wait_ms
from checks.load_gen.job import QUANTILES, Figure, Phase, Setup, Summary
from checks.load_gen.loops import arrivals
from checks.load_gen.tally import Cost, Tally, figure, quantile, spectrum
from checks.load_gen.wire import Shot
from checks.load_judge import chance_of_none_alone, error_verdict, invalid_reasons, wilson
from checks.load_knee import KneeSearch
from checks.load_params import LoadParams
from checks.load_request import load_setup
from infdiag_tui.config import Endpoint
from infdiag_tui.model import Verdict
from infdiag_tui.stats.rank_interval import rank_interval
from tests.checks.load_servers import Model, serving

SAMPLES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300).map(sorted)
KINDS = ("", "timeout", "http-503", "disconnect")
IDLE = Cost(0.0, None)


def summary_at(rate: float, latency_ms: list[float], **more: object) -> Summary:
    tally = Tally(Phase("step", len(latency_ms), 1_000, 60.0, rate_per_s=rate))
    for slot, one_ms in enumerate(latency_ms):
        tally.take(slot / rate, slot / rate, Shot(slot / rate + one_ms / 1e3))
    tally.dropped = int(str(more.get("dropped", 0)))
    return tally.summary(0.0, 0.0, Cost(float(str(more.get("cpu_s", 0))), None), "", 0)


@given(size=st.integers(1, 20_000), q=st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999]))
def test_rank_intervals_are_those_of_the_exact_binomial(size: int, q: float) -> None:
    low, high = rank_interval(size, q)
    below = stats.binom(size, q).cdf
    if low is None:
        assert below(0) > 0.025
    else:
        assert below(low - 1) <= 0.025 * (1 + 1e-9)
        assert below(low) > 0.025 * (1 - 1e-9)
    if high is None:
        assert below(size - 1) < 0.975 * (1 + 1e-9)
    else:
        assert below(high - 1) >= 0.975 * (1 - 1e-9)
        assert high == 1 or below(high - 2) < 0.975 * (1 + 1e-9)


def test_p99_has_an_upper_bound_from_368_values_on() -> None:
    assert rank_interval(367, 0.99).high is None
    assert rank_interval(368, 0.99).high == 368
    with pytest.raises(ValueError, match="between 0 and 1"):
        rank_interval(10, 1.0)
    assert rank_interval(0, 0.5) == (None, None)


@given(ordered=SAMPLES, q=st.sampled_from(list(QUANTILES.values())))
def test_quantiles_are_numpys_and_lie_inside_their_interval(ordered: list[float], q: float) -> None:
    assert quantile(ordered, q) == pytest.approx(np.percentile(ordered, 100 * q), rel=1e-9, abs=1e-9)
    found = figure(ordered, q)
    assert found.high is None or found.high >= found.value - 1e-9
    assert not found.at_least


@given(
    taken=st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 5), st.floats(1e-6, 60), st.floats(0, 1), st.sampled_from(KINDS)),
        max_size=200,
    )
)
def test_a_tallys_figures_are_numpys_on_the_same_samples(taken: list[tuple[float, float, float, float, str]]) -> None:
    tally = Tally(Phase("load", max(1, len(taken)), 10, 9.0, rate_per_s=1.0))
    for due, late, took, share, kind in taken:
        tally.take(due, due + late, Shot(due + late + took, kind, kind, share * took))
    found = tally.summary(0.0, 200.0, IDLE, "", 1)
    kept = [one for one in taken if one[4] in ("", "timeout")]
    assert (found.requests, found.samples) == (len(taken), len(kept))
    assert found.failed == sum(bool(kind) for *_, kind in taken)
    assert dict(found.errors) == {kind: n for kind in KINDS[1:] if (n := sum(one[4] == kind for one in taken))}
    if taken:
        assert found.lateness_p99_ms == pytest.approx(np.percentile([1e3 * one[1] for one in taken], 99), abs=1e-6)
    if not kept:
        assert (found.latency_ms, found.own_ms, found.mean_ms) == (None, None, None)
        return
    assert found.latency_ms is not None
    assert found.service_ms is not None
    assert found.own_ms is not None
    latency = np.array([late + took for _, late, took, _, _ in kept]) * 1e3
    service = np.array([took for _, _, took, _, _ in kept]) * 1e3
    own = np.array([share * took for _, _, took, share, _ in kept]) * 1e3
    for name, q in QUANTILES.items():
        assert found.latency_ms[name].value == pytest.approx(np.quantile(latency, q), abs=1e-6)
        assert found.service_ms[name].value == pytest.approx(np.quantile(service, q), abs=1e-6)
        assert found.own_ms[name] == pytest.approx(np.quantile(latency, q) - np.quantile(latency - own, q), abs=1e-6)
    assert found.mean_ms == pytest.approx(latency.mean(), abs=1e-6)
    assert found.own_mean_ms == pytest.approx(own.mean(), abs=1e-6)
    # Every point of the distribution is a sample, where HdrHistogram's would be its bucket's edge.
    for value, share, _ in found.spectrum:
        assert value == pytest.approx(np.quantile(latency, share, method="inverted_cdf"), abs=1e-6)


def test_a_quantile_that_touches_a_timeout_is_a_lower_bound() -> None:
    ordered = [1.0] * 90 + [500.0] * 10
    assert figure(ordered, 0.5, 500.0) == Figure(1.0, 1.0, 1.0, at_least=False)
    assert figure(ordered, 0.95, 500.0).at_least
    assert figure(ordered, 0.9, 500.0).high is None


@given(ordered=SAMPLES)
def test_the_spectrum_rises_to_the_maximum(ordered: list[float]) -> None:
    points = spectrum(ordered)
    assert points[-1] == (ordered[-1], 1.0, len(ordered))
    assert list(points) == sorted(points, key=lambda point: point[2])
    for value, share, count in points:
        assert value == ordered[count - 1]
        assert share == count / len(ordered)


def test_timeouts_enter_the_latency_and_fast_failures_do_not() -> None:
    tally = Tally(Phase("load", 3, 1, 9.0))
    tally.take(0.0, 0.0, Shot(0.010))
    tally.take(0.0, 0.0, Shot(0.001, "http-503", "HTTP 503"))
    tally.take(0.0, 0.0, Shot(2.0, "timeout", "no reply"))
    found = tally.summary(0.0, 2.0, IDLE, "", 1)
    assert (found.requests, found.failed, found.samples) == (3, 2, 2)
    assert found.throughput_rps == pytest.approx(0.5)
    assert found.max_ms is not None
    assert found.max_ms.value == pytest.approx(2000.0)
    assert found.max_ms.at_least


def test_latency_counts_from_the_scheduled_send_and_service_time_from_the_actual_one() -> None:
    tally = Tally(Phase("load", 1, 10, 9.0, rate_per_s=10.0))
    tally.take(1.0, 1.5, Shot(1.6))
    found = tally.summary(0.0, 2.0, IDLE, "", 1)
    assert found.latency_ms is not None
    assert found.service_ms is not None
    assert found.latency_ms["p50"].value == pytest.approx(600.0)
    assert found.service_ms["p50"].value == pytest.approx(100.0)
    assert found.lateness_p99_ms == pytest.approx(500.0)


def test_a_late_a_busy_and_a_dropping_generator_each_make_the_run_invalid() -> None:
    assert invalid_reasons(summary_at(100.0, [20.0] * 100)) == ()
    assert "core" in invalid_reasons(summary_at(100.0, [20.0] * 100, cpu_s=0.95))[0]
    assert "3 arrivals" in invalid_reasons(summary_at(100.0, [20.0] * 100, dropped=3))[0]
    late = Tally(Phase("load", 100, 10, 9.0, rate_per_s=10.0))
    starved = Tally(Phase("load", 100, 10, 9.0))
    for slot in range(100):
        late.take(slot / 10, slot / 10 + 0.002, Shot(slot / 10 + 0.022))
        starved.take(slot / 10, slot / 10, Shot(slot / 10 + 0.02))
    waiting = Tally(Phase("load", 100, 10, 9.0))
    for slot in range(100):
        waiting.take(0.0, 0.0, Shot(0.020, own_s=0.002 if slot > 40 else 0.0))
    assert "up to 2.00 ms of p50" in invalid_reasons(waiting.summary(0.0, 1.0, IDLE, "", 0))[0]
    assert "sent late" in invalid_reasons(late.summary(0.0, 1.0, IDLE, "", 0))[0]
    assert "waited 4.00 ms" in invalid_reasons(starved.summary(0.0, 1.0, Cost(0.0, 4.0), "", 0))[0]


def test_the_generators_share_of_a_workers_time_is_what_it_waits_and_turns_round() -> None:
    tally = Tally(Phase("load", 10, 1, 9.0))
    for _ in range(10):
        tally.take(0.0, 0.0, Shot(0.018, own_s=0.001))
        tally.turned(0.002)
    found = tally.summary(0.0, 1.0, IDLE, "", 1)
    assert found.turnaround_ms == pytest.approx(2.0)
    assert found.own_mean_ms == pytest.approx(1.0)
    assert found.own_share == pytest.approx(3 / 20)


def test_the_mean_wait_for_a_core_is_that_of_the_turns_in_between() -> None:
    assert mean_wait_ms(CoreWait(1.0, 10), CoreWait(1.5, 110)) == pytest.approx(5.0)
    assert mean_wait_ms(None, CoreWait(1.0, 1)) is None
    assert mean_wait_ms(CoreWait(1.0, 5), CoreWait(1.0, 5)) is None


@given(total=st.integers(1, 5_000), data=st.data())
def test_error_rate_intervals_are_scipys_wilson(total: int, data: st.DataObject) -> None:
    failed = data.draw(st.integers(0, total))
    expected = stats.binomtest(failed, total).proportion_ci(method="wilson")
    assert wilson(failed, total) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_failure_among_few_is_a_warning_and_many_a_failure() -> None:
    assert error_verdict(0, 100, 0.01) is Verdict.OK
    assert error_verdict(2, 100, 0.01) is Verdict.WARN
    assert error_verdict(20, 100, 0.01) is Verdict.FAIL
    assert error_verdict(0, 0, 0.01) is Verdict.UNKNOWN


@given(alone=st.integers(1, 200), together=st.integers(1, 200), data=st.data())
def test_the_chance_of_no_failure_alone_is_fishers(alone: int, together: int, data: st.DataObject) -> None:
    failed = data.draw(st.integers(0, together))
    table = [[0, alone], [failed, together - failed]]
    expected = stats.fisher_exact(table, alternative="less").pvalue
    assert chance_of_none_alone(alone, together, failed) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def queue_ms(rate: float, capacity: float, count: int) -> list[float]:
    """Latencies of a single server with Poisson arrivals and a fixed service time: Lindley's recursion."""
    gaps = np.random.default_rng(round(rate * 1000)).exponential(1 / rate, count)
    service, wait, found = 1 / capacity, 0.0, []
    for gap in gaps:
        wait = max(0.0, wait + service - gap)
        found.append((wait + service) * 1e3)
    return found


def search(capacity: float, start: float, limit: float) -> KneeSearch:
    found = KneeSearch(start, limit, 0.01)
    while (rate := found.next_rate) is not None:
        assert rate <= limit
        found.take(rate, summary_at(rate, queue_ms(rate, capacity, 2_000)))
    return found


@pytest.mark.parametrize("capacity", [20.0, 100.0, 400.0])
def test_the_knee_of_a_simulated_queue_lies_below_its_capacity(capacity: float) -> None:
    found = search(capacity, capacity / 5, 10 * capacity)
    assert found.knee_per_s is not None
    assert found.first_bad_per_s is not None
    # p99 of this queue is twice that at low load between half and nine tenths of its capacity.
    assert 0.4 * capacity < found.knee_per_s < found.first_bad_per_s <= 1.0 * capacity * 1.1
    assert found.first_bad_per_s / found.knee_per_s < 1.3


def test_a_server_that_bears_the_highest_rate_has_no_knee() -> None:
    found = search(10_000.0, 10.0, 100.0)
    assert found.knee_per_s is None
    assert found.highest_good_per_s == 100.0
    assert "highest rate allowed" in found.limited_by


def test_a_step_that_this_machine_spoiled_is_repeated_and_then_ends_the_search() -> None:
    found = KneeSearch(10.0, 100.0, 0.01)
    for _ in range(3):
        assert found.next_rate == 10.0
        found.take(10.0, summary_at(10.0, [20.0] * 100, cpu_s=9.9))
    assert found.next_rate is None
    assert "core" in found.limited_by
    assert found.knee_per_s is None


@given(rate=st.floats(0.01, 5_000), requests=st.integers(1, 500), poisson=st.booleans())
def test_arrivals_ascend_within_the_time_that_their_rate_gives(rate: float, requests: int, poisson: bool) -> None:
    due = np.array(list(arrivals(Phase("a", requests, 1, 1.0, rate_per_s=rate, poisson=poisson))))
    assert len(due) == requests
    assert (np.diff(due) >= 0).all()
    assert due[0] >= 0
    assert due[-1] <= requests / rate
    if not poisson:
        assert due == pytest.approx(np.arange(requests) / rate)


def test_arrivals_keep_count_and_length() -> None:
    even = list(arrivals(Phase("a", 5, 1, 1.0, rate_per_s=10.0)))
    assert even == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    random = list(arrivals(Phase("a", 1_000, 1, 1.0, rate_per_s=10.0, poisson=True)))
    assert random == sorted(random)
    assert len(random) == 1_000
    assert 0 <= random[0] <= random[-1] <= 100
    assert stats.kstest(np.diff(random), "expon", args=(0, 0.1)).pvalue > 1e-6


def test_parameters_take_durations_and_refuse_what_is_beyond_the_caps() -> None:
    assert LoadParams.model_validate({"duration": "500ms"}).duration == 0.5
    assert LoadParams.model_validate({"duration": "2m"}).duration == 120
    assert LoadParams.model_validate({"rate": "30", "duration": "10s"}).open_requests == 300
    for bad in (
        {"duration": "soon"},
        {"duration": "-1s"},
        {"rate": 6_000},
        {"rate": 5_000, "duration": 600},
        {"requests": 10**6},
        {"concurrency": 0},
    ):
        with pytest.raises(ValidationError):
            LoadParams.model_validate(bad)


def test_credentials_in_the_url_become_a_header() -> None:
    setup = load_setup(Endpoint(url="https://a%40b:p%3Aw@[::1]:8443/x?y=1", body=1), "me", keep_alive=True)
    assert setup.url == "https://[::1]:8443/x?y=1"
    assert setup.headers["Authorization"] == "Basic YUBiOnA6dw=="
    assert "p:w" not in repr(setup)


def plain_setup(url: str) -> Setup:
    return load_setup(Endpoint(url=url, body={"x": 1}), "test", keep_alive=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_generator_that_is_killed_is_told_in_a_sentence() -> None:
    model = Model(delay_s=0.01)
    async with serving(model) as url, Generator(plain_setup(url)) as generator:
        running = asyncio.create_task(generator.phase(Phase("load", 100_000, 2, 60.0), lambda *_: None))
        await until(lambda: model.seen > 5)
        assert generator.pid is not None
        os.kill(generator.pid, signal.SIGKILL)
        with pytest.raises(CheckError, match="ended by itself with code -9"):
            await running


PARENT = """
import asyncio, sys
from checks.load_gen.child import Generator
from checks.load_gen.job import Phase
from checks.load_request import load_setup
from infdiag_tui.config import Endpoint

async def main():
    async with Generator(load_setup(Endpoint(url=sys.argv[1], body=1), "test", keep_alive=True)) as generator:
        print(generator.pid, flush=True)
        await generator.phase(Phase("load", 1_000_000, 2, 60.0), lambda *_: None)

asyncio.run(main())
"""


async def test_the_generator_ends_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    model = Model(delay_s=0.01)
    async with serving(model) as url:
        command = [sys.executable, "-c", PARENT, url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            pid = int(await asyncio.to_thread(parent.stdout.readline))
            await until(lambda: model.seen > 5)
            parent.kill()
        await until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
        await until(lambda: model.busy == 0)
