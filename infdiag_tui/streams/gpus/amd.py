"""What AMD's device-metrics-exporter tells of each GPU, as far as NVIDIA's cards have the same figure.

Names and units: ROCm/device-metrics-exporter, its list of metrics. The GPU operator puts `amd_` before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from infdiag_tui.model import GpuDevice
from infdiag_tui.streams.dcgm_text import holder
from infdiag_tui.text import one_line

PREFIX = "amd_"
_MIB = 1024 * 1024
UTILIZATION = ("gpu_gfx_activity",)
USED_MIB, TOTAL_MIB = ("gpu_used_vram",), ("gpu_total_vram",)
TEMPERATURE = ("gpu_junction_temperature", "gpu_edge_temperature")
"""The hottest point first: cards without an edge sensor tell 0 for it."""
POWER = ("gpu_package_power", "gpu_average_package_power", "gpu_power_usage")
NAMES = (*UTILIZATION, *USED_MIB, *TOTAL_MIB, *TEMPERATURE, *POWER)

Samples = Iterable[tuple[str, Mapping[str, str], float]]


def card_of(labels: Mapping[str, str]) -> str:
    """What tells one card (or partition of one) from another."""
    serial, gpu, host = (
        labels.get("gpu_uuid") or labels.get("serial_number", ""),
        labels.get("gpu_id", ""),
        _host(labels),
    )
    partition = labels.get("gpu_partition_id", "")
    uuid = serial or f"GPU {gpu} of {host}"
    return one_line(uuid if partition in ("", "0") else f"{uuid}/{partition}", 120)


def _host(labels: Mapping[str, str]) -> str:
    return one_line(labels.get("hostname") or labels.get("Hostname") or labels.get("instance", ""), 100)


def amd_device(samples: Samples, at: float, provider: str) -> GpuDevice | None:
    """One card from its samples (name, labels, value); None where they hold none of its figures.

    What the exporter cannot read it tells as 0 or leaves out: a temperature or a size of 0 is no reading.
    """
    values: dict[str, float] = {}
    labels: Mapping[str, str] = {}
    pods: set[str] = set()
    for name, of, value in samples:
        known = name.removeprefix(PREFIX)
        if known in NAMES and 0.0 <= value < 2.0**32 - 1:
            values.setdefault(known, value)
            labels = of
            pods |= {pod} if (pod := holder(of)) else set()
    if not values:
        return None
    gpu = labels.get("gpu_id", "")
    used, total = _first(values, USED_MIB), _first(values, TOTAL_MIB)
    return GpuDevice(
        card_of(labels),
        int(gpu) if gpu.isascii() and gpu.isdigit() else 0,
        one_line(labels.get("card_model") or labels.get("card_series") or "AMD GPU", 100),
        at,
        provider,
        host=_host(labels),
        driver=one_line(labels.get("driver_version", ""), 40),
        utilization_percent=_first(values, UTILIZATION),
        memory_used_bytes=None if used is None else int(used * _MIB),
        memory_total_bytes=int(total * _MIB) if total else None,
        temperature_c=_first(values, TEMPERATURE, above=0.0),
        power_w=_first(values, POWER),
        pod=", ".join(sorted(pods)),
    )


def _first(values: Mapping[str, float], names: tuple[str, ...], *, above: float = -1.0) -> float | None:
    return next((values[name] for name in names if values.get(name, -1.0) > above), None)
