"""Evidence from a GPU's use over time: without a break, idle though it should work, at a fraction of its clock."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from infdiag_tui.findings.gpu import label
from infdiag_tui.findings.series import EMPTY, is_fresh, recent, weighted_mean
from infdiag_tui.model import ClockReason, Evidence, GpuDevice, SeriesKey, SeriesView, Snapshot, Verdict

WINDOW_S = 30.0
LEAST_READINGS = 5
FRESH_S = 30.0
BUSY, NEARLY_BUSY, TIME_LEFT = 95.0, 90.0, 85.0
IDLE = 5.0
LOADED = 0.3
"""Time in the model per second of which a GPU that does the work shows something: from here on an idle one is idle."""
LOAD_WINDOW_S = 30.0

CLOCK_BUSY = 50.0
CLOCK_LOW, CLOCK_VERY_LOW = 0.7, 0.5
"""Shares of the highest clock. Under a power cap cards run at 0.75 and more of it (base over boost clock of data-centre
cards); half is no ordinary state."""


@dataclass(frozen=True, slots=True)
class _Load:
    """Time spent in the model per second of wall time, and whether the server's own metrics say so."""

    share: float
    measured: bool
    words: str


def assess(snapshot: Snapshot) -> Iterator[Evidence]:
    """Evidence of every card with half a minute of readings."""
    for gpu in snapshot.gpus:
        use = snapshot.series.get(SeriesKey("gpu.utilization_percent", gpu.uuid), EMPTY)
        if gpu.lost or not is_fresh(use, snapshot.at, FRESH_S):
            continue
        window = recent(use, WINDOW_S)
        span_s = window.times[-1] - window.times[0]
        if len(window.values) < LEAST_READINGS or span_s < 0.8 * WINDOW_S:
            continue
        yield _saturated(gpu, window, span_s)
        yield from _idle(gpu, window, span_s, snapshot)
        yield from _clock(gpu, window, snapshot)


def _evidence(
    gpu: GpuDevice,
    id_: str,
    statement: str,
    verdict: Verdict,
    value: float,
    unit: str,
    window: tuple[float, int],
    threshold: float,
    threshold_source: str,
) -> Evidence:
    return Evidence(
        id=id_,
        statement=statement,
        verdict=verdict,
        source=gpu.provider,
        at=gpu.at,
        value=value,
        unit=unit,
        subject=gpu.uuid,
        window_s=window[0],
        sample_size=window[1],
        threshold=threshold,
        threshold_source=threshold_source,
    )


def _saturated(gpu: GpuDevice, window: SeriesView, span_s: float) -> Evidence:
    least, mean = min(window.values), statistics.fmean(window.values)
    if least >= BUSY:
        verdict = Verdict.FAIL
    elif mean >= NEARLY_BUSY:
        verdict = Verdict.WARN
    else:
        verdict = Verdict.OK if mean < TIME_LEFT else Verdict.UNKNOWN
    text = f"{label(gpu)} was {mean:.0f} % busy over {span_s:.0f} s, never below {least:.0f} %"
    size = (span_s, len(window.values))
    return _evidence(gpu, "gpu.saturated", text, verdict, mean, "percent", size, BUSY, "busy without a break")


def _idle(gpu: GpuDevice, window: SeriesView, span_s: float, snapshot: Snapshot) -> Iterator[Evidence]:
    """Whether the card works while the model that holds it does; nothing where nobody says whose it is."""
    if not _is_the_models(gpu, snapshot):
        return
    load = _load(gpu, snapshot)
    if load is None:
        return
    most, mean = max(window.values), statistics.fmean(window.values)
    if most > IDLE:
        verdict = Verdict.OK
    elif load.share >= LOADED:
        verdict = Verdict.FAIL if load.measured else Verdict.WARN
    else:
        return  # a few short requests leave no trace in a card's use
    text = f"{label(gpu)} is {mean:.0f} % busy while {load.words}"
    size = (span_s, len(window.values))
    yield _evidence(gpu, "gpu.idle_under_load", text, verdict, mean, "percent", size, IDLE, "a GPU that does the work")


def _is_the_models(gpu: GpuDevice, snapshot: Snapshot) -> bool:
    """True when one of the model's pods holds it, or the watched process runs beside it and nobody else is on it."""
    held = {name.strip() for name in gpu.pod.split(",") if name.strip()}
    if held & {pod.key for pod in snapshot.pods}:
        return True
    watched = {process.pid for process in snapshot.processes if process.running}
    here = snapshot.host is not None and gpu.host in ("", snapshot.host.hostname)
    alone = gpu.processes is not None and all(one.pid in watched for one in gpu.processes)
    return bool(watched) and here and alone


def _load(gpu: GpuDevice, snapshot: Snapshot) -> _Load | None:
    """How much of its time the model works, by the replica's own metrics, all replicas', or the probe."""
    held = [name.strip() for name in gpu.pod.split(",") if name.strip()]
    for entity in (*held, ""):
        rate = snapshot.series.get(SeriesKey("server.request_rate", entity), EMPTY)
        times = snapshot.series.get(SeriesKey("stages.inference_ms", entity), EMPTY)
        found = weighted_mean(times, rate, LOAD_WINDOW_S) if is_fresh(times, snapshot.at, 2 * FRESH_S) else None
        if found is not None:
            share = found.n / found.window_s * found.mean / 1000.0
            replicas = max(1, sum(pod.ready for pod in snapshot.pods)) if not entity else 1
            per_s = found.n / found.window_s
            words = f"its server spends {found.mean:.0f} ms in the model for each of {per_s:.1f} requests/s"
            return _Load(share / replicas, measured=True, words=words)
    for view in snapshot.latency:
        newest = view.replies[-1].at if view.replies else 0.0
        answered = [one for one in view.replies if one.ok and newest - one.at <= LOAD_WINDOW_S]
        if len(answered) >= LEAST_READINGS:
            waited_s = sum((one.phases.wait_ms or one.own_ms) / 1000.0 for one in answered)
            words = f"the probe's {len(answered)} requests are answered"
            return _Load(waited_s / LOAD_WINDOW_S, measured=False, words=words)
    return None


def _clock(gpu: GpuDevice, window: SeriesView, snapshot: Snapshot) -> Iterator[Evidence]:
    clocks = snapshot.series.get(SeriesKey("gpu.sm_clock_mhz", gpu.uuid), EMPTY)
    if not gpu.sm_clock_max_mhz or not is_fresh(clocks, snapshot.at, FRESH_S):
        return
    chosen = gpu.clock_reasons is not None and ClockReason.APPLICATIONS_CLOCKS_SETTING in gpu.clock_reasons
    values = recent(clocks, WINDOW_S).values
    # An idle card slows down as it should, and one that was told to run slower does what it was told.
    if statistics.fmean(window.values) < CLOCK_BUSY or chosen or len(values) < LEAST_READINGS:
        return
    share = statistics.median(values) / gpu.sm_clock_max_mhz
    low = Verdict.FAIL if share < CLOCK_VERY_LOW else Verdict.WARN
    verdict = low if share < CLOCK_LOW else Verdict.OK
    text = f"{label(gpu)} runs at {share:.0%} of its highest clock while {statistics.fmean(window.values):.0f} % busy"
    size = (WINDOW_S, len(values))
    yield _evidence(gpu, "gpu.clock_drop", text, verdict, share, "share", size, CLOCK_LOW, "the card's highest clock")
