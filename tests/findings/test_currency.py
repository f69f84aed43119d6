"""What a silent source said last is no present fact."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.config import Thresholds
from infdiag_tui.diagnosis.symptom import severity_of
from infdiag_tui.findings import assess
from infdiag_tui.findings.currency import stream_of
from infdiag_tui.model import (
    Container,
    Evidence,
    GpuDevice,
    HostState,
    IncidentInfo,
    Pod,
    PodUsage,
    ProcessState,
    Snapshot,
    SourceHealth,
    SourceState,
    Termination,
    Verdict,
)
from infdiag_tui.report import slot_values
from tests.findings.test_findings import window, with_latency

NOW = 1_700_000_000.0  # 22:13:20Z
LIVE, STALE, DOWN = SourceState.LIVE, SourceState.STALE, SourceState.UNAVAILABLE


def seen(state: SourceState, *, name: str, told_s_ago: float, troubled_s: float = 0.0, **things: object) -> Snapshot:
    health = SourceHealth(name, state, NOW - troubled_s, last_data_at=NOW - told_s_ago)
    blank = Snapshot(at=NOW, number=1, incident=IncidentInfo("m", "", NOW - 600), sources={name: health})
    return dataclasses.replace(blank, **things)  # type: ignore[arg-type]


def findings(snapshot: Snapshot) -> dict[str, Evidence]:
    return {one.id: one for one in assess(snapshot, Thresholds(), None)}


def gpu(at: float) -> GpuDevice:
    return GpuDevice(
        *("GPU-1", 0, "H100", at, "nvml"),
        utilization_percent=97.0,
        memory_used_bytes=99 * 2**20,
        memory_total_bytes=100 * 2**20,
        temperature_c=99.0,
        xid=79,
        xid_at=at,
    )


def pod() -> Pod:
    end = Termination("OOMKilled", 137, NOW - 300)
    container = Container("server", restart_count=2, termination=end, memory_limit_bytes=2**28)
    return Pod("prod", "m-1", "u", "Running", NOW - 300, ready=False, containers=(container,))


USAGE = {"prod/m-1": PodUsage("prod", "m-1", NOW - 50, 15.0, 0.2, int(0.95 * 2**28))}


@pytest.mark.parametrize("state", [STALE, DOWN, SourceState.FORBIDDEN])
def test_figures_of_a_silent_source_are_told_with_their_time_and_not_judged(state: SourceState) -> None:
    snapshot = seen(state, name="gpu", told_s_ago=40.0, troubled_s=30.0, gpus=(gpu(NOW - 40),))
    found = findings(snapshot)
    assert found["gpu.temperature"].verdict is Verdict.UNKNOWN
    assert found["gpu.temperature"].statement == "as of 22:12:40Z: GPU 0 is at 99 °C"
    assert found["gpu.temperature"].at == NOW - 40
    assert found["gpu.xid"].verdict is Verdict.FAIL  # it did happen
    assert "97 % (nvml) (as of 22:12:40Z)" in str(slot_values(snapshot)["utilization"])
    assert "(as of 22:12:40Z)" in str(slot_values(snapshot)["memory"])


def test_figures_of_a_live_source_are_judged_and_need_no_time() -> None:
    snapshot = seen(LIVE, name="gpu", told_s_ago=1.0, gpus=(gpu(NOW - 1),))
    assert findings(snapshot)["gpu.temperature"].verdict is Verdict.WARN
    assert "as of" not in str(slot_values(snapshot)["utilization"])


def test_one_card_that_its_source_no_longer_reads_is_not_judged() -> None:
    snapshot = seen(LIVE, name="gpu", told_s_ago=1.0, gpus=(gpu(NOW - 60),))
    assert findings(snapshot)["gpu.temperature"].verdict is Verdict.UNKNOWN


def test_pods_are_not_called_unready_by_an_api_that_is_gone_but_what_happened_stands() -> None:
    snapshot = seen(DOWN, name="pods", told_s_ago=30.0, troubled_s=29.0, pods=(pod(),), usage=USAGE)
    found = findings(snapshot)
    assert found["pods.none_ready"].verdict is Verdict.UNKNOWN
    assert found["pods.ready"].at == NOW - 30
    assert found["pods.memory_share"].verdict is Verdict.UNKNOWN
    assert found["pods.oom_killed"].verdict is Verdict.FAIL
    assert severity_of(found.values())[0] == "High"
    assert "(as of 22:12:50Z)" in str(slot_values(snapshot)["memory"])


def test_usage_that_metrics_server_no_longer_renews_bears_its_time_in_the_report() -> None:
    old = {"prod/m-1": dataclasses.replace(USAGE["prod/m-1"], at=NOW - 600)}
    snapshot = seen(LIVE, name="pods", told_s_ago=1.0, pods=(pod(),), usage=old)
    assert "(as of 22:03:20Z)" in str(slot_values(snapshot)["memory"])


def test_a_source_that_declares_itself_down_and_goes_on_telling_is_current() -> None:
    gone = ProcessState(NOW, "port 8000", None)
    snapshot = seen(DOWN, name="process", told_s_ago=0.0, troubled_s=60.0, processes=(gone,))
    assert findings(snapshot)["process.running"].verdict is Verdict.FAIL


def test_this_machine_and_its_process_are_not_judged_by_old_readings() -> None:
    host = HostState(NOW - 50, "jump", 2, cpu_percent=99.0)
    snapshot = seen(STALE, name="host", told_s_ago=50.0, troubled_s=40.0, host=host)
    assert findings(snapshot)["host.cpu"].verdict is Verdict.UNKNOWN
    assert "(as of 22:12:30Z)" in str(slot_values(snapshot)["utilization"])


@pytest.mark.parametrize(("state", "verdict"), [(STALE, Verdict.UNKNOWN), (DOWN, Verdict.FAIL)])
def test_failing_requests_are_news_and_a_probe_that_stands_still_has_none(state: SourceState, verdict: Verdict) -> None:
    latency = with_latency(window(20, 40, errors=200)).latency
    snapshot = seen(state, name="latency", told_s_ago=30.0, troubled_s=20.0, latency=latency)
    assert findings(snapshot)["latency.error_rate"].verdict is verdict


def test_evidence_is_as_current_as_the_stream_that_tells_it_at_present() -> None:
    def names(**states: SourceState) -> Snapshot:
        sources = {name.replace("__", "-"): SourceHealth(name, state, NOW) for name, state in states.items()}
        return Snapshot(NOW, 1, IncidentInfo("m", "", NOW), sources=sources)

    live, gone = SourceState.LIVE, SourceState.UNAVAILABLE
    assert stream_of("server_metrics", names(server_metrics=live, server_prometheus=live)) == "server_metrics"
    assert stream_of("server_metrics", names(server_metrics=gone, server_prometheus=live)) == "server_prometheus"
    assert stream_of("server_metrics", names(server_metrics=gone, server_prometheus=gone)) == "server_metrics"
    assert stream_of("dcgm", names(dcgm=live)) == "dcgm"
    assert stream_of("dcgm", names(gpu__source=live)) == "gpu-source"
    assert stream_of("nvml", names(gpu=live, gpu__source=live)) == "gpu"
    assert stream_of("pods", names()) == "pods"
