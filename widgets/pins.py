"""What a panel says of itself when the operator pins it to the report: one line with figures, window and time."""

from __future__ import annotations

from infdiag_tui.clock import utc_text
from infdiag_tui.model import GpuDevice, HypothesisStatus, LatencyView, LogLine, Pod, Snapshot, Verdict
from widgets import units

_MOST_GPUS = 8


def gpu_pin(snapshot: Snapshot) -> str:
    """Every GPU's use, memory, heat and what holds its clocks back, with the time of the reading."""
    parts = [_gpu(gpu) for gpu in snapshot.gpus[:_MOST_GPUS]]
    more = len(snapshot.gpus) - _MOST_GPUS
    return "; ".join(parts) + (f"; and {more} more GPUs" if more > 0 else "")


def _gpu(gpu: GpuDevice) -> str:
    if gpu.lost:
        return f"GPU {gpu.index} no longer answers: {gpu.lost}"
    figures = []
    if gpu.utilization_percent is not None:
        figures.append(f"{gpu.utilization_percent:.0f} % utilised")
    if gpu.memory_used_bytes is not None and gpu.memory_total_bytes:
        figures.append(f"{units.number_bytes(gpu.memory_used_bytes)} of {units.number_bytes(gpu.memory_total_bytes)}")
    if gpu.temperature_c is not None:
        figures.append(units.celsius(gpu.temperature_c))
    held = [reason.value for reason in gpu.clock_reasons or () if reason.is_fault]
    figures += [f"clocks cut: {', '.join(held)}"] if held else []
    return f"GPU {gpu.index}: {', '.join(figures) or 'no figures'} ({gpu.provider}, {_time(gpu.at)})"


def pod_pin(snapshot: Snapshot, pod: Pod) -> str:
    """A pod's status, restarts, last termination and use against limits."""
    parts = [f"{pod.name}: {pod.status}, {'ready' if pod.ready else 'not ready'}, {pod.restart_count} restarts"]
    end = pod.last_termination
    if end is not None:
        when = "" if end.finished_at is None else f" at {_time(end.finished_at)}"
        parts.append(f"last ended by {end.reason or 'an unknown reason'} (exit code {end.exit_code}){when}")
    usage = snapshot.usage.get(pod.key)
    if usage is not None:
        limit = pod.memory_limit_bytes
        of_limit = f" of {units.number_bytes(limit)}" if limit else ""
        words = f"{units.number_bytes(usage.memory_bytes)}{of_limit}, {usage.cpu_cores:.2f} cores"
        parts.append(f"{words} over {usage.window_s:.0f} s at {_time(usage.at)}")
    return "; ".join(parts)


def log_pin(entry: LogLine) -> str:
    """A log entry with its source and time."""
    at = entry.at if entry.at is not None else entry.received_at
    return f"log of {entry.source} at {_time(at)}: {entry.severity.value}: {entry.headline}"


def latency_pin(snapshot: Snapshot) -> str:
    """The quantiles and errors of every probed target over its shortest window that has replies."""
    return "; ".join(text for view in snapshot.latency if (text := _latency(view)))


def _latency(view: LatencyView) -> str:
    window = next((one for one in view.windows if one.timed), None)
    if window is None:
        return ""
    figures = []
    for name, quantile in (("p50", window.p50), ("p95", window.p95), ("p99", window.p99)):
        if quantile is not None:
            low, high = quantile.low_ms, quantile.high_ms
            interval = f" ({_ms(low)} to {_ms(high)})" if low is not None or high is not None else ""
            figures.append(f"{name} {quantile.value_ms:.1f} ms{interval}")
    span = f"{window.window_s:.0f} s" if window.window_s is not None else "start"
    errors = sum(count for _, count in window.errors)
    return f"latency of {view.target}: {', '.join(figures)}; n={window.timed} in {span}, {errors} errors"


def _ms(value: float | None) -> str:
    return "unbounded" if value is None else f"{value:.1f}"


def finding_pin(snapshot: Snapshot) -> str:
    """The root cause, else the likeliest hypothesis, else the worst finding."""
    diagnosis = snapshot.diagnosis
    if diagnosis.root_cause is not None:
        return f"root cause: {diagnosis.root_cause.title}: {diagnosis.root_cause.reason}"
    likely = next((one for one in diagnosis.hypotheses if one.status is HypothesisStatus.LIKELY), None)
    if likely is not None:
        return f"likely: {likely.title}: {likely.reason}"
    bad = [one for one in snapshot.evidence if one.verdict in (Verdict.FAIL, Verdict.WARN)]
    worst = next((one for one in bad if one.verdict is Verdict.FAIL), bad[0] if bad else None)
    return f"{worst.verdict.value}: {worst.statement}" if worst is not None else ""


def _time(at: float) -> str:
    return utc_text(at)[11:]
