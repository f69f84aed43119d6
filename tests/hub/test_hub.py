"""The hub: latest states, bounded histories, exact counts, feeds that never block it."""

from __future__ import annotations

import asyncio

import pytest

from infdiag_tui.hub import hub as hub_module
from infdiag_tui.hub.hub import Hub
from infdiag_tui.model import (
    ClusterEvent,
    GpuDevice,
    Heartbeat,
    LogLine,
    Pod,
    PodGone,
    PodUsage,
    Reply,
    Sample,
    SeriesKey,
    Severity,
)

NOW = 1_700_000_000.0


def line(text: str, severity: Severity = Severity.INFO, at: float = 0.0) -> LogLine:
    return LogLine("app.log", text, severity, received_at=at)


def pod(name: str, uid: str = "u1", at: float = 0.0) -> Pod:
    return Pod("prod", name, uid, "Running", at)


def event(uid: str, at: float) -> ClusterEvent:
    return ClusterEvent(uid, "prod", "Pod", "a", "Warning", "BackOff", "again", 1, at, at, at)


def test_samples_become_series_by_key() -> None:
    hub = Hub()
    hub.put(Sample(SeriesKey("gpu.power_w", "GPU-1"), 300.0, 1.0))
    hub.put(Sample(SeriesKey("gpu.power_w", "GPU-2"), 100.0, 1.0))
    hub.put(Sample(SeriesKey("gpu.power_w", "GPU-1"), 310.0, 2.0))
    series = hub.series()
    assert series[SeriesKey("gpu.power_w", "GPU-1")].values == (300.0, 310.0)
    assert series[SeriesKey("gpu.power_w", "GPU-2")].values == (100.0,)


def test_the_series_longest_without_a_sample_leaves_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_SERIES", 2)
    hub = Hub()
    hub.put(Sample(SeriesKey("a"), 1.0, 1.0))
    hub.put(Sample(SeriesKey("b"), 1.0, 2.0))
    hub.put(Sample(SeriesKey("a"), 1.0, 3.0))
    hub.put(Sample(SeriesKey("c"), 1.0, 4.0))
    assert set(hub.series()) == {SeriesKey("a"), SeriesKey("c")}


def test_a_flood_of_lines_leaves_counts_exact_and_errors_in_place() -> None:
    hub = Hub(max_log_lines=100)
    hub.put(line("it broke", Severity.ERROR))
    for number in range(1000):
        hub.put(line(f"request {number}"))
    view = hub.logs()
    assert len(view.lines) == 100
    assert view.first_seq == 901
    assert view.lines[-1].text == "request 999"
    assert [one.text for one in view.errors] == ["it broke"]
    assert view.counts == {Severity.ERROR: 1, Severity.INFO: 1000}
    assert view.total == 1001
    assert view.sources == {"app.log": 1001}


def test_the_log_view_is_the_same_object_until_a_line_comes() -> None:
    hub = Hub()
    hub.put(line("one"))
    first = hub.logs()
    assert hub.logs() is first
    hub.put(line("two"))
    assert hub.logs() is not first


def test_errors_since_a_moment() -> None:
    hub = Hub()
    for at in (1.0, 2.0, 3.0):
        hub.put(line(f"error at {at}", Severity.ERROR, at))
    assert [one.text for one in hub.log_errors_since(2.0)] == ["error at 2.0", "error at 3.0"]


def test_a_pod_that_went_takes_its_usage_along() -> None:
    hub = Hub()
    hub.put(pod("a"))
    hub.put(PodUsage("prod", "a", 1.0, 15.0, 0.5, 1000))
    hub.put(PodGone("prod", "a", "u1", 2.0))
    assert hub.pods == ()
    assert hub.usage == {}


def test_a_new_pod_of_the_same_name_survives_the_old_ones_late_goodbye() -> None:
    hub = Hub()
    hub.put(pod("web-0", "old"))
    hub.put(pod("web-0", "new"))
    hub.put(PodGone("prod", "web-0", "old", 2.0))
    assert [one.uid for one in hub.pods] == ["new"]


def test_events_are_bounded_and_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MAX_EVENTS", 3)
    hub = Hub()
    for at in range(6):
        hub.put(event(f"e{at}", float(at)))
    assert [one.uid for one in hub.events] == ["e5", "e4", "e3"]


def test_gpus_are_ordered_by_host_and_index() -> None:
    hub = Hub()
    for index in (1, 0):
        hub.put(GpuDevice(f"GPU-{index}", index, "H100", 1.0, "nvml"))
    assert [gpu.index for gpu in hub.gpus] == [0, 1]


def test_a_card_that_two_sources_report_is_shown_by_the_nearer_one_while_it_answers() -> None:
    hub = Hub()
    hub.put(GpuDevice("GPU-1", 0, "H100", 1.0, "nvml"))
    hub.put(GpuDevice("GPU-1", 0, "H100", 5.0, "dcgm"))
    assert hub.gpus[0].provider == "nvml"
    hub.put(GpuDevice("GPU-1", 0, "H100", 30.0, "dcgm"))
    assert hub.gpus[0].provider == "dcgm"


def test_replies_are_kept_by_target() -> None:
    hub = Hub()
    hub.put(Reply("http://a/", 1.0, 1.0, total_ms=5.0))
    hub.put(Reply("http://b/", 1.0, 1.0, total_ms=7.0))
    assert {view.target for view in hub.latency(2.0)} == {"http://a/", "http://b/"}


async def test_a_subscription_gets_what_comes_and_counts_what_it_lost() -> None:
    hub = Hub()
    with hub.subscribe(capacity=3) as feed:
        for number in range(5):
            hub.put(line(str(number)))
        taken = await asyncio.wait_for(feed.take(), 1)
        assert [one.text for one in taken if isinstance(one, LogLine)] == ["2", "3", "4"]
        assert feed.dropped == 2
    hub.put(line("after"))
    assert hub.counts["LogLine"] == 6


async def test_a_waiting_subscription_wakes_up() -> None:
    hub = Hub()
    with hub.subscribe() as feed:
        waiting = asyncio.create_task(feed.take())
        await asyncio.sleep(0)
        hub.put(Heartbeat(1.0))
        assert await asyncio.wait_for(waiting, 1) == [Heartbeat(1.0)]


def usage(name: str) -> PodUsage:
    return PodUsage("prod", name, NOW, 15.0, 0.5, 2**28)


def test_usage_of_pods_that_went_does_not_gather() -> None:
    hub = Hub()
    hub.put(Pod("prod", "m", "u", "Running", NOW))
    hub.put(usage("m"))
    for number in range(5_000):
        hub.put(Pod("prod", f"job-{number}", "u", "Running", NOW))
        hub.put(PodGone("prod", f"job-{number}", "u", NOW))
        hub.put(usage(f"job-{number}"))
    assert len(hub.usage) < 200
    assert "prod/m" in hub.usage


def test_a_new_pod_of_an_old_name_does_not_inherit_its_usage() -> None:
    hub = Hub()
    hub.put(Pod("prod", "m-0", "old", "Running", NOW))
    hub.put(usage("m-0"))
    hub.put(Pod("prod", "m-0", "old", "Running", NOW + 1))
    assert "prod/m-0" in hub.usage
    hub.put(Pod("prod", "m-0", "new", "Pending", NOW + 2))
    assert "prod/m-0" not in hub.usage


def test_counts_by_log_source_are_bounded_and_lose_no_line() -> None:
    hub = Hub(max_log_lines=100)
    for number in range(5_000):
        for source in ("prod/m/server", f"prod/job-{number}/c"):
            hub.put(LogLine(source, "x", Severity.INFO, NOW))
    sources = hub.logs().sources
    assert len(sources) <= 2_001
    assert sources["prod/m/server"] == 5_000
    assert sum(sources.values()) == hub.log_total == 10_000
