"""GPUs, the model server's process and this machine: what the model runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from infdiag_tui.model import GpuDevice, SeriesKey, Snapshot, SourceState
from widgets import units
from widgets.chart import ChartSpec, render_chart, span_with_history
from widgets.glyphs import Glyphs
from widgets.gpu_lines import all_lines, name_of, one_line, some_lines
from widgets.ink import Line, Span, Tone, beside, clip, line, muted, toned, wrap
from widgets.machine_lines import host_lines, process_lines
from widgets.panel import LinePanel
from widgets.pins import gpu_pin
from widgets.source_state import PanelState, combine, matching
from widgets.verdicts import Verdicts

CHOSEN_GPU_SOURCE = "gpu-source"
"""The source that is one of several; its reason names which."""
CHART_SPAN_S = 300.0
"""Charts show the last five minutes, as the longer latency window does."""
_CHART_ROWS = 6
_MOST_CHART_ROWS = 10
_TWO_CHARTS_WIDTH = 70

_Renderer = Callable[[GpuDevice, str, int, Verdicts, Glyphs], list[Line]]


@dataclass(frozen=True, slots=True)
class MachineView:
    """What the renderer needs: the snapshot, the moment, and how the sources of both halves fare."""

    snapshot: Snapshot
    now: float
    gpu_state: PanelState
    machine_state: PanelState
    glyphs: Glyphs


def render_machine(view: MachineView, width: int, height: int) -> list[Line]:
    """GPUs first, then server process and machine, in the most detail that fits; charts in what room is left."""
    verdicts = Verdicts(view.snapshot.evidence)
    machine = _machine(view, width, verdicts, brief=False)
    if not view.snapshot.gpus:
        return _without_gpus(view, machine, width, height)
    gpus = sorted(view.snapshot.gpus, key=lambda gpu: (-_badness(gpu, verdicts), gpu.host, gpu.index))
    brief = _machine(view, width, verdicts, brief=True)
    needed = _CHART_ROWS if _charts_of(view, gpus[0]) else 0
    for render, below, room in (
        *((render, below, needed) for render in (all_lines, some_lines) for below in (machine, brief)),
        *((render, below, 0) for render in (some_lines, one_line) for below in (machine, brief)),
    ):
        lines = [*_gpu_block(view, gpus, render, width, verdicts), *below]
        if len(lines) + room <= height:
            return _with_charts(view, gpus, lines, width, height)
    return [*_gpu_block(view, gpus, one_line, width, verdicts), *brief]


def _badness(gpu: GpuDevice, verdicts: Verdicts) -> int:
    return 3 if gpu.lost else verdicts.rank("gpu", gpu.uuid)


def _gpu_block(
    view: MachineView, gpus: Sequence[GpuDevice], render: _Renderer, width: int, verdicts: Verdicts
) -> list[Line]:
    several_hosts = len({gpu.host for gpu in gpus}) > 1
    lines = _origin(view, width)
    lines += [row for gpu in gpus for row in render(gpu, name_of(gpu, several_hosts), width, verdicts, view.glyphs)]
    return lines if view.gpu_state.trusted else muted(lines)


def _origin(view: MachineView, width: int) -> list[Line]:
    """Which of several sources tells of the GPUs; while it is a makeshift the notice above says so."""
    chosen = view.snapshot.source(CHOSEN_GPU_SOURCE)
    if chosen.state is not SourceState.LIVE or not chosen.reason:
        return []
    return [line(Span(clip(chosen.reason, width), Tone.DIM))]


def _machine(view: MachineView, width: int, verdicts: Verdicts, *, brief: bool) -> list[Line]:
    snapshot, lines = view.snapshot, []
    for process in snapshot.processes:
        lines += process_lines(process, view.now, width, verdicts, view.glyphs, brief=brief)
    if snapshot.host is not None:
        lines += host_lines(snapshot.host, width, verdicts, view.glyphs, brief=brief)
    return lines if view.machine_state.trusted else muted(lines)


def _without_gpus(view: MachineView, machine: list[Line], width: int, height: int) -> list[Line]:
    words = {
        SourceState.OFF: f"GPUs are off: {view.gpu_state.reason}.",
        SourceState.STARTING: "Waiting for the first GPU reading.",
        SourceState.LIVE: "No GPU found.",
    }.get(view.gpu_state.state, "No GPU reading yet: see above.")
    lines = [*(toned(row, Tone.DIM) for row in wrap(words, width)), *machine]
    if not lines:
        return [toned("Waiting for the first reading.", Tone.DIM)]
    room = height - len(lines)
    charts = (
        _Chart(SeriesKey("host.cpu_percent"), "Machine CPU", units.percent, 100.0, 10),
        _Chart(SeriesKey("host.memory_used_bytes"), "Machine memory", units.short_bytes, _host_memory(view), 1024),
    )
    return [*lines, *_chart_row(view, charts, width, room)]


def _host_memory(view: MachineView) -> float | None:
    host = view.snapshot.host
    return None if host is None or not host.memory_total_bytes else float(host.memory_total_bytes)


@dataclass(frozen=True, slots=True)
class _Chart:
    """One chart to draw where its series has points."""

    key: SeriesKey
    title: str
    text: Callable[[float], str]
    high: float | None
    base: int


def _charts_of(view: MachineView, gpu: GpuDevice) -> list[_Chart]:
    """Use and memory of a GPU, as far as there are points."""
    total = float(gpu.memory_total_bytes) if gpu.memory_total_bytes else None
    both = (
        _Chart(SeriesKey("gpu.utilization_percent", gpu.uuid), f"GPU {gpu.index} util", units.percent, 100.0, 10),
        _Chart(SeriesKey("gpu.memory_used_bytes", gpu.uuid), f"GPU {gpu.index} mem", units.short_bytes, total, 1024),
    )
    return [chart for chart in both if chart.key in view.snapshot.series]


def _with_charts(
    view: MachineView, gpus: Sequence[GpuDevice], lines: list[Line], width: int, height: int
) -> list[Line]:
    """Below the lines a row of charts per GPU, as many as fit."""
    drawn = list(lines)
    for position, gpu in enumerate(gpus):
        room = (height - len(drawn)) // (len(gpus) - position)
        if height - len(drawn) < _CHART_ROWS:
            break
        rows = _chart_row(view, _charts_of(view, gpu), width, max(_CHART_ROWS, room))
        drawn += rows if view.gpu_state.trusted else muted(rows)
    return drawn


def _chart_row(view: MachineView, charts: Sequence[_Chart], width: int, room: int) -> list[Line]:
    """The charts that have points, beside each other, or only the first where it is narrow."""
    known = [chart for chart in charts if chart.key in view.snapshot.series]
    known = known[: 2 if width >= _TWO_CHARTS_WIDTH else 1]
    if room < _CHART_ROWS or not known:
        return []
    each = (width - 2 * (len(known) - 1)) // len(known)
    blocks = [_chart(view, chart, each, min(room, _MOST_CHART_ROWS)) for chart in known]
    return beside(blocks[0], blocks[1], each + 2) if len(blocks) > 1 else blocks[0]


def _chart(view: MachineView, chart: _Chart, width: int, height: int) -> list[Line]:
    points = view.snapshot.series[chart.key]
    spec = ChartSpec(
        chart.title,
        span_with_history(points, view.now, CHART_SPAN_S),
        view.now,
        text=chart.text,
        high=chart.high,
        base=chart.base,
        ascii_only=view.glyphs.ascii_only,
    )
    return render_chart(points, spec, width, height)


class GpuPanel(LinePanel):
    """What the model runs on: GPUs, the server's process, the machine."""

    HELP = """\
# GPU and machine

Each GPU's use, memory, heat, power and clocks, and in words what holds the clocks back:

- **power cap**: the card draws all it may; ordinary under full load.
- **thermal**, **hardware slowdown**, **power brake**: the card is too hot or short of power; it computes slower.
- **Xid**, **ECC**: the driver or the memory reported a fault.
- **LOST**: the card no longer answers; what was last read is not shown as current.

Below stand the model server's process and the machine infdiag runs on. `n/a` means that this card or system does not
offer the figure; it never means zero. Charts show the last five minutes; an empty stretch is missing data.
"""

    def __init__(
        self,
        title: str = "GPU",
        *,
        gpu_sources: tuple[str, ...] = ("gpu*", "dcgm*", "nvidia-smi"),
        machine_sources: tuple[str, ...] = ("process*", "host*"),
        id: str | None = None,  # noqa: A002 - Textual's name
        ascii_only: bool = False,
    ) -> None:
        super().__init__(title, sources=(*gpu_sources, *machine_sources), id=id, ascii_only=ascii_only)
        self._gpu_sources = gpu_sources
        self._machine_sources = machine_sources

    def pin_of(self, snapshot: Snapshot) -> str:
        """Every GPU's figures."""
        return gpu_pin(snapshot)

    def render_lines_for(self, snapshot: Snapshot, now: float, width: int, height: int) -> Sequence[Line]:
        """GPUs and machine at this size."""
        view = MachineView(
            snapshot,
            now,
            combine(matching(snapshot, self._gpu_sources), now),
            combine(matching(snapshot, self._machine_sources), now),
            self.glyphs,
        )
        return render_machine(view, width, height)
