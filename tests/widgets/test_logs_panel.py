from __future__ import annotations

from dataclasses import replace

import pytest
from textual.events import MouseScrollUp
from textual.pilot import Pilot

from infdiag_tui.model import LogLine, LogView, Severity, Snapshot, SourceState
from tests.widgets.samples import HOSTILE, TRACEBACK, broken, incident, incident_logs, log_line, log_view, quiet
from tests.widgets.stage import screen_text, settle, staged
from widgets.ink import Tone
from widgets.logs_panel import LogsPanel


def panel(*, ascii_only: bool = False) -> LogsPanel:
    return LogsPanel(sources=("logs*",), ascii_only=ascii_only)


def with_logs(logs: LogView) -> Snapshot:
    return replace(quiet(), logs=logs)


def numbered(first: int, last: int) -> tuple[LogLine, ...]:
    return tuple(log_line(f"entry {number}") for number in range(first, last))


def ring(first: int, last: int) -> Snapshot:
    """Entries `first` to `last`, all before them having left the ring."""
    return with_logs(replace(log_view(numbered(first, last), first_seq=first), counts={Severity.INFO: last}))


async def press(pilot: Pilot[None], *keys: str) -> str:
    await pilot.press(*keys)
    await pilot.pause()
    return screen_text(pilot.app)


async def test_counts_are_exact_and_the_tail_is_followed() -> None:
    shown = panel()
    async with staged(shown, incident(), (100, 20)) as pilot:
        text = screen_text(pilot.app)
        assert "200 lines" in text
        assert "✗ 5 errors" in text
        assert "▲ 8 warnings" in text
        assert "following" in text
        assert "199 POST /predict" in text


async def test_counts_go_beyond_what_is_kept() -> None:
    shown = panel()
    async with staged(shown, ring(12_000, 12_345), (100, 12)) as pilot:
        text = screen_text(pilot.app)
        assert "12,345 lines" in text
        assert "newest 345 kept" in text


async def test_scrolling_up_holds_the_view_and_counts_what_comes() -> None:
    shown = panel()
    async with staged(shown, ring(0, 100), (90, 12)) as pilot:
        before = await press(pilot, "pageup")
        held = [row for row in before.splitlines() if "entry" in row]
        await settle(pilot, shown, ring(500, 600))
        text = screen_text(pilot.app)
        assert [row for row in text.splitlines() if "entry" in row] == held
        assert "scrolled: +500 new" in text
        text = await press(pilot, "end")
        assert "entry 599" in text
        assert "following" in text


async def test_going_down_past_what_was_held_continues_with_what_came() -> None:
    shown = panel()
    async with staged(shown, ring(0, 100), (90, 12)) as pilot:
        await press(pilot, "up")
        await settle(pilot, shown, ring(0, 120))
        text = await press(pilot, "down")
        assert "entry 100" in text
        assert not shown.tail.following
        assert shown.current_entry is not None
        assert shown.current_entry.text == "entry 100"
        await press(pilot, *["down"] * 25)
        assert shown.tail.following


async def test_the_filter_is_typed_kept_and_cleared() -> None:
    shown = panel()
    async with staged(shown, incident(), (110, 20)) as pilot:
        text = await press(pilot, "slash", *"queue")
        assert "showing 8: with queue" in text
        assert "POST" not in text
        await press(pilot, "enter")
        assert pilot.app.focused is shown.tail
        assert not shown.input.has_class("-open")
        text = await press(pilot, "escape")
        assert "POST" in text
        assert shown.tail.filter.is_open


async def test_escape_while_typing_brings_the_former_filter_back() -> None:
    shown = panel()
    async with staged(shown, incident(), (110, 20)) as pilot:
        shown.set_filter("queue")
        await press(pilot, "slash", *"zzz")
        text = await press(pilot, "escape")
        assert "with queue" in text
        assert shown.tail.filter.text == "queue"


async def test_a_wrong_expression_is_told_while_everything_stays_shown() -> None:
    shown = panel()
    async with staged(shown, incident(), (120, 20)) as pilot:
        shown.set_filter("/(/")
        await pilot.pause()
        text = screen_text(pilot.app)
        assert "no regular expression" in text
        assert "POST" in text


async def test_nothing_found_is_said() -> None:
    shown = panel()
    async with staged(shown, incident(), (110, 20)) as pilot:
        shown.set_filter("zzz")
        await pilot.pause()
        assert "None of the lines kept is with zzz. Esc clears the filter." in screen_text(pilot.app)


async def test_severity_steps_to_errors_only_and_back() -> None:
    shown = panel()
    async with staged(shown, incident(), (110, 20)) as pilot:
        text = await press(pilot, "s", "s", "s")
        assert "showing 5: error and worse" in text
        assert "POST" not in text
        text = await press(pilot, "s")
        assert "POST" in text


async def test_errors_are_jumped_to_and_unfolded() -> None:
    shown = panel()
    async with staged(shown, incident(), (110, 20)) as pilot:
        text = await press(pilot, "E", "E", "E")
        assert shown.current_entry is not None
        assert shown.current_entry.text == TRACEBACK
        text = await press(pilot, "enter")
        assert 'File "/srv/model/predict.py", line 88' in text
        text = await press(pilot, "enter")
        assert "line 88" not in text
        text = await press(pilot, "E", "E", "E")
        assert "no earlier error kept here" in text


async def test_the_newest_entry_unfolds_into_view() -> None:
    shown = panel()
    logs = log_view((*numbered(0, 40), log_line(TRACEBACK, Severity.ERROR)))
    async with staged(shown, with_logs(logs), (60, 12)) as pilot:
        assert "line 88" not in screen_text(pilot.app)
        text = await press(pilot, "enter")
        assert "Traceback (most recent call last)" in text
        assert "line 88" in text
        assert "2.00 GiB" in text


async def test_a_source_is_told_by_what_sets_it_apart() -> None:
    shown = panel()
    pods = [f"ml-serving/fraud-scorer-a518eebb92-{name}/server" for name in ("52pjr", "7rk2v")]
    logs = replace(log_view(tuple(log_line("x", source=pod) for pod in pods)), sources=dict.fromkeys(pods, 1))
    async with staged(shown, with_logs(logs), (100, 10)) as pilot:
        text = screen_text(pilot.app)
        assert "INFO  …52pjr x" in text
        assert "INFO  …7rk2v x" in text


async def test_the_wheel_and_a_click_move_the_cursor() -> None:
    shown = panel()
    async with staged(shown, ring(0, 100), (90, 12)) as pilot:
        await pilot._post_mouse_events([MouseScrollUp], shown.tail)
        await pilot.pause()
        assert not shown.tail.following
        top = screen_text(pilot.app).splitlines()[2]
        await pilot.click(shown.tail, offset=(5, 0))
        await pilot.pause()
        assert shown.current_entry is not None
        assert shown.current_entry.text in top


async def test_long_lines_scroll_sideways_or_wrap() -> None:
    shown = panel()
    long = log_line("start " + "x" * 100 + " finish")
    async with staged(shown, with_logs(log_view((long,))), (60, 10)) as pilot:
        assert "finish" not in screen_text(pilot.app)
        assert "finish" in await press(pilot, *["right"] * 6)
        assert "start" in await press(pilot, *["left"] * 6)
        text = await press(pilot, "w")
        assert "start" in text
        assert "finish" in text


async def test_a_paused_screen_counts_what_comes() -> None:
    shown = panel()
    async with staged(shown, ring(0, 100), (90, 12)) as pilot:
        await settle(pilot, shown, ring(0, 100), paused=True)
        await settle(pilot, shown, ring(0, 140), paused=True)
        text = screen_text(pilot.app)
        assert "paused: +40 new" in text
        assert "entry 139" not in text
        await settle(pilot, shown, ring(0, 140))
        assert "entry 139" in screen_text(pilot.app)


async def test_old_logs_are_dimmed() -> None:
    shown = panel()
    snapshot = replace(incident(), sources={"logs": broken("logs", SourceState.UNAVAILABLE, "file is gone")})
    async with staged(shown, snapshot, (90, 20)):
        assert {span.tone for row in shown.tail.lines for span in row if span.text.strip()} == {Tone.DIM}


async def test_an_unchanged_log_repaints_nothing() -> None:
    shown = panel()
    snapshot = incident()
    async with staged(shown, snapshot, (90, 20)) as pilot:
        before = (shown.tail.repainted_lines, shown.status.repainted_lines)
        await settle(pilot, shown, snapshot)
        assert (shown.tail.repainted_lines, shown.status.repainted_lines) == before


async def test_a_flood_is_drawn_by_the_screenful() -> None:
    shown = panel()
    async with staged(shown, ring(0, 1000), (90, 12)) as pilot:
        before = shown.tail.repainted_lines
        await settle(pilot, shown, ring(10_000, 30_000))
        assert "entry 29999" in screen_text(pilot.app)
        assert shown.tail.repainted_lines - before <= 12
        assert len(shown.tail.lines) <= 12


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [(38, 8), (100, 14)])
async def test_log_text_is_drawn_literally_and_within_its_columns(text: str, size: tuple[int, int]) -> None:
    shown = panel()
    logs = log_view(tuple(log_line(f"{text}\n{text}", severity, source=text) for severity in Severity))
    async with staged(shown, with_logs(logs), size) as pilot:
        for keys in (("w",), ("up", "enter"), ("slash", "[", "enter"), ("escape",), ("right", "right")):
            drawn = await press(pilot, *keys)
            assert drawn.replace("\n", "").isprintable()


async def test_no_lines_yet_is_said() -> None:
    shown = panel()
    async with staged(shown, quiet(), (60, 8)) as pilot:
        text = screen_text(pilot.app)
        assert "0 lines" in text
        assert "No log lines yet." in text
        await press(pilot, "up", "down", "pageup", "pagedown", "end", "home", "enter", "e", "E", "w", "left")


async def test_only_one_source_can_be_shown() -> None:
    shown = panel()
    logs = log_view((log_line("from a", source="prod/pod-a/model"), log_line("from b", source="prod/pod-b/model")))
    async with staged(shown, with_logs(logs), (90, 10)) as pilot:
        shown.set_source("pod-b")
        await pilot.pause()
        text = screen_text(pilot.app)
        assert "from b" in text
        assert "from a" not in text
        assert "from pod-b" in text


async def test_resizing_keeps_tail_and_place() -> None:
    shown = panel()
    async with staged(shown, with_logs(incident_logs()), (100, 20)) as pilot:
        for width, height in ((38, 8), (120, 40), (5, 3), (100, 20)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
        assert "199 POST" in screen_text(pilot.app)
        await press(pilot, "E")
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        assert shown.current_entry is not None
        assert shown.current_entry.severity is Severity.ERROR


async def test_ascii_logs_draw_ascii_only() -> None:
    shown = panel(ascii_only=True)
    async with staged(shown, incident(), (100, 20)) as pilot:
        assert screen_text(pilot.app).isascii()
        assert (await press(pilot, "E", "w", "s")).isascii()
