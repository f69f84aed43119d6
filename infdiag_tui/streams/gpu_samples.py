"""The points that a GPU's charts are drawn from, the same whichever source read them."""

from __future__ import annotations

from collections.abc import Iterator

from infdiag_tui.model import GpuDevice, Sample, SeriesKey


def samples(device: GpuDevice) -> Iterator[Sample]:
    """The figures of `device` that exist, as samples for charts; none for a card that no longer answers."""
    if device.lost:
        return
    figures: dict[str, float | None] = {
        "gpu.utilization_percent": device.utilization_percent,
        "gpu.memory_used_bytes": device.memory_used_bytes,
        "gpu.temperature_c": device.temperature_c,
        "gpu.power_w": device.power_w,
        "gpu.sm_clock_mhz": device.sm_clock_mhz,
    }
    for metric, value in figures.items():
        if value is not None:
            yield Sample(SeriesKey(metric, device.uuid), float(value), device.at)
