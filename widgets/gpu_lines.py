"""GPUs as lines of text at three levels of detail; pure."""

from __future__ import annotations

from infdiag_tui.model import ClockReason, GpuDevice
from widgets import units
from widgets.bars import bar
from widgets.glyphs import Glyphs
from widgets.ink import Line, Span, Tone, clip, flow, keep_tail, line, line_cells, wrap
from widgets.verdicts import Verdicts

_VENDOR = "NVIDIA "
_WIDE = 64
"""From this width on, utilisation and memory stand on one line with bars of their own."""
_QUIET = (ClockReason.GPU_IDLE, ClockReason.APPLICATIONS_CLOCKS_SETTING, ClockReason.DISPLAY_CLOCK_SETTING)
"""Reasons that say nothing is wrong."""


def share(used: float | None, total: float | None) -> float | None:
    """Used of total, None where either is unknown."""
    return None if used is None or not total else used / total


def name_of(gpu: GpuDevice, several_hosts: bool) -> str:
    """`GPU 0`, with its host where there are several."""
    text = f"GPU {gpu.index}"
    if gpu.mig_profile:
        text += f" {gpu.mig_profile}"
    return f"{text} on {gpu.host}" if several_hosts and gpu.host else text


def one_line(gpu: GpuDevice, name: str, width: int, verdicts: Verdicts, glyphs: Glyphs) -> list[Line]:
    """A GPU in one line: use, memory, heat; a second line only where something is wrong."""
    if gpu.lost:
        return [_lost(gpu, name, glyphs)]
    memory = share(gpu.memory_used_bytes, gpu.memory_total_bytes)
    spans: list[Span] = [Span(f"{name} ", Tone.STRONG)]
    rest = [
        Span(units.percent(gpu.utilization_percent), verdicts.tone("gpu.utilization", gpu.uuid, Tone.STRONG)),
        Span("  mem "),
        Span(units.share(memory), verdicts.tone("gpu.memory_share", gpu.uuid, Tone.STRONG)),
        Span("  "),
        Span(units.celsius(gpu.temperature_c), verdicts.tone("gpu.temperature", gpu.uuid)),
    ]
    if width >= 48:
        rest += [Span(f"  {units.watts(gpu.power_w)}")]
    room = width - line_cells(spans) - line_cells(rest) - 1
    if room >= 6:
        used = None if gpu.utilization_percent is None else gpu.utilization_percent / 100
        spans += [*bar(used, min(room, 16), glyphs), Span(" ")]
    return [line(spans, rest), *_troubles(gpu, width, verdicts, glyphs)]


def some_lines(gpu: GpuDevice, name: str, width: int, verdicts: Verdicts, glyphs: Glyphs) -> list[Line]:
    """A GPU in three or four lines: name, use and memory as bars, heat, power and clocks."""
    if gpu.lost:
        return [_lost(gpu, name, glyphs)]
    lines = [_heading(gpu, name, width, glyphs)]
    lines += _bars(gpu, width, verdicts, glyphs)
    lines += _figures(gpu, width, verdicts)
    lines += _troubles(gpu, width, verdicts, glyphs)
    return lines


def all_lines(gpu: GpuDevice, name: str, width: int, verdicts: Verdicts, glyphs: Glyphs) -> list[Line]:
    """The same with memory clock, PCIe, error counters and processes."""
    lines = some_lines(gpu, name, width, verdicts, glyphs)
    if not gpu.lost:
        lines += flow([*_links(gpu), *_errors(gpu)], width)
        lines += _processes(gpu, width, glyphs)
    return lines


def _lost(gpu: GpuDevice, name: str, glyphs: Glyphs) -> Line:
    return line(Span(f"{glyphs.problem} {name} LOST: {gpu.lost}", Tone.BAD))


def _heading(gpu: GpuDevice, name: str, width: int, glyphs: Glyphs) -> Line:
    spans = [Span(name, Tone.STRONG), Span(f"  {gpu.name.removeprefix(_VENDOR)}")]
    room = width - line_cells(spans) - 2
    if gpu.pod and room >= 14:
        pod = gpu.pod.partition("/")[2] or gpu.pod
        spans.append(Span("  pod " + keep_tail(pod, room - 4, glyphs.ellipsis), Tone.MARK))
    elif gpu.driver and room >= 16:
        spans.append(Span(f"  driver {gpu.driver}", Tone.DIM))
    return tuple(spans)


def _bars(gpu: GpuDevice, width: int, verdicts: Verdicts, glyphs: Glyphs) -> list[Line]:
    """Utilisation and memory, beside each other where there is room."""
    used = None if gpu.utilization_percent is None else gpu.utilization_percent / 100
    memory = share(gpu.memory_used_bytes, gpu.memory_total_bytes)
    use_text = units.percent(gpu.utilization_percent)
    memory_text = memory_figures(gpu.memory_used_bytes, gpu.memory_total_bytes)
    use_tone = verdicts.tone("gpu.utilization", gpu.uuid, Tone.STRONG)
    memory_tone = verdicts.tone("gpu.memory_share", gpu.uuid, Tone.STRONG)
    fill = verdicts.tone("gpu.memory_share", gpu.uuid, Tone.MARK)
    if width >= _WIDE:
        size = max(6, (width - len(use_text) - len(memory_text) - 17) // 2)
        return [
            line(
                Span(" util ", Tone.DIM), bar(used, size, glyphs), Span(f" {use_text:<6}", use_tone),
                Span(" mem ", Tone.DIM), bar(memory, size, glyphs, fill), Span(f" {memory_text}", memory_tone),
            ),
        ]  # fmt: skip
    size = max(4, min(20, width - len(memory_text) - 7))
    return [
        line(Span(" util ", Tone.DIM), bar(used, size, glyphs), Span(f" {use_text}", use_tone)),
        line(Span(" mem  ", Tone.DIM), bar(memory, size, glyphs, fill), Span(f" {memory_text}", memory_tone)),
    ]


def memory_figures(used: float | None, total: float | None) -> str:
    """`61.2 of 80.0 GiB (77 %)`, or what of it is known."""
    if used is None:
        return f"{units.NOT_AVAILABLE} of {units.number_bytes(total)}" if total else units.NOT_AVAILABLE
    if not total:
        return units.number_bytes(used)
    left, right = units.number_bytes(used), units.number_bytes(total)
    if left.split(" ")[1] == right.split(" ")[1]:
        left = left.split(" ")[0]
    return f"{left} of {right} ({units.share(used / total)})"


def _figures(gpu: GpuDevice, width: int, verdicts: Verdicts) -> list[Line]:
    """Heat, power, clocks: what decides whether the card may run at full speed."""
    power = units.watts(gpu.power_w)
    if gpu.power_limit_w is not None:
        power = f"{power.removesuffix(' W')} of {units.watts(gpu.power_limit_w)}"
    clock = units.megahertz(gpu.sm_clock_mhz)
    if gpu.sm_clock_max_mhz is not None:
        clock = f"{clock.removesuffix(' MHz')} of {units.megahertz(gpu.sm_clock_max_mhz)}"
    pairs = [
        ("temp", units.celsius(gpu.temperature_c), verdicts.tone("gpu.temperature", gpu.uuid)),
        ("power", power, Tone.PLAIN),
        ("clock", clock, verdicts.tone("gpu.throttled", gpu.uuid)),
    ]
    return flow([line(Span(f"{label} ", Tone.DIM), Span(text, tone)) for label, text, tone in pairs], width)


def _troubles(gpu: GpuDevice, width: int, verdicts: Verdicts, glyphs: Glyphs) -> list[Line]:
    """What holds the card back or is broken, in words."""
    lines: list[Line] = []
    reasons = [reason for reason in gpu.clock_reasons or () if reason not in _QUIET]
    reasons.sort(key=lambda reason: not reason.is_fault)
    if reasons:
        tone = Tone.BAD if reasons[0].is_fault else Tone.WARN
        text = f"{glyphs.warning} clocks held back: {', '.join(reasons)}"
        lines += [line(Span(" " + row, tone)) for row in wrap(text, width - 1)]
    broken = []
    if gpu.xid:
        when = f" {units.age(gpu.at - gpu.xid_at)} before this reading" if gpu.xid_at is not None else ", time unknown"
        broken.append((f"Xid {gpu.xid}{when}", verdicts.tone("gpu.xid", gpu.uuid, Tone.WARN)))
    if gpu.ecc_uncorrected:
        broken.append((f"{gpu.ecc_uncorrected:,} uncorrected memory errors (ECC)", Tone.BAD))
    if gpu.remap_failed:
        broken.append(("a bad memory row could not be remapped", Tone.BAD))
    elif gpu.remap_pending:
        broken.append(("memory rows wait for a reset to be remapped", Tone.WARN))
    return [*lines, *(line(Span(f" {glyphs.problem} {text}", tone)) for text, tone in broken)]


def _links(gpu: GpuDevice) -> list[Line]:
    parts = []
    if gpu.memory_clock_mhz is not None:
        parts.append(line(Span("memory clock ", Tone.DIM), units.megahertz(gpu.memory_clock_mhz)))
    if gpu.pcie_generation is not None and gpu.pcie_width is not None:
        text = f"gen{gpu.pcie_generation} x{gpu.pcie_width}"
        slower = gpu.pcie_width_max is not None and gpu.pcie_width < gpu.pcie_width_max
        if slower:
            text += f" (of x{gpu.pcie_width_max})"
        parts.append(line(Span("PCIe ", Tone.DIM), Span(text, Tone.WARN if slower else Tone.PLAIN)))
    if gpu.pcie_rx_bytes_per_s is not None or gpu.pcie_tx_bytes_per_s is not None:
        both = f"in {units.rate_bytes(gpu.pcie_rx_bytes_per_s)}, out {units.rate_bytes(gpu.pcie_tx_bytes_per_s)}"
        parts.append(line(Span("PCIe ", Tone.DIM), both))
    if gpu.memory_utilization_percent is not None:
        parts.append(line(Span("memory busy ", Tone.DIM), units.percent(gpu.memory_utilization_percent)))
    return parts


def _errors(gpu: GpuDevice) -> list[Line]:
    figures = (
        ("ECC corrected", gpu.ecc_corrected),
        ("ECC uncorrected", gpu.ecc_uncorrected),
        ("retired pages", gpu.retired_pages),
        ("remapped rows", gpu.remapped_rows),
        ("PCIe replays", gpu.pcie_replays),
    )
    return [line(Span(f"{label} ", Tone.DIM), units.count(value)) for label, value in figures if value is not None]


def _processes(gpu: GpuDevice, width: int, glyphs: Glyphs) -> list[Line]:
    if gpu.processes is None:
        return [line(Span(" processes n/a", Tone.DIM))]
    if not gpu.processes:
        return [line(Span(" no process on this GPU", Tone.DIM))]
    largest = sorted(gpu.processes, key=lambda process: -(process.memory_bytes or 0))
    lines = []
    for process in largest[:4]:
        figures = f"{units.number_bytes(process.memory_bytes)}  pid {process.pid}"
        name = keep_tail(process.name or "name n/a", max(8, width - len(figures) - 5), glyphs.ellipsis)
        lines.append(line(Span(f" {glyphs.dot} ", Tone.DIM), clip(name, width), f"  {figures}"))
    if len(largest) > 4:
        lines.append(line(Span(f"   and {len(largest) - 4} more processes", Tone.DIM)))
    return lines
