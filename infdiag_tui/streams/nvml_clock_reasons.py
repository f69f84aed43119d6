"""The bits that say why a GPU's clocks are held back; NVML and dcgm-exporter share them."""

from __future__ import annotations

from infdiag_tui.model import ClockReason

# Bits: nvmlClocksEventReasons of NVIDIA's NVML API reference.
_REASONS = {
    0x001: ClockReason.GPU_IDLE,
    0x002: ClockReason.APPLICATIONS_CLOCKS_SETTING,
    0x004: ClockReason.SW_POWER_CAP,
    0x008: ClockReason.HW_SLOWDOWN,
    0x010: ClockReason.SYNC_BOOST,
    0x020: ClockReason.SW_THERMAL_SLOWDOWN,
    0x040: ClockReason.HW_THERMAL_SLOWDOWN,
    0x080: ClockReason.HW_POWER_BRAKE_SLOWDOWN,
    0x100: ClockReason.DISPLAY_CLOCK_SETTING,
}


def clock_reasons(bits: int) -> tuple[ClockReason, ...]:
    """The reasons that `bits` (nvmlClocksEventReasons) name; bits without a name in the API are `OTHER`."""
    known = tuple(reason for bit, reason in _REASONS.items() if bits & bit)
    return (*known, ClockReason.OTHER) if bits & ~sum(_REASONS) else known
