from __future__ import annotations

from dataclasses import replace

import pytest
from textual.app import App

from infdiag_tui.model import Pod, Snapshot, SourceState, Termination, Verdict
from tests.widgets.samples import (
    HOSTILE,
    NOW,
    broken,
    evidence,
    hostile,
    incident,
    killed_pod,
    live,
    pod,
    quiet,
    usage,
    warning_event,
)
from tests.widgets.stage import Stage, screen_text, settle, staged
from widgets.glyphs import UNICODE
from widgets.ink import Tone, line_cells, plain
from widgets.pod_rows import last_end, memory_words, order, row, visible_columns
from widgets.pods_panel import PodsPanel, event_lines
from widgets.verdicts import Verdicts


def panel(*, ascii_only: bool = False) -> PodsPanel:
    return PodsPanel(sources=("cluster",), ascii_only=ascii_only)


def with_pods(*pods: Pod) -> Snapshot:
    return replace(quiet(), pods=pods)


def test_the_last_end_tells_reason_code_and_age() -> None:
    assert last_end(Termination("OOMKilled", 137, NOW - 130), NOW) == "OOMKilled 137 2m ago"
    assert last_end(Termination("", None, None), NOW) == "ended"
    assert last_end(None, NOW) == "-"


def test_memory_is_told_against_the_limit_with_the_age_of_old_figures() -> None:
    one = pod("a")
    assert memory_words(one, usage(one, 0.9, age_s=14), NOW) == "1.8Gi/2Gi 90 %"
    assert memory_words(one, usage(one, 0.9, age_s=200), NOW) == "1.8Gi/2Gi 90 % 3m old"
    assert memory_words(one, None, NOW) == "n/a/2Gi"
    assert memory_words(pod("b", memory_limit=None), None, NOW) == "n/a/no limit"


def test_problem_pods_stand_first() -> None:
    fine, sick, unready = pod("aaa"), killed_pod("zzz"), pod("mmm", ready=False)
    verdicts = Verdicts((evidence("pods.oom_killed", Verdict.FAIL, sick.key),))
    assert [each.name[-3:] for each in order((fine, unready, sick), verdicts)] == ["zzz", "mmm", "aaa"]


@pytest.mark.parametrize("width", [20, 34, 56, 76, 96, 130, 200])
def test_a_row_is_as_wide_as_its_table_and_names_stay_apart(width: int) -> None:
    snapshot = incident()
    rows = [row(each, snapshot, NOW, width, Verdicts(()), UNICODE) for each in snapshot.pods]
    assert all(line_cells(each) <= width for each in rows)
    assert len({plain(each) for each in rows}) == 3
    assert all(tail in plain(each) for each, tail in zip(rows, ("aaaaa", "x2x9k", "zq81m"), strict=True))


def test_the_status_is_kept_longest() -> None:
    columns, _ = visible_columns(36)
    assert [column.heading for column in columns][:2] == ["READY", "STATUS"]


def test_everything_is_in_the_table_where_it_is_wide() -> None:
    snapshot = incident()
    text = plain(row(snapshot.pods[1], snapshot, NOW, 200, Verdicts(()), UNICODE))
    for part in ("0/1", "CrashLoopBackOff", "4", "OOMKilled 137 2m ago", "1.94Gi/2Gi 97 %", "1.23/2", "9c1f22ab34cd"):
        assert part in text


def test_only_warnings_are_told_newest_first_and_how_often() -> None:
    normal = replace(warning_event("Pulled", "image pulled"), type="Normal")
    events = (warning_event("BackOff", "old", 300), normal, warning_event("Unhealthy", "new", 5))
    rows = [plain(each) for each in event_lines(events, NOW, 6, UNICODE)]
    assert "newest of 2" in rows[0]
    assert "5s ago" in rows[1]
    assert "Unhealthy (7×)" in rows[1]
    assert "BackOff" in rows[2]
    assert "image pulled" not in "".join(rows)


async def test_table_details_events_and_memory_chart_are_shown() -> None:
    async with staged(panel(), incident(), (100, 30)) as pilot:
        text = screen_text(pilot.app)
        for part in ("CrashLoopBackOff", "OOMKilled 137 2m ago", "Readiness probe failed", "limit 2Gi", "memory of"):
            assert part in text


async def test_a_small_panel_shows_the_worst_pod_first() -> None:
    async with staged(panel(), incident(), (38, 8)) as pilot:
        rows = screen_text(pilot.app).splitlines()
        assert "x2x9k" in rows[2]
        assert "CrashLoop" in rows[2]


async def test_the_selection_stays_on_its_pod_when_rows_change_places() -> None:
    shown = panel()
    first, second, third = pod("aaaaa"), pod("bbbbb"), pod("ccccc")
    async with staged(shown, with_pods(first, second, third)) as pilot:
        await pilot.press("down")
        assert shown.selected_key == second.key
        worse = replace(third, ready=False)
        await settle(pilot, shown, with_pods(first, second, worse))
        assert shown.selected_key == second.key
        assert shown.table.cursor_line == 3
        await settle(pilot, shown, with_pods(first, worse))
        assert shown.selected_key in (first.key, worse.key)
        await settle(pilot, shown, with_pods())
        assert shown.selected_key == ""


async def test_choosing_a_pod_is_told_to_the_console() -> None:
    chosen: list[str] = []

    class Listening(Stage):
        def on_pod_table_chosen(self, event: object) -> None:
            chosen.append(event.key)  # type: ignore[attr-defined]

    shown = panel()
    app: App[None] = Listening(shown)
    async with app.run_test(size=(80, 20)) as pilot:
        await settle(pilot, shown, with_pods(pod("aaaaa"), pod("bbbbb")))
        await pilot.press("down", "enter")
        await pilot.click(shown.table, offset=(3, 1))
        await pilot.press("enter")
        await pilot.pause()
    assert [key[-5:] for key in chosen] == ["bbbbb", "aaaaa"]


async def test_hundreds_of_pods_scroll_with_the_selection() -> None:
    shown = panel()
    pods = tuple(pod(f"{number:05d}") for number in range(300))
    async with staged(shown, with_pods(*pods), (80, 20)) as pilot:
        await pilot.press("end")
        await pilot.pause()
        assert "-00299" in screen_text(pilot.app)
        await pilot.press("home")
        await pilot.pause()
        text = screen_text(pilot.app)
        assert "-00000" in text
        assert "READY" in text


async def test_dead_cluster_dims_what_was_last_seen_and_says_why() -> None:
    shown = panel()
    source = broken("cluster", SourceState.FORBIDDEN, 'cannot list pods in "prod"', "ask for list on pods")
    async with staged(shown, replace(incident(), sources={"cluster": source}), (100, 20)) as pilot:
        text = screen_text(pilot.app)
        assert 'cannot list pods in "prod"' in text
        assert "ask for list on pods" in text
        assert "x2x9k" in text
        tones = {span.tone for each in shown.table.lines[1:] for span in each if span.text.strip()}
        assert tones == {Tone.DIM}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (SourceState.LIVE, "No pod matches the selector."),
        (SourceState.STARTING, "Waiting for the first list of pods."),
        (SourceState.OFF, "No cluster is configured."),
        (SourceState.UNAVAILABLE, "No pod was ever listed."),
    ],
)
async def test_no_pods_are_explained(state: SourceState, words: str) -> None:
    source = live("cluster") if state is SourceState.LIVE else broken("cluster", state)
    async with staged(panel(), replace(quiet(), sources={"cluster": source}), (60, 10)) as pilot:
        assert words in screen_text(pilot.app)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("size", [(1, 1), (38, 8), (80, 24), (200, 30)])
async def test_text_from_outside_is_drawn_literally(text: str, size: tuple[int, int]) -> None:
    async with staged(panel(), hostile(text), size) as pilot:
        assert screen_text(pilot.app).replace("\n", "").isprintable()


async def test_unchanged_pods_repaint_nothing() -> None:
    shown = panel()
    async with staged(shown, incident(), (100, 30)) as pilot:
        before = (shown.table.repainted_lines, shown.below.repainted_lines)
        await settle(pilot, shown, replace(incident(), number=2))
        assert (shown.table.repainted_lines, shown.below.repainted_lines) == before


async def test_ascii_pods_draw_ascii_only() -> None:
    async with staged(panel(ascii_only=True), incident(), (120, 30)) as pilot:
        assert screen_text(pilot.app).isascii()
