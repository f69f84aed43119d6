"""A scripted engine and realistic snapshots for tests of the console."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping

from infdiag_tui.model import (
    ClockReason,
    ClusterEvent,
    CompanionOffer,
    Container,
    DraftView,
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
    Quantile,
    Reply,
    SeriesKey,
    SeriesView,
    Severity,
    Snapshot,
    SourceHealth,
    SourceState,
    StartFailure,
    Termination,
    Verdict,
)

NOW = 1_767_236_645.0  # 2026-01-01 03:04:05Z
MIB = 2**20

DRAFT = """## Inference Diagnostic Report: fraud-scorer

### Issue Summary

**Symptom**: Slow inference
**Severity**: High
**Duration**: watched since 2026-01-01 02:51:31Z (12 min)

### Findings

**Infrastructure:**
- CPU/GPU utilization: GPU 0 97 % (nvml); fraud-scorer-7d9c6b5f4-x2x9p 1.92 of 2 cores
- Memory usage: fraud-scorer-7d9c6b5f4-x2x9p 1990 MiB of 2048 MiB
- Latency p50/p95/p99: 210.0 ms / 1850.0 ms / above 2100.0 ms (since start, n=96)

### Notes

"""


class ManualClock:
    """Time that only the test moves."""

    def __init__(self, now: float = NOW) -> None:
        self.at = now

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


class ScriptedEngine:
    """Hands out what the test puts in; keeps the draft as an engine would."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.latest = snapshot
        self.start_failure: StartFailure | None = None
        self.notes: list[str] = []
        self.exports = 0
        self.looked_beside = 0
        self.given_back: list[int] = []
        self.footnotes = True
        self.started = threading.Event()
        self.stops: list[float] = []
        self.edits: list[tuple[str, int]] = []
        self.apply_edits = True
        self.started_checks: list[tuple[str, dict[str, str]]] = []
        self.confirmed: list[int] = []
        self.cancelled: list[int] = []
        self.companions: list[CompanionOffer] = []
        self.stopped_companions: list[int] = []

    def start(self) -> None:
        self.started.set()

    def snapshot(self) -> Snapshot | None:
        return self.latest

    def failure(self) -> StartFailure | None:
        return self.start_failure

    def edit_draft(self, text: str, base_version: int) -> int:
        self.edits.append((text, base_version))
        number = len(self.edits)
        if self.apply_edits and self.latest is not None:
            draft = self.latest.draft
            self.set_draft(dataclasses.replace(draft, text=text, version=draft.version + 1, applied_edit=number))
        return number

    def add_note(self, text: str) -> None:
        self.notes.append(text)

    def give_back_line(self, line_number: int) -> None:
        self.given_back.append(line_number)

    def show_footnotes(self, *, shown: bool) -> None:
        self.footnotes = shown

    def export(self) -> None:
        self.exports += 1

    def look_beside_model(self) -> None:
        self.looked_beside += 1

    def start_companion(self, offer: CompanionOffer) -> int:
        self.companions.append(offer)
        return len(self.companions)

    def stop_companion(self, run_id: int) -> None:
        self.stopped_companions.append(run_id)

    def start_check(self, name: str, values: Mapping[str, str]) -> int:
        self.started_checks.append((name, dict(values)))
        return len(self.started_checks)

    def confirm_check(self, run_id: int) -> None:
        self.confirmed.append(run_id)

    def cancel_check(self, run_id: int) -> None:
        self.cancelled.append(run_id)

    def stop(self, timeout_s: float) -> bool:
        self.stops.append(timeout_s)
        return True

    def set_draft(self, draft: DraftView) -> None:
        assert self.latest is not None
        self.latest = dataclasses.replace(self.latest, draft=draft, number=self.latest.number + 1)


def health(name: str, state: SourceState = SourceState.LIVE, age_s: float | None = 1.0, **more: object) -> SourceHealth:
    last = None if age_s is None else NOW - age_s
    return SourceHealth(name, state, NOW - 700, last_data_at=last, **more)  # type: ignore[arg-type]


def evidence() -> tuple[Evidence, ...]:
    pod = "shop/fraud-scorer-7d9c6b5f4-x2x9p"
    return (
        Evidence(
            "pods.oom_killed",
            "fraud-scorer-7d9c6b5f4-x2x9p was OOMKilled at its limit of 2048 MiB 3 min ago (exit code 137)",
            Verdict.FAIL,
            "pods",
            NOW,
            value=True,
            subject=pod,
            threshold=2048.0 * MIB,
            unit="bytes",
            threshold_source="container memory limit",
            since=NOW - 190,
        ),
        Evidence(
            "latency.p99",
            "p99 latency is 2.1 s, above the objective of 500 ms",
            Verdict.FAIL,
            "latency",
            NOW,
            value=2100.0,
            unit="ms",
            window_s=60.0,
            sample_size=58,
            threshold=500.0,
            threshold_source="config objective_p99_ms",
            since=NOW - 420,
        ),
        Evidence(
            "gpu.temperature",
            "GPU 0 is at 88 °C",
            Verdict.WARN,
            "nvml",
            NOW,
            value=88.0,
            unit="celsius",
            subject="GPU-11111111-2222",
            threshold=85.0,
            threshold_source="config thresholds.gpu_temperature_c",
            since=NOW - 33,
        ),
        Evidence(
            "latency.error_rate",
            "1.7 % of requests fail",
            Verdict.WARN,
            "latency",
            NOW,
            value=0.017,
            unit="share",
            window_s=60.0,
            sample_size=58,
            threshold=0.01,
            threshold_source="config thresholds.error_rate",
            since=NOW - 61,
        ),
        Evidence("gpu.utilization", "GPU 0 is 97 % utilised", Verdict.OK, "nvml", NOW, value=97.0, unit="percent"),
        Evidence("host.disk", "Disk / is 41 % full", Verdict.OK, "host", NOW, value=0.41, unit="share"),
    )


def gpus() -> tuple[GpuDevice, ...]:
    base = GpuDevice(
        "GPU-11111111-2222",
        0,
        "NVIDIA H100 80GB HBM3",
        NOW,
        "nvml",
        driver="570.86",
        utilization_percent=97,
        memory_utilization_percent=60,
        memory_used_bytes=71_000 * MIB,
        memory_total_bytes=81_559 * MIB,
        temperature_c=88,
        power_w=690,
        power_limit_w=700,
        sm_clock_mhz=1410,
        sm_clock_max_mhz=1980,
        clock_reasons=(ClockReason.SW_THERMAL_SLOWDOWN,),
        pcie_generation=5,
        pcie_width=16,
    )
    return (
        base,
        dataclasses.replace(
            base,
            uuid="GPU-3",
            index=1,
            utilization_percent=3,
            memory_used_bytes=612 * MIB,
            temperature_c=41,
            power_w=74,
            sm_clock_mhz=345,
            clock_reasons=(ClockReason.GPU_IDLE,),
        ),
    )


def pods() -> tuple[Pod, ...]:
    def pod(suffix: str, restarts: int, *, ready: bool = True, end: Termination | None = None) -> Pod:
        return Pod(
            "shop",
            f"fraud-scorer-7d9c6b5f4-{suffix}",
            f"uid-{suffix}",
            "Running",
            NOW,
            node="gpu-node-7",
            created_at=NOW - 86_400,
            ready=ready,
            containers=(
                Container(
                    "server",
                    image="registry.example.com/fraud-scorer:2.4.1",
                    ready=ready,
                    restart_count=restarts,
                    state="running",
                    started_at=NOW - 190,
                    termination=end,
                    cpu_request_cores=1.0,
                    cpu_limit_cores=2.0,
                    memory_request_bytes=1024 * MIB,
                    memory_limit_bytes=2048 * MIB,
                ),
            ),
        )

    return (
        pod("x2x9p", 4, end=Termination("OOMKilled", 137, NOW - 190)),
        pod("b7k2m", 0),
        pod("q9w4z", 1, ready=False),
    )


def latency() -> LatencyView:
    def window(window_s: float | None, requests: int) -> LatencyWindow:
        return LatencyWindow(
            window_s=window_s,
            requests=requests,
            answered=requests - 1,
            errors=((ErrorKind.TIMEOUT, 1),),
            error_rate=1 / requests,
            timeout_rate=1 / requests,
            p50=Quantile(210, 190, 230),
            p95=Quantile(1850, 1500, 2400),
            p99=Quantile(2100, 1800, None),
            max_ms=5000,
            jitter=10.0,
            reused_share=0.98,
            median_phases=Phases(send_ms=0.1, wait_ms=207, receive_ms=0.3),
        )

    recent = tuple(
        (NOW - 120 + i, None if i == 77 else 180 + (i * 37) % 60 + (1700 if i % 17 == 0 else 0)) for i in range(120)
    )
    last = Reply("http://model-server:8000/predict", NOW - 1, NOW - 0.8, 212.0, status=200, model_version="2.4.1")
    return LatencyView(
        "http://model-server:8000/predict",
        (window(60.0, 58), window(300.0, 290), window(None, 754)),
        last,
        dataclasses.replace(last, error=ErrorKind.TIMEOUT, error_text="no answer in 5 s"),
        recent,
    )


def logs(count: int = 400) -> LogView:
    kinds = (Severity.INFO, Severity.INFO, Severity.INFO, Severity.WARNING, Severity.INFO, Severity.ERROR)
    texts = {
        Severity.INFO: "POST /predict 200 211 ms request_id=8f2a[3]",
        Severity.WARNING: "queue depth 41 above soft limit 32 [/bold]",
        Severity.ERROR: "RuntimeError: CUDA out of memory. Tried to allocate 512.00 MiB",
    }
    lines = tuple(
        LogLine(
            "shop/fraud-scorer-7d9c6b5f4-x2x9p/server",
            texts[kinds[i % 6]],
            kinds[i % 6],
            NOW - count + i,
            at=NOW - count + i,
        )
        for i in range(count)
    )
    errors = tuple(line for line in lines if line.severity.is_error)
    counts = {kind: sum(line.severity is kind for line in lines) for kind in Severity}
    return LogView(lines, 0, errors, 0, counts, {"shop/fraud-scorer-7d9c6b5f4-x2x9p/server": count})


def series() -> dict[SeriesKey, SeriesView]:
    def curve(low: float, high: float, key: str, entity: str) -> tuple[SeriesKey, SeriesView]:
        times = tuple(NOW - 600 + 5 * i for i in range(120))
        values = tuple(low + (high - low) * min(1.0, i / 90) for i in range(120))
        return SeriesKey(key, entity), SeriesView(times, values, values, values)

    return dict(
        [
            curve(40, 97, "gpu.utilization_percent", "GPU-11111111-2222"),
            curve(2, 3, "gpu.utilization_percent", "GPU-3"),
            curve(900 * MIB, 1990 * MIB, "pod.memory_bytes", "shop/fraud-scorer-7d9c6b5f4-x2x9p"),
        ]
    )


def incident_snapshot(number: int = 1) -> Snapshot:
    """A memory leak in full swing, one source down, one starting."""
    found = pods()
    usage = {
        pod.key: PodUsage(pod.namespace, pod.name, NOW - 12, 15.0, 1.92 - 0.6 * i, (1990 - 700 * i) * MIB)
        for i, pod in enumerate(found)
    }
    return Snapshot(
        at=NOW,
        number=number,
        incident=IncidentInfo("fraud-scorer", "slow-inference", NOW - 754, "/var/lib/infdiag/20260101T025131Z"),
        sources={
            one.name: one
            for one in (
                health("latency"),
                health("logs"),
                health("pods"),
                health("gpu_nvml"),
                health(
                    "gpu_dcgm",
                    SourceState.UNAVAILABLE,
                    45.0,
                    reason="connection refused by node7:9400",
                    remedy="check that dcgm-exporter runs",
                    retry_at=NOW + 8,
                ),
                health("process", SourceState.STARTING, None),
                health("host"),
                health("engine", age_s=0.4),
            )
        },
        host=HostState(
            NOW,
            "jump-1",
            8,
            cpu_percent=12.0,
            load=(0.4, 0.5, 0.4),
            memory_total_bytes=32_000 * MIB,
            memory_available_bytes=20_000 * MIB,
        ),
        gpus=gpus(),
        pods=found,
        usage=usage,
        events=(
            ClusterEvent(
                "e1",
                "shop",
                "Pod",
                found[0].name,
                "Warning",
                "BackOff",
                "Back-off restarting failed container server",
                6,
                NOW - 400,
                NOW - 60,
                NOW - 60,
            ),
        ),
        latency=(latency(),),
        logs=logs(),
        series=series(),
        evidence=evidence(),
        severity="High",
        draft=DraftView(DRAFT, 3, 0, "/var/lib/infdiag/20260101T025131Z/report.md", NOW - 2),
    )
