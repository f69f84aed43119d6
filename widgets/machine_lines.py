"""This machine and the model server's process as lines of text; pure."""

from __future__ import annotations

from infdiag_tui.model import HostState, ProcessState
from widgets import units
from widgets.bars import bar
from widgets.glyphs import Glyphs
from widgets.gpu_lines import memory_figures
from widgets.ink import Line, Span, Tone, flow, line
from widgets.verdicts import Verdicts


def host_lines(host: HostState, width: int, verdicts: Verdicts, glyphs: Glyphs, *, brief: bool) -> list[Line]:
    """CPU, memory, load, swap, disk and network of the machine; in brief one line of the first two."""
    used = None
    if host.memory_total_bytes is not None and host.memory_available_bytes is not None:
        used = host.memory_total_bytes - host.memory_available_bytes
    memory = None if used is None or not host.memory_total_bytes else used / host.memory_total_bytes
    cpu_tone = verdicts.tone("host.cpu", "", Tone.STRONG)
    memory_tone = verdicts.tone("host.memory_share", "", Tone.STRONG)
    if brief:
        return [
            line(
                Span("Machine ", Tone.STRONG), Span("CPU ", Tone.DIM), Span(units.percent(host.cpu_percent), cpu_tone),
                Span("  mem ", Tone.DIM), Span(units.share(memory), memory_tone),
                Span(f"  {host.hostname}", Tone.DIM),
            ),
        ]  # fmt: skip
    memory_text = memory_figures(used, host.memory_total_bytes)
    size = max(4, min(24, width - len(memory_text) - 9))
    busy = None if host.cpu_percent is None else host.cpu_percent / 100
    cpu_text = f" {units.percent(host.cpu_percent)} of {host.cores} cores"
    lines = [
        line(Span("Machine ", Tone.STRONG), Span(host.hostname), Span(" (where infdiag runs)", Tone.DIM)),
        line(Span(" CPU    ", Tone.DIM), bar(busy, size, glyphs), Span(cpu_text, cpu_tone)),
        line(Span(" memory ", Tone.DIM), bar(memory, size, glyphs), Span(f" {memory_text}", memory_tone)),
    ]
    return [*lines, *flow(_host_details(host, verdicts), width)]


def _host_details(host: HostState, verdicts: Verdicts) -> list[Line]:
    parts: list[Line] = []
    if host.load is not None:
        loads = " ".join(f"{load:.1f}" for load in host.load)
        parts.append(line(Span("load 1/5/15 min ", Tone.DIM), loads))
    if host.swap_total_bytes:
        parts.append(
            line(Span("swap ", Tone.DIM), memory_figures(host.swap_used_bytes, host.swap_total_bytes)),
        )
    fullest = sorted(host.disk_used_percent.items(), key=lambda item: -item[1])
    for mount, percent in fullest[:3]:
        tone = verdicts.tone("host.disk", mount)
        parts.append(line(Span(f"disk {mount} ", Tone.DIM), Span(f"{percent:.0f} % full", tone)))
    for label, read, written in (
        ("disk read/write ", host.disk_read_bytes_per_s, host.disk_write_bytes_per_s),
        ("net in/out ", host.net_received_bytes_per_s, host.net_sent_bytes_per_s),
    ):
        if read is not None or written is not None:
            parts.append(line(Span(label, Tone.DIM), f"{units.rate_bytes(read)} / {units.rate_bytes(written)}"))
    return parts


def process_lines(
    process: ProcessState,
    now: float,
    width: int,
    verdicts: Verdicts,
    glyphs: Glyphs,
    *,
    brief: bool,
) -> list[Line]:
    """The model server's process: whether it runs, what it takes, whether it was replaced."""
    if not process.running:
        text = f"{glyphs.problem} Server process not found ({process.looked_for})"
        return [line(Span(text, Tone.BAD))]
    name = process.name or process.looked_for
    busy_cores = None if process.cpu_percent is None else process.cpu_percent / 100
    heading = line(Span("Server ", Tone.STRONG), Span(name))
    figures: list[Line] = []
    if process.restarts:
        tone = verdicts.tone("process.restarts", process.key, Tone.WARN)
        figures.append(line(Span(f"{glyphs.warning} replaced {process.restarts}{glyphs.times}", tone)))
    figures += [
        line(Span("CPU ", Tone.DIM), Span(units.cores(busy_cores), Tone.STRONG)),
        line(Span("RSS ", Tone.DIM), Span(units.number_bytes(process.rss_bytes), Tone.STRONG)),
    ]
    if brief:
        return [line(heading, "  ", *(span for part in figures for span in (*part, Span("  "))))]
    started = None if process.started_at is None else now - process.started_at
    details = [
        *figures,
        line(Span("up ", Tone.DIM), units.duration(started)),
        line(Span("threads ", Tone.DIM), units.count(process.threads)),
        line(Span("open files ", Tone.DIM), units.count(process.open_files)),
    ]
    if process.children:
        details.append(line(Span("with ", Tone.DIM), f"{process.children} child processes"))
    ids = Span(f"  pid {process.pid}" if process.pid is not None else "", Tone.DIM)
    return [line(heading, ids), *flow(details, width)]
