"""The triage screen, driven by keys and mouse over a scripted engine."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from infdiag_tui.actions import ACTIONS, PANELS
from infdiag_tui.app import InfdiagApp
from infdiag_tui.model import LatencyView, Severity, Snapshot, SourceState, StartFailure
from infdiag_tui.screens.help import HelpScreen
from infdiag_tui.screens.triage import TriageScreen
from tests.screens.scripted import ManualClock, ScriptedEngine, health, incident_snapshot, latency
from widgets.ink import plain
from widgets.report_editor import ReportEditor

SIZES = [(40, 10), (60, 15), (80, 24), (100, 30), (120, 40), (200, 60)]


@dataclasses.dataclass
class Console:
    app: InfdiagApp
    engine: ScriptedEngine
    clock: ManualClock
    pilot: Pilot[None]

    @property
    def screen(self) -> TriageScreen:
        assert self.app.triage is not None
        return self.app.triage

    @property
    def shown(self) -> set[str]:
        return {str(panel.id) for panel in self.screen.board if panel.display and panel.region.area}

    def paused(self) -> bool:
        return self.screen.paused

    def following(self) -> bool:
        return self.screen.logs_panel.tail.following

    @property
    def vitals(self) -> str:
        return "\n".join(plain(row) for row in self.screen.query_one("#vitals").lines)  # type: ignore[attr-defined]

    def bar(self, name: str) -> str:
        return "\n".join(plain(row) for row in self.screen.query_one(f"#{name}").lines)  # type: ignore[attr-defined]

    async def tick(self) -> None:
        self.screen.tick()
        await self.pilot.pause()

    def text(self) -> str:
        """What the terminal shows."""
        width, height = self.app.size
        strips = self.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips[:height])[
            : (width + 1) * height
        ]


@asynccontextmanager
async def console(size: tuple[int, int] = (120, 40), snapshot: Snapshot | None = None) -> AsyncIterator[Console]:
    clock = ManualClock()
    engine = ScriptedEngine(snapshot if snapshot is not None else incident_snapshot())
    app = InfdiagApp(engine, title="fraud-scorer", clock=clock, refresh_s=60.0)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert app.triage is not None
        found = Console(app, engine, clock, pilot)
        await until(found, engine.started.is_set)
        await found.tick()
        yield found


async def until(found: Console, condition: object, tries: int = 200) -> None:
    assert callable(condition)
    for _ in range(tries):
        if condition():
            return
        await found.pilot.pause(0.01)
    raise AssertionError("did not happen")


async def test_the_engine_starts_after_the_first_frame_and_the_title_stands_there_meanwhile() -> None:
    engine = ScriptedEngine(None)
    app = InfdiagApp(engine, title="fraud-scorer", clock=ManualClock(), refresh_s=60.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.triage is not None
        found = Console(app, engine, ManualClock(), pilot)
        await until(found, engine.started.is_set)
        await found.tick()
        assert "fraud-scorer" in found.vitals
        assert "starting" in found.vitals


@pytest.mark.parametrize("size", SIZES)
async def test_every_size_shows_what_fits(size: tuple[int, int]) -> None:
    async with console(size) as found:
        text = found.text()
        if size == (40, 10):
            flat = " ".join(text.split())
            assert "terminal too small (40x10); infdiag needs at least 44x12" in flat
            assert not found.shown
            return
        assert "HIGH" in found.vitals
        assert "Findings" in text
        assert "OOMKilled" in text
        assert found.shown == ({"findings"} if size[0] < 100 else {slot.id for slot in PANELS})


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 40), (200, 60)])
async def test_every_panel_can_be_reached_by_its_number(size: tuple[int, int]) -> None:
    async with console(size) as found:
        for slot in PANELS:
            await found.pilot.press(str(slot.number))
            await found.pilot.pause()
            assert slot.id in found.shown
            focused = found.screen.focused
            assert focused is not None
            assert found.screen.board.panels[slot.id] in focused.ancestors_with_self
            if slot.id == "report":
                await found.pilot.press("escape")
            if size[0] < 100:
                assert found.shown == {slot.id}
                assert f"[{slot.number} " in found.bar("tabs")


async def test_a_click_on_a_tab_shows_its_panel_and_a_click_on_a_key_acts() -> None:
    async with console((80, 24)) as found:
        column = found.bar("tabs").index("2 Pods") + 1
        await found.pilot.click("#tabs", offset=(column, 0))
        await found.pilot.pause()
        assert found.shown == {"pods"}
        column = found.bar("keys").index("pause")
        await found.pilot.click("#keys", offset=(column, 0))
        await found.pilot.pause()
        assert found.paused()


async def test_a_click_focuses_a_panel_of_the_grid() -> None:
    async with console((120, 40)) as found:
        await found.pilot.click("#logs", offset=(10, 5))
        await found.pilot.pause()
        assert found.screen.board.active == "logs"


async def test_tab_goes_round_all_panels_and_never_into_the_text() -> None:
    async with console((120, 40)) as found:
        seen = []
        for _ in PANELS:
            await found.pilot.press("tab")
            await found.pilot.pause()
            seen.append(found.screen.board.active)
            assert not found.screen.editing
        assert sorted(seen) == sorted(slot.id for slot in PANELS)
        await found.pilot.press("shift+tab")
        await found.pilot.pause()
        assert found.screen.board.active == seen[-2]


async def test_a_storm_of_resizes_ends_in_the_right_arrangement_with_the_same_panel_active() -> None:
    async with console((120, 40)) as found:
        await found.pilot.press("2")
        for size in [*SIZES, *reversed(SIZES), (1, 1), (300, 5), (44, 12), (43, 60), (80, 24)]:
            await found.pilot.resize_terminal(*size)
            found.screen.tick()
        await found.pilot.pause()
        await until(found, lambda: found.shown == {"pods"})
        await found.pilot.resize_terminal(40, 10)
        await until(found, lambda: "too small (40x10)" in " ".join(found.text().split()))
        await found.pilot.resize_terminal(120, 40)
        await until(found, lambda: len(found.shown) == len(PANELS))
        assert found.screen.board.active == "pods"
        assert found.screen.focused is not None
        assert "too small" not in found.text()


async def test_the_draft_is_kept_up_while_the_terminal_is_too_small() -> None:
    async with console((120, 40)) as found:
        await found.pilot.press("6", "x")
        await found.pilot.resize_terminal(40, 10)
        await until(found, lambda: bool(found.engine.edits))
        assert found.engine.edits[-1][0].endswith("Notes\n\nx")
        await found.pilot.resize_terminal(120, 40)
        await until(found, lambda: len(found.shown) == len(PANELS))
        assert found.screen.report_panel.editor.text.endswith("Notes\n\nx")


async def test_zoom_gives_the_panel_the_screen_and_takes_it_back() -> None:
    async with console((120, 40)) as found:
        await found.pilot.press("4", "z")
        await found.pilot.pause()
        assert found.shown == {"latency"}
        assert found.screen.board.panels["latency"].region.width == 120
        await found.pilot.press("1")
        await found.pilot.pause()
        assert found.shown == {"gpu"}
        await found.pilot.press("escape")
        await found.pilot.pause()
        assert len(found.shown) == len(PANELS)


async def test_pause_freezes_the_view_counts_what_arrives_and_resumes() -> None:
    async with console((120, 40)) as found:
        await found.pilot.press("space")
        await found.pilot.pause()
        before = incident_snapshot()
        view = latency()
        more = dataclasses.replace(view.windows[-1], requests=view.windows[-1].requests + 60)
        newer: LatencyView = dataclasses.replace(view, windows=(*view.windows[:-1], more))
        counts = {**before.logs.counts, Severity.INFO: before.logs.counts[Severity.INFO] + 1234}
        found.engine.latest = dataclasses.replace(
            before,
            number=2,
            evidence=(),
            latency=(newer,),
            logs=dataclasses.replace(before.logs, counts=counts),
        )
        found.clock.at += 12
        await found.tick()
        assert "PAUSED 12 s: +1,234 lines, +60 replies" in found.vitals
        assert "OOMKilled" in found.text()
        assert "resume" in found.bar("keys")
        await found.pilot.press("space")
        await found.pilot.pause()
        assert "PAUSED" not in found.vitals
        assert "was OOMKilled" not in plain_findings(found)


def plain_findings(found: Console) -> str:
    panel = found.screen.board.panels["findings"]
    return "\n".join(plain(row) for row in panel.canvas.lines)  # type: ignore[attr-defined]


async def test_a_hidden_panel_shows_the_moment_of_the_pause_when_it_is_turned_to() -> None:
    async with console((80, 24)) as found:
        await found.pilot.press("space")
        assert found.engine.latest is not None
        found.engine.latest = dataclasses.replace(found.engine.latest, number=2, pods=(), usage={})
        await found.tick()
        await found.pilot.press("2")
        await found.pilot.pause()
        await until(found, lambda: "x2x9p" in found.text())


async def test_the_save_failure_is_seen_even_while_paused() -> None:
    async with console((120, 40)) as found:
        await found.pilot.press("space")
        assert found.engine.latest is not None
        found.engine.set_draft(dataclasses.replace(found.engine.latest.draft, save_error="No space left on device"))
        await found.tick()
        assert "NOT SAVED: No space left on device" in found.text()


async def test_what_is_typed_in_the_report_is_text_and_no_command() -> None:
    async with console((120, 40)) as found:
        await found.pilot.press("6")
        await found.pilot.press("q", "z", "1", "space", "e", "question_mark", "slash")
        await until(found, lambda: bool(found.engine.edits))
        assert found.screen.report_panel.editor.text.endswith("Notes\n\nqz1 e?/")
        assert isinstance(found.screen.focused, ReportEditor)
        assert not found.paused()
        assert "back to commands" in found.bar("keys")
        await found.pilot.press("escape", "space")
        await found.pilot.pause()
        assert found.paused()
        assert found.screen.report_panel.editor.text.endswith("Notes\n\nqz1 e?/")


async def test_the_log_filter_opens_from_anywhere_and_its_letters_are_text() -> None:
    async with console((120, 40)) as found:
        await found.pilot.press("1", "slash")
        await found.pilot.pause()
        assert isinstance(found.screen.focused, Input)
        await found.pilot.press(*"queue", "enter")
        await found.pilot.pause()
        assert found.screen.logs_panel.tail.filter.text == "queue"
        assert "queue depth" in found.text()
        assert "CUDA out of memory" not in "\n".join(row for row in found.text().splitlines() if "ERROR" in row)


async def test_log_keys_work_from_any_panel() -> None:
    async with console((80, 24)) as found:
        await found.pilot.press("1", "e")
        await found.pilot.pause()
        assert found.shown == {"logs"}
        assert not found.following()
        await found.pilot.press("1", "f")
        await found.pilot.pause()
        assert found.following()
        await found.pilot.press("1", "s")
        await found.pilot.pause()
        assert found.screen.logs_panel.tail.filter.least is not Severity.UNKNOWN


@pytest.mark.parametrize("size", [(60, 15), (120, 40)])
async def test_help_names_the_panel_its_troubles_and_every_key(size: tuple[int, int]) -> None:
    async with console(size) as found:
        await found.pilot.press("1", "question_mark")
        await found.pilot.pause()
        screen = found.app.screen
        assert isinstance(screen, HelpScreen)
        text = "\n".join(plain(row) for row in screen._canvas.lines)
        flat = " ".join(text.split())
        assert text.startswith("GPU")
        assert "connection refused by node7:9400" in flat
        for action in ACTIONS:
            assert action.title in flat
        await found.pilot.press("escape")
        await found.pilot.pause()
        assert found.app.screen is found.screen


async def test_the_palette_offers_and_runs_the_same_actions() -> None:
    async with console((120, 40)) as found:
        commands = {command.title: command for command in found.app.get_system_commands(found.screen)}
        assert {action.title for action in ACTIONS if action.in_palette and action.target} <= set(commands)
        await found.pilot.press("ctrl+p")
        await found.pilot.pause()
        await found.pilot.press(*"zoom the")
        await found.pilot.pause(0.3)
        await found.pilot.press("enter")
        await until(found, lambda: len(found.shown) == 1)


async def test_a_repeated_message_is_shown_once() -> None:
    async with console((80, 24)) as found:
        for _ in range(5):
            await found.pilot.press("z")
        assert len(found.app._notifications) == 1


async def test_a_panel_that_cannot_be_drawn_says_so_and_leaves_the_rest_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with console((120, 40)) as found:

        def broken(*_args: object, **_options: object) -> None:
            raise KeyError("pods[0]")

        monkeypatch.setattr(found.screen.board.panels["pods"], "draw", broken)
        await found.tick()
        await found.tick()
        assert "cannot be drawn" in found.text()
        assert len(found.app._notifications) == 1
        assert "OOMKilled" in found.text()


async def test_a_session_that_cannot_start_ends_the_console_with_its_reason() -> None:
    engine = ScriptedEngine(None)
    engine.start_failure = StartFailure("infdiag.toml: models.x.endpoint.url is no URL", 2)
    app = InfdiagApp(engine, title="x", clock=ManualClock(), refresh_s=60.0)
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(200):
            if app.start_failure is not None:
                break
            await pilot.pause(0.01)
    assert app.start_failure == engine.start_failure


async def test_the_footer_and_tabs_grow_no_widgets_over_many_refreshes() -> None:
    async with console((80, 24)) as found:
        before = len(list(found.screen.walk_children()))
        for number in range(40):
            found.screen.action_pause()
            found.screen.action_show_panel(PANELS[number % 5].id)
            found.screen.tick()
        await found.pilot.pause()
        assert len(list(found.screen.walk_children())) == before


async def test_an_unchanged_picture_repaints_nothing() -> None:
    async with console((120, 40)) as found:
        await found.tick()
        canvases = [widget for widget in found.screen.walk_children() if hasattr(widget, "repainted_lines")]
        before = [canvas.repainted_lines for canvas in canvases]
        for _ in range(5):
            await found.tick()
        assert [canvas.repainted_lines for canvas in canvases] == before


async def test_old_data_is_seen_as_old_without_any_new_snapshot() -> None:
    async with console((120, 40)) as found:
        found.clock.at += 40
        await found.tick()
        assert "◐logs 41s" in found.vitals
        assert found.screen.logs_panel.panel_state.state is SourceState.STALE


async def test_markup_in_names_is_drawn_as_it_stands() -> None:
    snapshot = incident_snapshot()
    info = dataclasses.replace(snapshot.incident, model="[red]m[/", symptom="[b")
    sources = {**snapshot.sources, "[x": health("[x", SourceState.UNAVAILABLE, 3.0, reason="[/bold] refused")}
    async with console((120, 40), dataclasses.replace(snapshot, incident=info, sources=sources)) as found:
        assert "[red]m[/" in found.vitals
        await found.pilot.press("question_mark")
        await found.pilot.pause()
        assert isinstance(found.app.screen, HelpScreen)


async def test_quitting_sends_what_was_typed_last() -> None:
    async with console((120, 40)) as found:
        await found.pilot.press("6", "x", "ctrl+q")
        await found.pilot.pause()
    assert found.engine.edits[-1][0].endswith("Notes\n\nx")
