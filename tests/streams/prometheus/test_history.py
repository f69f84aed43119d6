"""The hour before the incident from a real Prometheus, put before what is live, and the onset that it dates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infdiag_tui.clock import SteadyClock, SystemClock
from infdiag_tui.config import ModelConfig, Thresholds
from infdiag_tui.findings import assess
from infdiag_tui.model import (
    History,
    IncidentInfo,
    Pod,
    Sample,
    SeriesKey,
    SeriesView,
    Snapshot,
    SourceState,
    Verdict,
)
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.prometheus.past import MOST_POINTS
from infdiag_tui.streams.prometheus.questions import QUANTILES
from infdiag_tui.streams.server_prometheus import ServerPrometheusStream, build
from tests.streams.gpus.helpers import Pods, Watched, pod, watching
from tests.streams.prometheus.fake import saying
from tests.streams.prometheus.past_pages import hour
from tests.streams.prometheus.real import RealPrometheus, prometheus

MINE: dict[str, Any] = {"matchers": {"app": "scorer"}}
ONSET_S = 1500.0


@dataclass
class Past:
    server: RealPrometheus
    ended_at: float


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    ended_at = time.time()
    text = hour(ended_at, onset_s=ONSET_S)
    with prometheus(tmp_path_factory.mktemp("prometheus"), {}, past=text) as running:
        yield Past(running, ended_at)


def stream(url: str, *pods: Pod, servers_tell: bool | None = None, **settings: Any) -> ServerPrometheusStream:
    config = ModelConfig.model_validate({"prometheus": {"url": url, **settings}, "metrics": {"served_model": "fraud"}})
    context = StreamContext(user_agent="infdiag-test", roster=Pods(*pods) if pods else None)
    if servers_tell is not None:
        context.servers_tell = lambda: servers_tell
    (made,) = build(config, context)
    assert isinstance(made, ServerPrometheusStream)
    made._settings = made._settings.model_copy(update={"interval_s": 0.2})
    return made


def history(watched: Watched, metric: str, entity: str = "") -> SeriesView:
    return watched.hub.series()[SeriesKey(metric, entity)]


async def test_the_hour_before_opens_the_series_of_latency_load_gpus_and_pods(past: Past) -> None:
    async with watching(stream(past.server.url, pod("scorer-0"), **MINE)) as watched:
        await watched.until(lambda: any(isinstance(one, Sample) for one in watched.told))
        p99 = history(watched, "server.p99_ms")
        assert p99.history_source == "Prometheus"
        assert 3300 <= past.ended_at - p99.times[0] <= 3600
        onset = past.ended_at - ONSET_S
        before = [value for at, value in zip(p99.times, p99.values, strict=True) if at < onset]
        after = [value for at, value in zip(p99.times, p99.values, strict=True) if at > onset + 60]
        assert max(before) <= 100  # the bucket of 50 to 100 ms
        assert 250 <= min(after) <= max(after) <= 500
        assert history(watched, "server.p50_ms").values[0] < p99.values[0]
        rate = history(watched, "server.request_rate")
        assert rate.values[5] == pytest.approx(2.0, rel=0.05)
        means = history(watched, "server.request_ms").values
        assert means[5] == pytest.approx(74, rel=0.1)
        assert set(history(watched, "server.queue_depth").values) == {1, 9}
        assert set(history(watched, "gpu.utilization_percent", "GPU-past").values) == {35, 97}
        assert history(watched, "gpu.memory_used_bytes", "GPU-past").values[0] == 9000 * 2**20
        assert not [key for key in watched.hub.series() if key.entity == "GPU-other"]
        assert set(history(watched, "pod.memory_bytes", "ml/scorer-0").values) == {2.1e9}
        assert SeriesKey("pod.memory_bytes", "ml/other") not in watched.hub.series()
        assert watched.health.state is SourceState.LIVE


async def test_times_are_laid_on_the_steady_clock_though_the_machines_was_set_back(past: Past) -> None:
    made = stream(past.server.url, pod("scorer-0"), **MINE)
    made._clock = clock = SteadyClock(time.time, time.monotonic, origin=time.time() + 3600.0 - time.monotonic())
    async with watching(made) as watched:
        await watched.until(lambda: any(isinstance(one, Sample) for one in watched.told))
        p99 = history(watched, "server.p99_ms")
        assert 3300 <= past.ended_at + 3600.0 - p99.times[0] <= 3600
        newest = max(one.at for one in watched.told if isinstance(one, Sample))
        assert clock.now() - 30.0 < newest <= clock.now()


async def test_history_is_no_sample_and_stands_before_the_live_ones(past: Past) -> None:
    async with watching(stream(past.server.url, **MINE)) as watched:
        await watched.until(lambda: history(watched, "server.p99_ms").live if watched.told else False)
        view = history(watched, "server.p99_ms")
        assert view.history_until is not None
        assert view.history_until < view.times[-1]
        assert list(view.times) == sorted(set(view.times))
        told = [one for one in watched.told if isinstance(one, History)]
        assert all(len(one.times) <= MOST_POINTS for one in told)
        first = len(told)
        await watched.until(lambda: sum(isinstance(one, Sample) for one in watched.told) > 20)
        assert sum(isinstance(one, History) for one in watched.told) == first  # told once


async def test_what_the_servers_tell_themselves_is_not_told_a_second_time(past: Past) -> None:
    async with watching(stream(past.server.url, servers_tell=True, **MINE)) as watched:
        await watched.until(lambda: sum(isinstance(one, Sample) for one in watched.told) >= 6)
        metrics = {one.key.metric for one in watched.told if isinstance(one, Sample)}
        assert {metric for metric in metrics if not metric.endswith(("_low_ms", "_high_ms"))} == set(QUANTILES)
        assert watched.hub.series()[SeriesKey("server.p99_low_ms")].values[-1] == 250
        assert watched.hub.series()[SeriesKey("server.p99_high_ms")].values[-1] == 500
        past_ = {one.key.metric for one in watched.told if isinstance(one, History)}
        assert "server.request_rate" in past_


async def test_without_labels_the_pods_tell_which_series_are_the_models(past: Past) -> None:
    async with watching(stream(past.server.url, pod("scorer-0"))) as watched:
        await watched.until(lambda: SeriesKey("server.p99_ms") in watched.hub.series())
    async with watching(stream(past.server.url)) as watched:
        await watched.until(lambda: watched.health.state is SourceState.OFF)
        assert "set prometheus.matchers" in watched.health.remedy


async def test_labels_that_fit_nothing_and_history_switched_off(past: Past) -> None:
    async with watching(stream(past.server.url, matchers={"app": "nobody"})) as watched:
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert "no series of a model server with app=nobody" in watched.health.reason
    async with watching(stream(past.server.url, history="0", **MINE)) as watched:
        await watched.until(lambda: any(isinstance(one, Sample) for one in watched.told))
        assert not any(isinstance(one, History) for one in watched.told)


async def test_a_query_that_is_not_taken_costs_only_what_it_would_have_told(past: Past) -> None:
    one = stream(past.server.url, **MINE)
    good = one._asked
    one._asked = lambda: {**good(), "server.batch_size": "sum("}  # type: ignore[method-assign]
    async with watching(one) as watched:
        await watched.until(lambda: watched.health.state is SourceState.DEGRADED)
        assert "1 figures cannot be asked for (server.batch_size)" in watched.health.reason
        assert "parse error" in watched.health.reason
        await watched.until(lambda: history(watched, "server.p99_ms").live)


async def test_a_server_that_is_none_is_told_with_the_remedy() -> None:
    async with saying() as says, watching(stream(says.url, **MINE)) as watched:
        says.status, says.body = 404, "404 page not found"
        await watched.until(lambda: watched.health.state is SourceState.UNAVAILABLE)
        assert "status 404" in watched.health.reason
        assert "prometheus.url is the address above /api/v1" in watched.health.remedy


async def test_the_onset_in_it_dates_the_incident(past: Past) -> None:
    async with watching(stream(past.server.url, **MINE)) as watched:
        await watched.until(lambda: SeriesKey("server.p50_ms") in watched.hub.series() and watched.health.last_data_at)
        now = SystemClock().now()
        snapshot = Snapshot(
            now,
            1,
            IncidentInfo("fraud", "", now),
            sources={watched.stream.name: watched.health},
            series=watched.hub.series(),
        )
        (change,) = [one for one in assess(snapshot, Thresholds(), None) if one.id == "latency.change"]
        assert change.verdict is Verdict.FAIL
        assert change.since == pytest.approx(past.ended_at - ONSET_S, abs=75)
