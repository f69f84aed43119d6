"""Resident memory of a session's data: at the start, and after an hour's worth of observations."""

from __future__ import annotations

import subprocess
import sys

import psutil

from benchmarks.terminal import ROOT
from infdiag_tui.hub.hub import Hub
from infdiag_tui.model import LogLine, PodUsage, Reply, Sample, SeriesKey, Severity

PODS, GPUS, PROBES_PER_S, LINES_PER_S, HOUR_S = 20, 8, 5, 100, 3600


def measure() -> list[str]:
    """In a process of its own, so that this one's memory does not count."""
    done = subprocess.run(
        [sys.executable, "-c", "from benchmarks.memory import fill; print(fill())"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return [
        f"### Memory of the data ({PODS} pods, {GPUS} GPUs, {PROBES_PER_S} probes/s, {LINES_PER_S} log lines/s)",
        "",
        "| | resident MB |",
        "|---|---|",
        *done.stdout.strip().splitlines(),
    ]


def fill() -> str:
    """Feeds an hour of observations to a hub, taking a snapshot of its views every ten seconds, as an engine does."""
    hub = Hub()
    rows = [f"| at the start | {_rss_mb():.0f} |"]
    for second in range(HOUR_S):
        at = 1_700_000_000.0 + second
        for gpu in range(GPUS):
            for metric in ("gpu.utilization_percent", "gpu.memory_used_bytes", "gpu.temperature_c", "gpu.power_w"):
                hub.put(Sample(SeriesKey(metric, f"GPU-{gpu}"), float(second % 100), at))
        for probe in range(PROBES_PER_S):
            when = at + probe / PROBES_PER_S
            hub.put(Reply("http://model/predict", when, when + 0.02, total_ms=20.0 + second % 7))
        for number in range(LINES_PER_S):
            text = f"request {second}-{number} served in {number % 40} ms from 10.0.0.{number} path=/predict status=200"
            hub.put(LogLine(f"prod/model-{number % PODS}/server", text, Severity.INFO, at))
        if second % 15 == 0:
            for pod in range(PODS):
                usage = PodUsage("prod", f"model-{pod}", at, 15.0, 0.5, 2**28 + second)
                hub.put(usage)
                hub.put(Sample(SeriesKey("pod.memory_bytes", usage.key), float(usage.memory_bytes), at))
                hub.put(Sample(SeriesKey("pod.cpu_cores", usage.key), usage.cpu_cores, at))
        if second % 10 == 0:
            hub.latency(at)
            hub.logs()
            hub.series()
        if second in (HOUR_S // 2 - 1, HOUR_S - 1):
            rows.append(f"| after {(second + 1) // 60} min | {_rss_mb():.0f} |")
    return "\n".join(rows)


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6
