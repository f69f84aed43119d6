"""Scripted snapshots: a quiet service, an incident, and text that tries to break the screen."""

from __future__ import annotations

import math
from dataclasses import replace

from infdiag_tui.model import (
    ClockReason,
    ClusterEvent,
    Container,
    ErrorKind,
    Evidence,
    GpuDevice,
    GpuProcess,
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
    SeriesKey,
    SeriesView,
    Severity,
    Snapshot,
    SourceHealth,
    SourceState,
    Termination,
    Verdict,
)

NOW = 1_700_000_000.0
GIB = 2**30
UUID = "GPU-1f2e3d4c-0000"
SOURCES = ("gpu_nvml", "host", "process", "cluster", "logs", "latency")

TRACEBACK = """Traceback (most recent call last):
  File "/srv/model/predict.py", line 88, in predict
    batch = torch.stack(rows)
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"""

HOSTILE = (
    "[red]x[/red]",
    "[/]",
    "[bold",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "emoji 👩‍💻🔥 and 日本語 and e\u0301",
    "\u202eright to left\u200b",
    "x" * 10_000,
    "\x00\x07\x9b",
    "",
)


def live(name: str, age_s: float = 0.4) -> SourceHealth:
    return SourceHealth(name, SourceState.LIVE, NOW - 600, last_data_at=NOW - age_s)


def broken(name: str, state: SourceState, reason: str = "", remedy: str = "", age_s: float | None = 23) -> SourceHealth:
    return SourceHealth(
        name,
        state,
        NOW - 25,
        last_data_at=None if age_s is None else NOW - age_s,
        reason=reason,
        remedy=remedy,
        retry_at=NOW + 2,
    )


def series(level: float, swing: float, *, missing: tuple[int, int] = (120, 150), points: int = 300) -> SeriesView:
    kept = [index for index in range(points) if not missing[0] <= index < missing[1]]
    times = tuple(NOW - points + index for index in kept)
    values = tuple(level + swing * math.sin(index / 17) for index in kept)
    return SeriesView(times, values, values, values)


def rising(first: float, last: float, span_s: float = 900, points: int = 180) -> SeriesView:
    times = tuple(NOW - span_s + span_s * index / points for index in range(points))
    values = tuple(first + (last - first) * index / points for index in range(points))
    return SeriesView(times, values, values, values)


def gpu(index: int = 0, **changes: object) -> GpuDevice:
    card = GpuDevice(
        uuid=UUID if index == 0 else f"GPU-{index}",
        index=index,
        name="NVIDIA H200",
        at=NOW - 0.4,
        provider="nvml",
        driver="580.82.07",
        utilization_percent=97.0,
        memory_utilization_percent=64.0,
        memory_used_bytes=int(133.2 * GIB),
        memory_total_bytes=int(139.8 * GIB),
        temperature_c=86.0,
        power_w=689.0,
        power_limit_w=700.0,
        sm_clock_mhz=1305,
        sm_clock_max_mhz=1980,
        memory_clock_mhz=3201,
        memory_clock_max_mhz=3201,
        clock_reasons=(ClockReason.SW_POWER_CAP, ClockReason.HW_THERMAL_SLOWDOWN),
        ecc_corrected=0,
        ecc_uncorrected=0,
        pcie_generation=5,
        pcie_generation_max=5,
        pcie_width=16,
        pcie_width_max=16,
        processes=(GpuProcess(4242, "tritonserver", int(130 * GIB)), GpuProcess(77, "", None)),
        pod="prod/fraud-scorer-7d9c6b5f4-x2x9k",
    )
    return replace(card, **changes)  # type: ignore[arg-type]


def host(**changes: object) -> HostState:
    state = HostState(
        at=NOW,
        hostname="jump-1",
        cores=16,
        cpu_percent=34.2,
        load=(5.21, 4.87, 3.02),
        memory_total_bytes=64 * GIB,
        memory_available_bytes=41 * GIB,
        swap_total_bytes=8 * GIB,
        swap_used_bytes=0,
        disk_used_percent={"/": 71.0, "/var": 93.5},
        disk_read_bytes_per_s=1.2e6,
        disk_write_bytes_per_s=3.4e6,
        net_received_bytes_per_s=8.1e5,
        net_sent_bytes_per_s=2.2e5,
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def process(**changes: object) -> ProcessState:
    state = ProcessState(
        at=NOW,
        looked_for="port 8000",
        pid=4242,
        name="tritonserver",
        running=True,
        cpu_percent=231.0,
        rss_bytes=int(3.2 * GIB),
        threads=64,
        open_files=210,
        started_at=NOW - 11_000,
        restarts=1,
    )
    return replace(state, **changes)  # type: ignore[arg-type]


def pod(tail: str, *, memory_limit: int | None = 2 * GIB, **changes: object) -> Pod:
    container = Container(
        name="model",
        image="registry.example/fraud-scorer:v12",
        digest="sha256:9c1f22ab34cd56ef",
        ready=True,
        state="running",
        started_at=NOW - 130,
        cpu_limit_cores=2.0,
        memory_limit_bytes=memory_limit,
    )
    value = Pod(
        namespace="prod",
        name=f"fraud-scorer-7d9c6b5f4-{tail}",
        uid=f"uid-{tail}",
        phase="Running",
        at=NOW,
        node="gpu-node-a17.eu-central",
        created_at=NOW - 90_000,
        ready=True,
        containers=(container,),
    )
    return replace(value, **changes)  # type: ignore[arg-type]


def killed_pod(tail: str = "x2x9k") -> Pod:
    container = replace(
        pod(tail).containers[0],
        ready=False,
        restart_count=4,
        state="waiting",
        state_reason="CrashLoopBackOff",
        state_message="back-off 2m40s restarting failed container=model",
        termination=Termination("OOMKilled", 137, NOW - 130),
    )
    return pod(tail, ready=False, containers=(container,))


def usage(of: Pod, share: float, age_s: float = 14) -> PodUsage:
    return PodUsage(of.namespace, of.name, NOW - age_s, 15.0, 1.234, int(share * 2 * GIB))


def windows() -> tuple[LatencyWindow, ...]:
    phases = Phases(dns_ms=1.1, connect_ms=2.3, send_ms=0.12, wait_ms=118.0, receive_ms=0.4)
    first = LatencyWindow(
        60, 58, 55, ((ErrorKind.TIMEOUT, 2), (ErrorKind.HTTP_STATUS, 1)), 0.0517, 0.0345,
        p50=Quantile(123.4, 118.0, 131.0), p95=Quantile(410.0, 180.0, None), p99=Quantile(5000.0, 410.0, None, True),
        max_ms=4802.0, jitter=40.5, reused_share=0.92, median_phases=phases, fresh_p50_ms=140.2, reused_p50_ms=121.0,
    )  # fmt: skip
    second = replace(first, window_s=300, requests=298, answered=294, p95=Quantile(401.0, 320.0, 610.0))
    whole = replace(
        second,
        window_s=None,
        requests=1203,
        answered=1198,
        error_rate=0.0042,
        timeout_rate=0.0017,
        p99=Quantile(890.0, 610.0, 1900.0),
        jitter=7.2,
    )
    return first, second, whole


def latency_view(target: str = "http://model-server:8000/predict") -> LatencyView:
    recent = tuple(
        (
            NOW - 300 + index,
            None if index in (200, 201, 260) else 120 + 60 * math.sin(index / 9) + (index % 50 == 0) * 300,
        )
        for index in range(300)
        if not 80 <= index < 110
    )
    failed = Reply(target, NOW - 42, NOW - 40, 5000.0, error=ErrorKind.TIMEOUT, error_text="")
    return LatencyView(
        target,
        windows(),
        last=Reply(target, NOW - 1, NOW - 0.9, 121.0, status=200, model_version="v12"),
        last_error=failed,
        recent=recent,
    )


def log_line(text: str, severity: Severity = Severity.INFO, *, age_s: float = 0.0, source: str = "") -> LogLine:
    return LogLine(source or "prod/fraud-scorer-7d9c6b5f4-x2x9k/model", text, severity, NOW - age_s, at=NOW - age_s)


def log_view(lines: tuple[LogLine, ...], *, first_seq: int = 0) -> LogView:
    errors = tuple(line for line in lines if line.severity.is_error)
    counts: dict[Severity, int] = {}
    for line in lines:
        counts[line.severity] = counts.get(line.severity, 0) + 1
    if first_seq:
        counts[Severity.DEBUG] = counts.get(Severity.DEBUG, 0) + first_seq
    return LogView(lines, first_seq, errors, 0, counts, {})


def incident_logs(count: int = 200) -> LogView:
    lines = []
    for index in range(count):
        age_s = float(count - index)
        if index % 40 == 33:
            lines.append(log_line(TRACEBACK, Severity.ERROR, age_s=age_s))
        elif index % 25 == 12:
            lines.append(log_line("queue depth 48 over 32, shedding load", Severity.WARNING, age_s=age_s))
        else:
            text = f'{index} POST /predict 200 in {100 + index % 60} ms batch={index % 8} client="10.0.{index % 9}.7"'
            lines.append(log_line(text, age_s=age_s))
    return log_view(tuple(lines))


def warning_event(
    reason: str = "BackOff", message: str = "Back-off restarting failed container", age_s: float = 42
) -> ClusterEvent:
    return ClusterEvent(
        f"uid-{reason}", "prod", "Pod", "fraud-scorer-7d9c6b5f4-x2x9k", "Warning", reason, message, 7, NOW - 300,
        NOW - age_s, NOW,
    )  # fmt: skip


def evidence(id_: str, verdict: Verdict, subject: str = "", window_s: float | None = None) -> Evidence:
    return Evidence(id_, f"{id_} {verdict}", verdict, "test", NOW, subject=subject, window_s=window_s)


def quiet() -> Snapshot:
    """All sources live and nothing seen yet."""
    return Snapshot(
        NOW,
        1,
        IncidentInfo("fraud-scorer", "slow-inference", NOW - 600),
        sources={name: live(name) for name in SOURCES},
    )


def incident() -> Snapshot:
    """A replica is killed for memory, a GPU is too hot, latency has a long tail."""
    pods = (pod("aaaaa"), killed_pod(), pod("zq81m", memory_limit=None))
    return replace(
        quiet(),
        host=host(),
        processes=(process(),),
        gpus=(gpu(),),
        pods=pods,
        usage={pods[0].key: usage(pods[0], 0.62), pods[1].key: usage(pods[1], 0.97, age_s=95)},
        events=(warning_event(), warning_event("Unhealthy", "Readiness probe failed: HTTP 503", age_s=12)),
        latency=(latency_view(),),
        logs=incident_logs(),
        series={
            SeriesKey("gpu.utilization_percent", UUID): series(70, 28),
            SeriesKey("gpu.memory_used_bytes", UUID): rising(90 * GIB, 133 * GIB, span_s=300),
            SeriesKey("host.cpu_percent"): series(34, 10),
            SeriesKey("host.memory_used_bytes"): series(23 * GIB, GIB),
            SeriesKey("pod.memory_bytes", pods[1].key): rising(0.4 * GIB, 1.94 * GIB),
        },
        evidence=(
            evidence("gpu.temperature", Verdict.WARN, UUID),
            evidence("gpu.throttled", Verdict.FAIL, UUID),
            evidence("gpu.memory_share", Verdict.WARN, UUID),
            evidence("pods.oom_killed", Verdict.FAIL, pods[1].key),
            evidence("pods.memory_share", Verdict.WARN, pods[1].key),
            evidence("pods.restarts", Verdict.WARN, pods[1].key),
            evidence("latency.p99", Verdict.FAIL, "http://model-server:8000/predict", 60),
            evidence("latency.error_rate", Verdict.FAIL, "http://model-server:8000/predict", 60),
            evidence("host.disk", Verdict.WARN, "/var"),
        ),
    )  # fmt: skip


def hostile(text: str) -> Snapshot:
    """An incident in which every text that comes from outside is `text`."""
    container = replace(
        killed_pod().containers[0], name=text, image=text, digest=text, state_reason=text, state_message=text,
        termination=Termination(text, 137, NOW, message=text),
    )  # fmt: skip
    bad = pod("x", name=text, namespace=text, node=text, containers=(container,), message=text, conditions={text: text})
    card = gpu(name=text, driver=text, host=text, pod=text, processes=(GpuProcess(1, text, 1),), mig_profile=text)
    reply = Reply(text, NOW, NOW, 1.0, error=ErrorKind.HTTP_STATUS, status=500, error_text=text, model_version=text)
    lines = tuple(log_line(text or " ", severity, source=text) for severity in Severity)
    return replace(
        incident(),
        sources={name: broken(name, SourceState.DEGRADED, text, text) for name in SOURCES},
        host=host(hostname=text, disk_used_percent={text: 50.0}),
        processes=(process(name=text, looked_for=text), process(looked_for=text, running=False)),
        gpus=(card, replace(card, index=1, lost=text or "lost")),
        pods=(bad,),
        events=(replace(warning_event(text, text), name=text),),
        latency=(replace(latency_view(text), last=reply, last_error=reply),),
        logs=log_view(lines),
    )
