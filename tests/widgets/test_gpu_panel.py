from __future__ import annotations

from dataclasses import replace

import pytest

from infdiag_tui.model import ClockReason, GpuDevice, Snapshot, SourceState
from tests.widgets.samples import HOSTILE, NOW, broken, gpu, host, hostile, incident, live, process, quiet
from tests.widgets.stage import screen_text, settle, staged
from widgets.glyphs import UNICODE
from widgets.gpu_panel import GpuPanel, MachineView, render_machine
from widgets.ink import Tone, line_cells, plain
from widgets.source_state import combine

SIZES = ((34, 6), (56, 14), (76, 18), (96, 28))


def drawn(snapshot: Snapshot, width: int, height: int) -> str:
    state = combine((live("x"),), NOW)
    rows = render_machine(MachineView(snapshot, NOW, state, state, UNICODE), width, height)
    return "\n".join(plain(row) for row in rows)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_use_memory_heat_and_what_holds_the_clocks_back_are_seen_at_every_size(width: int, height: int) -> None:
    text = drawn(incident(), width, height)
    assert "97 %" in text
    assert "95 %" in text
    assert "86 °C" in text
    assert "thermal (hardware)" in " ".join(text.split())
    assert "Server" in text
    assert "Machine" in text


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_one_gpu_with_machine_fits_without_scrolling(width: int, height: int) -> None:
    rows = drawn(incident(), width, height).splitlines()
    assert len(rows) <= height


def test_power_clock_pod_processes_and_driver_are_told_where_there_is_room() -> None:
    text = drawn(incident(), 96, 40)
    for part in ("689 of 700 W", "1305 of 1980 MHz", "pod fraud-scorer-7d9c6b5f4-x2x9k", "tritonserver", "pid 4242"):
        assert part in text
    assert "gen5 x16" in text
    assert "GPU 0 util" in text


def test_a_figure_that_the_card_lacks_is_not_available_and_never_zero() -> None:
    bare = GpuDevice(uuid="u", index=0, name="Card", at=NOW, provider="nvml")
    for width, height in SIZES:
        text = drawn(replace(quiet(), gpus=(bare,)), width, height)
        assert "n/a" in text
        assert "0 %" not in text
        assert "0 W" not in text


def test_an_idle_card_is_not_held_back() -> None:
    idle = gpu(clock_reasons=(ClockReason.GPU_IDLE,))
    assert "held back" not in drawn(replace(incident(), gpus=(idle,)), 76, 18)


def test_a_lost_gpu_is_said_plainly_and_its_old_figures_are_not_drawn() -> None:
    text = drawn(replace(incident(), gpus=(gpu(lost="GPU has fallen off the bus"),)), 76, 18)
    assert "GPU 0 LOST: GPU has fallen off the bus" in text
    assert "97 %" not in text
    assert "133" not in text.split("GPU 0 util")[0].split("Server")[0]


def test_faults_are_told() -> None:
    sick = gpu(xid=79, xid_at=NOW - 120, ecc_uncorrected=3, remap_failed=True)
    text = drawn(replace(incident(), gpus=(sick,)), 76, 30)
    assert "Xid 79 1m before this reading" in text
    assert "3 uncorrected memory errors" in text
    assert "could not be remapped" in text


def test_problem_gpus_stand_first_where_many_do_not_fit() -> None:
    cards = tuple(gpu(index, clock_reasons=()) for index in range(8))
    cards = (*cards[:7], replace(cards[7], lost="gone"))
    rows = drawn(replace(incident(), gpus=cards), 56, 6).splitlines()
    assert "GPU 7 LOST" in rows[0]
    assert "GPU 0" in rows[1]
    assert sum("GPU " in row for row in rows) == 8


def test_gpus_of_several_hosts_name_them() -> None:
    text = drawn(replace(incident(), gpus=(gpu(0, host="a"), gpu(1, host="b"))), 76, 30)
    assert "GPU 0 on a" in text
    assert "GPU 1 on b" in text


def test_without_a_gpu_the_machine_has_the_room() -> None:
    text = drawn(replace(incident(), gpus=()), 76, 24)
    for part in (
        "No GPU found.",
        "34 % of 16 cores",
        "23.0 of 64.0 GiB (36 %)",
        "disk /var 94 % full",
        "load",
        "net in/out",
    ):
        assert part in text
    assert "Machine CPU" in text


def test_a_missing_server_process_is_told() -> None:
    gone = process(running=False, pid=None, name="")
    assert "✗ Server process not found (port 8000)" in drawn(replace(incident(), processes=(gone,)), 76, 18)


def test_a_replaced_server_process_is_told_at_every_size() -> None:
    for width, height in SIZES:
        assert "replaced 1×" in drawn(incident(), width, height)


def test_a_machine_without_figures_says_so() -> None:
    blank = host(
        cpu_percent=None, memory_available_bytes=None, memory_total_bytes=None, load=None, swap_total_bytes=None
    )
    text = drawn(replace(quiet(), host=blank), 76, 18)
    assert "n/a of 16 cores" in text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [(1, 1), (38, 8), (80, 24), (120, 40)])
async def test_text_from_outside_is_drawn_literally(text: str, size: tuple[int, int]) -> None:
    async with staged(GpuPanel(), hostile(text), size) as pilot:
        assert screen_text(pilot.app).replace("\n", "").isprintable()


@pytest.mark.parametrize("text", HOSTILE)
def test_lines_may_be_too_long_but_the_canvas_cuts_them(text: str) -> None:
    state = combine((live("x"),), NOW)
    for width, height in SIZES:
        for row in render_machine(MachineView(hostile(text), NOW, state, state, UNICODE), width, height):
            assert line_cells(row) >= 0


async def test_a_dead_gpu_source_dims_the_gpu_and_leaves_the_machine_bright() -> None:
    shown = GpuPanel()
    sources = {**incident().sources, "gpu_nvml": broken("gpu_nvml", SourceState.UNAVAILABLE, "no driver")}
    async with staged(shown, replace(incident(), sources=sources), (80, 24)) as pilot:
        rows = {plain(row): {span.tone for span in row} for row in shown.canvas.lines}
        assert next(tones for text, tones in rows.items() if text.startswith("GPU 0")) == {Tone.DIM}
        assert Tone.STRONG in next(tones for text, tones in rows.items() if text.startswith("Machine"))
        assert "GPU ▲ degraded" in screen_text(pilot.app)


async def test_unchanged_figures_repaint_nothing() -> None:
    shown = GpuPanel()
    async with staged(shown, incident(), (80, 24)) as pilot:
        before = shown.canvas.repainted_lines
        await settle(pilot, shown, replace(incident(), number=2), now=NOW + 0.3)
        assert shown.canvas.repainted_lines == before


async def test_one_changed_figure_repaints_one_line() -> None:
    shown = GpuPanel()
    async with staged(shown, incident(), (80, 24)) as pilot:
        before = shown.canvas.repainted_lines
        await settle(pilot, shown, replace(incident(), gpus=(gpu(power_w=650.0),)))
        assert shown.canvas.repainted_lines == before + 1


async def test_starting_says_what_is_waited_for() -> None:
    sources = {"gpu_nvml": broken("gpu_nvml", SourceState.STARTING, age_s=None)}
    async with staged(GpuPanel(), replace(quiet(), sources=sources), (60, 10)) as pilot:
        assert "Waiting for the first GPU reading." in screen_text(pilot.app)


async def test_which_of_several_sources_tells_is_named_and_a_makeshift_is_explained() -> None:
    shown = GpuPanel()
    good = replace(live("gpu-source"), reason="from dcgm-exporter in the cluster")
    async with staged(shown, replace(incident(), sources={"gpu-source": good}), (80, 24)) as pilot:
        assert "from dcgm-exporter in the cluster" in screen_text(pilot.app)
        makeshift = replace(
            good, state=SourceState.DEGRADED, reason="from Prometheus, because dcgm-exporter fails: gone"
        )
        await settle(pilot, shown, replace(incident(), sources={"gpu-source": makeshift}))
        assert screen_text(pilot.app).count("from Prometheus, because") == 1
