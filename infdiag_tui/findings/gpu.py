"""Evidence from GPUs: use, memory, heat, clocks held back, faults."""

from __future__ import annotations

from collections.abc import Iterator

from infdiag_tui.config import Thresholds
from infdiag_tui.model import Evidence, GpuDevice, Snapshot, Verdict


def assess(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Evidence]:
    """Evidence of every GPU; a figure that a card lacks yields none."""
    for gpu in snapshot.gpus:
        if gpu.lost:
            yield _evidence(gpu, "gpu.lost", f"{label(gpu)} no longer answers: {gpu.lost}", Verdict.FAIL, True)
            continue
        yield from _levels(gpu, thresholds)
        yield from _faults(gpu)


def label(gpu: GpuDevice) -> str:
    """How sentences call a card."""
    return f"GPU {gpu.index}" + (f" on {gpu.host}" if gpu.host else "")


def _evidence(
    gpu: GpuDevice,
    id_: str,
    statement: str,
    verdict: Verdict,
    value: float | str | bool,
    unit: str = "",
    threshold: float | None = None,
    threshold_source: str = "",
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
        threshold=threshold,
        threshold_source=threshold_source,
    )


def _levels(gpu: GpuDevice, thresholds: Thresholds) -> Iterator[Evidence]:
    if gpu.utilization_percent is not None:
        text = f"{label(gpu)} is {gpu.utilization_percent:.0f} % utilised"
        yield _evidence(gpu, "gpu.utilization", text, Verdict.OK, gpu.utilization_percent, "percent")
    if gpu.memory_used_bytes is not None and gpu.memory_total_bytes:
        share = gpu.memory_used_bytes / gpu.memory_total_bytes
        over = share > thresholds.gpu_memory_share
        # Servers that allocate a pool up front fill the card by design, so a full card alone is only a warning.
        yield _evidence(
            gpu,
            "gpu.memory_share",
            f"{label(gpu)} memory is {share:.0%} full",
            Verdict.WARN if over else Verdict.OK,
            share,
            "share",
            thresholds.gpu_memory_share,
            "config thresholds.gpu_memory_share",
        )
    if gpu.temperature_c is not None:
        over = gpu.temperature_c > thresholds.gpu_temperature_c
        yield _evidence(
            gpu,
            "gpu.temperature",
            f"{label(gpu)} is at {gpu.temperature_c:.0f} °C",
            Verdict.WARN if over else Verdict.OK,
            gpu.temperature_c,
            "celsius",
            thresholds.gpu_temperature_c,
            "config thresholds.gpu_temperature_c",
        )


def _faults(gpu: GpuDevice) -> Iterator[Evidence]:
    if gpu.clock_reasons is not None:
        faults = [reason.value for reason in gpu.clock_reasons if reason.is_fault]
        text = f"{label(gpu)} clocks are cut: {', '.join(faults)}" if faults else f"{label(gpu)} is not throttled"
        yield _evidence(gpu, "gpu.throttled", text, Verdict.FAIL if faults else Verdict.OK, bool(faults))
    if gpu.ecc_uncorrected:
        text = f"{label(gpu)} has {gpu.ecc_uncorrected} uncorrected ECC errors"
        yield _evidence(gpu, "gpu.ecc_uncorrected", text, Verdict.FAIL, float(gpu.ecc_uncorrected), "errors")
    if gpu.xid:
        # A gauge keeps the last Xid for ever: without a time it may be from long before this incident.
        fresh = gpu.xid_at is not None
        when = "" if fresh else " at an unknown time before infdiag looked"
        text = f"{label(gpu)} reported Xid {gpu.xid}{when}"
        yield _evidence(gpu, "gpu.xid", text, Verdict.FAIL if fresh else Verdict.WARN, float(gpu.xid))
    elif gpu.xid_watched:
        yield _evidence(gpu, "gpu.xid", f"{label(gpu)} has reported no Xid", Verdict.OK, False)
    if gpu.remap_failed:
        text = f"{label(gpu)} failed to remap a bad memory row: replace the card"
        yield _evidence(gpu, "gpu.remap_failed", text, Verdict.FAIL, True)
