"""What `nvidia-smi --query-gpu=... --format=csv` prints, as GPUs."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence

from infdiag_tui.model import ClockReason, GpuDevice
from infdiag_tui.streams.nvml_clock_reasons import clock_reasons
from infdiag_tui.text import one_line

PROVIDER = "nvidia-smi"
FIELDS = (
    "index",
    "uuid",
    "name",
    "driver_version",
    "mig.mode.current",
    "utilization.gpu",
    "utilization.memory",
    "memory.total",
    "memory.used",
    "memory.reserved",
    "temperature.gpu",
    "power.draw",
    "enforced.power.limit",
    "clocks.sm",
    "clocks.max.sm",
    "clocks.mem",
    "clocks.max.mem",
    "clocks_event_reasons.active",
    "ecc.errors.corrected.volatile.total",
    "ecc.errors.uncorrected.volatile.total",
    "pcie.link.gen.current",
    "pcie.link.gen.max",
    "pcie.link.width.current",
    "pcie.link.width.max",
)
OLD_NAMES = {
    "clocks_event_reasons.active": "clocks_throttle_reasons.active",
    "enforced.power.limit": "power.limit",
}
"""What older drivers call them."""
NEEDED = ("index", "uuid", "name")
_REFUSED = re.compile(r'Field "([\w.\[\]]{1,80})" is not a valid field to query', re.IGNORECASE)
_NUMBER = re.compile(r"([-+]?\d[\d.]*(?:[eE][-+]?\d{1,3})?)\s*([A-Za-z%]*)")
_BYTES = {"": 2**20, "mib": 2**20, "kib": 2**10, "gib": 2**30, "mb": 10**6, "gb": 10**9, "b": 1}
"""`nounits` leaves out MiB; a driver that prints units nevertheless is read by them."""
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z-]{4,80}")


class UnreadableError(ValueError):
    """The output holds no GPU: what it says instead."""


def command(fields: Sequence[str]) -> tuple[str, ...]:
    """The words to run."""
    return ("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")


def refused_field(output: str) -> str:
    """The field that this driver does not know, empty where it does not say so; one unknown field fails the whole."""
    match = _REFUSED.search(output)
    return match[1] if match is not None else ""


def without(fields: Sequence[str], refused: str) -> tuple[str, ...]:
    """`fields` with the older name for the one that was refused, or without it."""
    older = OLD_NAMES.get(refused, "")
    return tuple(name for field in fields if (name := older if field == refused else field))


def parse(text: str, fields: Sequence[str], at: float, *, host: str, pod: str) -> list[GpuDevice]:
    """The GPUs in the output.

    A heading that was not asked for is taken as such, and lines that are none of the table are left out: a driver
    prints complaints between them.

    Raises:
        UnreadableError: it holds no GPU.
    """
    lines = text.splitlines()[:1_000]
    found = []
    for cells in csv.reader(lines, skipinitialspace=True):
        if len(cells) != len(fields):
            continue
        row = dict(zip(fields, (cell.strip() for cell in cells), strict=True))
        if _UUID.fullmatch(row["uuid"]):
            found.append(_device(row, at, host, pod))
    if not found:
        said = next((one_line(line) for line in lines if line.strip()), "nothing")
        raise UnreadableError(said)
    return found


def _device(row: Mapping[str, str], at: float, host: str, pod: str) -> GpuDevice:
    mig = row.get("mig.mode.current", "").lower()
    gone = [name for name, cell in row.items() if name not in NEEDED and _is_fault(cell)]
    return GpuDevice(
        one_line(row["uuid"], 100),
        _whole(row, ("index",)) or 0,
        one_line(row["name"], 100),
        at,
        PROVIDER,
        host=host,
        driver=one_line(row.get("driver_version", ""), 40),
        mig_enabled={"enabled": True, "disabled": False}.get(mig),
        utilization_percent=_number(row, ("utilization.gpu",)),
        memory_utilization_percent=_number(row, ("utilization.memory",)),
        memory_used_bytes=_size(row, "memory.used"),
        memory_total_bytes=_size(row, "memory.total"),
        memory_reserved_bytes=_size(row, "memory.reserved"),
        temperature_c=_number(row, ("temperature.gpu",)),
        power_w=_number(row, ("power.draw",)),
        power_limit_w=_number(row, ("enforced.power.limit", "power.limit")),
        sm_clock_mhz=_whole(row, ("clocks.sm",)),
        sm_clock_max_mhz=_whole(row, ("clocks.max.sm",)),
        memory_clock_mhz=_whole(row, ("clocks.mem",)),
        memory_clock_max_mhz=_whole(row, ("clocks.max.mem",)),
        clock_reasons=_reasons(row),
        ecc_corrected=_whole(row, ("ecc.errors.corrected.volatile.total",)),
        ecc_uncorrected=_whole(row, ("ecc.errors.uncorrected.volatile.total",)),
        pcie_generation=_whole(row, ("pcie.link.gen.current",)),
        pcie_generation_max=_whole(row, ("pcie.link.gen.max",)),
        pcie_width=_whole(row, ("pcie.link.width.current",)),
        pcie_width_max=_whole(row, ("pcie.link.width.max",)),
        pod=pod,
        lost=f"nvidia-smi: {one_line(row[gone[0]], 60)} for {gone[0]}" if len(gone) > len(row) // 2 else "",
    )


def _is_fault(cell: str) -> bool:
    """True for a cell that says that the card does not answer; `[N/A]` only says that it has no such figure."""
    said = cell.strip("[] ").lower()
    return said in ("unknown error", "err!", "gpu requires reset", "gpu is lost")


def _reasons(row: Mapping[str, str]) -> tuple[ClockReason, ...] | None:
    text = row.get("clocks_event_reasons.active") or row.get("clocks_throttle_reasons.active") or ""
    try:
        return clock_reasons(int(text, 16)) if text.lower().startswith("0x") else None
    except ValueError:
        return None


def _parts(row: Mapping[str, str], names: Iterable[str]) -> tuple[float, str] | None:
    for name in names:
        match = _NUMBER.fullmatch(row.get(name, ""))
        if match is not None:
            try:
                return float(match[1]), match[2].lower()
            except ValueError:
                continue
    return None


def _number(row: Mapping[str, str], names: Iterable[str]) -> float | None:
    found = _parts(row, names)
    return None if found is None else found[0]


def _whole(row: Mapping[str, str], names: Iterable[str]) -> int | None:
    value = _number(row, names)
    return None if value is None else int(value)


def _size(row: Mapping[str, str], name: str) -> int | None:
    found = _parts(row, (name,))
    return None if found is None or found[1] not in _BYTES else int(found[0] * _BYTES[found[1]])
