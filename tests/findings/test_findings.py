"""Findings: each measured level against its threshold, and silence about what was not measured."""

from __future__ import annotations

import dataclasses

import pytest

from infdiag_tui.config import Endpoint, Thresholds
from infdiag_tui.diagnosis.symptom import severity_of
from infdiag_tui.findings import assess
from infdiag_tui.model import (
    ClockReason,
    Container,
    ErrorKind,
    Evidence,
    GpuDevice,
    HostState,
    IncidentInfo,
    LatencyView,
    LatencyWindow,
    LogLine,
    LogView,
    Phases,
    Pod,
    PodUsage,
    ProcessState,
    Quantile,
    Reply,
    Severity,
    Snapshot,
    SourceHealth,
    SourceState,
    Termination,
    Verdict,
)

NOW = 1_700_000_000.0
EMPTY = Snapshot(at=NOW, number=1, incident=IncidentInfo("m", "", NOW - 600))


def findings(snapshot: Snapshot, endpoint: Endpoint | None = None) -> dict[str, Evidence]:
    return {one.id: one for one in assess(snapshot, Thresholds(), endpoint)}


def window(p50: float, p99: float, *, n: int = 1000, errors: int = 0, spread: float = 0.05) -> LatencyWindow:
    def quantile(value: float) -> Quantile:
        return Quantile(value, value * (1 - spread), value * (1 + spread))

    return LatencyWindow(
        window_s=60.0,
        requests=n,
        answered=n - errors,
        errors=((ErrorKind.HTTP_STATUS, errors),) if errors else (),
        error_rate=errors / n,
        timeout_rate=0.0,
        p50=quantile(p50),
        p95=quantile((p50 + p99) / 2),
        p99=quantile(p99),
        max_ms=p99 * 2,
        jitter=p99 / p50,
    )


def with_latency(one: LatencyWindow) -> Snapshot:
    return dataclasses.replace(EMPTY, latency=(LatencyView("http://m/predict", (one,), None, None),))


def with_pod(**changes: object) -> Snapshot:
    container = Container("server", memory_limit_bytes=2**28, cpu_limit_cores=1.0)
    plain = Pod("prod", "m-1", "u", "Running", NOW, ready=True, containers=(container,))
    pod = dataclasses.replace(plain, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(EMPTY, pods=(pod,))


def test_nothing_observed_is_no_evidence_and_no_severity() -> None:
    assert assess(EMPTY, Thresholds(), None) == ()
    assert severity_of(())[0] == ""


def test_a_fast_steady_server_gives_evidence_but_no_finding() -> None:
    found = findings(with_latency(window(20, 40)))
    assert found["latency.p50"].verdict is Verdict.OK
    assert found["latency.p99"].value == 40
    assert found["latency.p99"].sample_size == 1000
    assert found["latency.error_rate"].verdict is Verdict.OK
    assert severity_of(found.values())[0] == ""


@pytest.mark.parametrize(
    ("p99", "spread", "verdict"),
    [(90.0, 0.05, Verdict.OK), (101.0, 0.05, Verdict.WARN), (150.0, 0.05, Verdict.FAIL)],
)
def test_p99_is_judged_against_the_configured_objective(p99: float, spread: float, verdict: Verdict) -> None:
    endpoint = Endpoint(url="http://m/predict", objective_p99_ms=100)
    found = findings(with_latency(window(20, p99, spread=spread)), endpoint)["latency.p99"]
    assert found.verdict is verdict
    assert found.threshold == 100
    assert found.threshold_source == "configured objective"


def test_jitter_fires_only_when_even_the_intervals_ends_are_far_apart() -> None:
    assert findings(with_latency(window(20, 100)))["latency.jitter"].verdict is Verdict.WARN
    assert findings(with_latency(window(20, 70, spread=0.5)))["latency.jitter"].verdict is Verdict.OK


def test_too_few_requests_give_no_verdict() -> None:
    found = findings(with_latency(window(500, 4000, n=3, errors=1)))
    assert found["latency.p50"].verdict is Verdict.UNKNOWN
    assert found["latency.error_rate"].verdict is Verdict.UNKNOWN


def test_errors_make_it_high_and_from_a_tenth_on_critical() -> None:
    few = findings(with_latency(window(20, 40, errors=20)))
    assert few["latency.error_rate"].verdict is Verdict.FAIL
    assert severity_of(few.values())[0] == "High"
    many = findings(with_latency(window(20, 40, errors=100)))
    assert severity_of(many.values())[0] == "Critical"
    assert "100 http-status" in many["latency.error_rate"].statement


def test_an_unreachable_server_is_critical() -> None:
    health = SourceHealth("latency", SourceState.UNAVAILABLE, NOW, reason="connection refused")
    refused = Reply("http://m/", NOW, NOW, 1.0, error=ErrorKind.CONNECT, error_text="connection refused by m:80")
    view = LatencyView("http://m/", (), refused, refused)
    found = findings(dataclasses.replace(EMPTY, sources={"latency": health}, latency=(view,)))
    assert severity_of(found.values())[0] == "Critical"


def test_a_server_that_takes_requests_and_answers_none_is_not_called_unreachable() -> None:
    health = SourceHealth("latency", SourceState.UNAVAILABLE, NOW, reason="no reply from m:80 within 5 s")
    hung = Reply("http://m/", NOW, NOW, 5e3, phases=Phases(send_ms=0.1), error=ErrorKind.TIMEOUT, error_text="no reply")
    found = findings(
        dataclasses.replace(EMPTY, sources={"latency": health}, latency=(LatencyView("http://m/", (), hung, hung),))
    )
    assert found["latency.reachable"].verdict is Verdict.WARN
    assert "answers none" in found["latency.reachable"].statement
    assert severity_of(found.values())[0] == "Critical"


def test_a_probe_without_a_usable_config_says_nothing_of_the_server() -> None:
    health = SourceHealth("latency", SourceState.UNAVAILABLE, NOW, reason="endpoint.body_file x cannot be read")
    assert assess(dataclasses.replace(EMPTY, sources={"latency": health}), Thresholds(), None) == ()


def test_failed_requests_are_told_in_the_words_of_the_last() -> None:
    said = Reply(
        "http://m/", NOW - 2, NOW - 2, 1.0, status=404, error=ErrorKind.HTTP_STATUS, error_text="HTTP 404: no [b]m"
    )
    failing = dataclasses.replace(with_latency(window(20, 40, errors=100)).latency[0], last=said, last_error=said)
    statement = findings(dataclasses.replace(EMPTY, latency=(failing,)))["latency.error_rate"].statement
    assert statement.endswith("; the last: HTTP 404: no [b]m")
    old = dataclasses.replace(failing, last_error=dataclasses.replace(said, at=NOW - 100))
    assert "404" not in findings(dataclasses.replace(EMPTY, latency=(old,)))["latency.error_rate"].statement


def test_a_window_is_never_longer_than_what_was_watched() -> None:
    young = dataclasses.replace(with_latency(window(20, 40)), incident=IncidentInfo("m", "", NOW - 10))
    assert findings(young)["latency.p50"].window_s == pytest.approx(10)


@pytest.mark.parametrize(("age_s", "verdict"), [(120.0, Verdict.FAIL), (90_000.0, Verdict.WARN)])
def test_an_oom_kill_is_a_finding_and_an_old_one_a_warning(age_s: float, verdict: Verdict) -> None:
    end = Termination("OOMKilled", 137, NOW - age_s)
    container = Container("server", restart_count=1, termination=end, memory_limit_bytes=2**28)
    found = findings(with_pod(containers=(container,)))
    assert found["pods.oom_killed"].verdict is verdict
    assert "256 MiB" in found["pods.oom_killed"].statement


def test_memory_near_the_limit_is_a_finding_only_while_the_usage_is_fresh() -> None:
    snapshot = with_pod()
    fresh = {"prod/m-1": PodUsage("prod", "m-1", NOW - 20, 15.0, 0.2, int(0.95 * 2**28))}
    old = {"prod/m-1": PodUsage("prod", "m-1", NOW - 600, 15.0, 0.2, int(0.95 * 2**28))}
    assert findings(dataclasses.replace(snapshot, usage=fresh))["pods.memory_share"].verdict is Verdict.FAIL
    assert "pods.memory_share" not in findings(dataclasses.replace(snapshot, usage=old))


def test_what_the_cluster_dates_is_as_old_as_the_machines_corrected_clock_says() -> None:
    # The clock ran ten minutes fast and was set right: what the cluster dates is not ten minutes old for that.
    snapshot = with_pod(containers=(Container("c", "image", memory_limit_bytes=2**28),))
    usage = {"prod/m-1": PodUsage("prod", "m-1", NOW - 620, 15.0, 0.2, int(0.95 * 2**28))}
    corrected = dataclasses.replace(snapshot, usage=usage, clock_set_s=-600.0)
    assert findings(corrected)["pods.memory_share"].verdict is Verdict.FAIL


def test_a_pod_without_a_limit_has_no_share() -> None:
    snapshot = with_pod(containers=(Container("server"),))
    usage = {"prod/m-1": PodUsage("prod", "m-1", NOW, 15.0, 5.0, 2**40)}
    found = findings(dataclasses.replace(snapshot, usage=usage))
    assert "pods.memory_share" not in found
    assert "pods.cpu_share" not in found


def test_pods_that_are_not_ready_loop_or_cannot_be_placed() -> None:
    assert severity_of(findings(with_pod(ready=False)).values())[0] == "Critical"
    looping = Container("server", state="waiting", state_reason="CrashLoopBackOff")
    assert "pods.crash_loop" in findings(with_pod(containers=(looping,)))
    unplaced = with_pod(phase="Pending", ready=False, conditions={"PodScheduled": "Unschedulable: no GPU"})
    assert "no GPU" in findings(unplaced)["pods.unschedulable"].statement


def gpu(**changes: object) -> Snapshot:
    return dataclasses.replace(EMPTY, gpus=(GpuDevice("GPU-1", 0, "H100", NOW, "nvml", **changes),))  # type: ignore[arg-type]


def test_heat_cuts_are_a_finding_and_an_ordinary_power_cap_is_not() -> None:
    hot = gpu(clock_reasons=(ClockReason.HW_THERMAL_SLOWDOWN,))
    capped = gpu(clock_reasons=(ClockReason.SW_POWER_CAP,))
    assert findings(hot)["gpu.throttled"].verdict is Verdict.FAIL
    assert findings(capped)["gpu.throttled"].verdict is Verdict.OK


def test_what_a_card_lacks_is_no_evidence() -> None:
    assert findings(gpu()) == {}


def test_an_xid_of_unknown_age_only_warns() -> None:
    assert findings(gpu(xid=79))["gpu.xid"].verdict is Verdict.WARN
    assert findings(gpu(xid=79, xid_at=NOW))["gpu.xid"].verdict is Verdict.FAIL


def test_a_lost_gpu_is_a_finding_and_its_old_figures_are_not_judged() -> None:
    found = findings(gpu(lost="GPU is lost", temperature_c=99.0))
    assert set(found) == {"gpu.lost"}


def test_a_full_disk_and_a_vanished_process_are_findings() -> None:
    host = HostState(NOW, "jump", 2, disk_used_percent={"/": 97.0, "/boot": 10.0})
    gone = ProcessState(NOW, "port 8000", None)
    found = findings(dataclasses.replace(EMPTY, host=host, processes=(gone,)))
    assert found["host.disk"].subject == "/"
    assert found["process.running"].verdict is Verdict.FAIL


def test_error_lines_are_counted_over_the_last_minutes_only() -> None:
    def error(age_s: float) -> LogLine:
        text = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: boom\nits second line'
        return LogLine("a", text, Severity.ERROR, received_at=NOW - age_s)

    errors = (error(1000), *(error(10) for _ in range(30)))
    logs = LogView(errors=errors, counts={Severity.ERROR: 31})
    found = findings(dataclasses.replace(EMPTY, logs=logs))["logs.errors"]
    assert found.sample_size == 30
    assert found.verdict is Verdict.WARN
    assert found.statement.endswith("the last: ValueError: boom")


def test_the_last_error_is_quoted_without_its_own_time_and_level() -> None:
    text = f"2026-01-01 12:00:00 ERROR {'x' * 300}"
    line = LogLine("a", text, Severity.ERROR, received_at=NOW - 1, at=NOW - 1, message_start=26)
    logs = LogView(errors=(line,), counts={Severity.ERROR: 1})
    found = findings(dataclasses.replace(EMPTY, logs=logs))["logs.errors"]
    assert found.statement.endswith(f"the last: {'x' * 159}…")
