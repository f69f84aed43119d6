"""The checks on screen: `c` opens them, forms, consent, several at once, Esc stops; untrusted text stays text."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot
from textual.widgets import Checkbox, Input, Select

from infdiag_tui.app import InfdiagApp
from infdiag_tui.model import CheckRun, FieldKind, FormField, Impact, OfferedCheck, RunState, Snapshot
from infdiag_tui.screens.check_consent import ConsentScreen
from infdiag_tui.screens.check_form import FormScreen
from infdiag_tui.screens.checks import ChecksScreen
from infdiag_tui.screens.triage import TriageScreen
from tests.screens.check_samples import asking, done, picture, refused, running
from tests.screens.scripted import ManualClock, ScriptedEngine
from widgets.canvas import LineCanvas
from widgets.ink import plain

SIZES = [(80, 24), (120, 40)]


@dataclasses.dataclass
class Console:
    app: InfdiagApp
    engine: ScriptedEngine
    pilot: Pilot[None]

    @property
    def checks(self) -> ChecksScreen:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, ChecksScreen))

    def shows(self, kind: type[object]) -> bool:
        return isinstance(self.app.screen, kind)

    @property
    def focus(self) -> str:
        return str(self.checks.focused.id) if self.checks.focused else ""

    async def tell(self, *runs: CheckRun) -> None:
        """The engine's next picture."""
        self.engine.latest = picture(*runs)
        self.checks.tick()
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], object]) -> None:
        for _ in range(300):
            if condition():
                return
            await self.pilot.pause(0.01)
        raise AssertionError("did not happen")

    def text(self) -> str:
        """What the terminal shows."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip) for strip in strips)

    @property
    def flat(self) -> str:
        return " ".join(self.text().replace("│", " ").split())


@asynccontextmanager
async def checks(size: tuple[int, int] = (120, 40), snapshot: Snapshot | None = None) -> AsyncIterator[Console]:
    engine = ScriptedEngine(snapshot or picture())
    app = InfdiagApp(engine, title="fraud-scorer", clock=ManualClock(), refresh_s=60.0)
    async with app.run_test(size=size, notifications=True) as pilot:
        found = Console(app, engine, pilot)
        await found.until(lambda: app.triage is not None and engine.started.is_set())
        assert app.triage is not None
        app.triage.tick()
        await found.press("c")
        await found.until(lambda: found.shows(ChecksScreen) and found.checks.focused is not None)
        found.checks.tick()
        await pilot.pause()
        yield found


@pytest.mark.parametrize("size", SIZES)
async def test_c_lists_the_symptoms_checks_first_and_says_why_one_cannot_run(size: tuple[int, int]) -> None:
    async with checks(size) as found:
        text = found.text()
        assert text.index("▸ load") < text.index("  drift ") < text.index("  version ")
        assert "Load test" in text
        assert "needs: checks.drift.ref" in text
        assert "Nothing was run yet." in text
        assert "enter open form" in found.flat
        assert ("Sends [red]many[/red] requests." in text) == (size[0] >= 100)


async def test_while_the_offer_is_unknown_it_says_so() -> None:
    async with checks(snapshot=picture(offered=None)) as found:
        assert "Looking which checks can run." in found.text()
        await found.press("enter", "down")
        assert found.shows(ChecksScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_enter_shows_the_form_with_the_configs_values_and_starts_with_what_was_typed(
    size: tuple[int, int],
) -> None:
    async with checks(size) as found:
        await found.press("enter")
        assert found.shows(FormScreen)
        form = found.app.screen
        requests, names = form.query(Input)
        assert requests.value == "250"
        assert "Requests in a closed loop." in found.text()
        assert "Sends [red]many[/red] requests." in found.text()
        assert "sends load, asks first" in found.text()
        assert form.query_one(Checkbox).value is True
        assert form.query_one(Select).value == "constant"
        await found.press("0", "tab", "tab", "space", "tab")
        assert form.focused is names
        await found.press("a", "enter")
        expected = {"requests": "2500", "mode": "constant", "keep_alive": "false", "names": "a"}
        assert found.engine.started_checks == [("load", expected)]
        await found.press("enter")
        assert len(found.engine.started_checks) == 1
        await found.tell(running())
        await found.until(lambda: found.shows(ChecksScreen) and found.focus == "runs")
        await found.pilot.pause()
        assert "running" in found.text()
        assert "40%" in found.text()
        assert "[b]400[/b]" in found.text()


async def test_wrong_values_are_explained_under_their_fields_and_nothing_is_lost() -> None:
    async with checks((80, 24)) as found:
        await found.press("enter", "x", "enter")
        found.engine.latest = picture(refused())
        await found.until(lambda: "valid integer" in found.text())
        assert found.shows(FormScreen)
        assert "(got 'many')" in found.flat
        assert "rate needs a duration." in found.flat
        assert isinstance(found.app.screen.focused, Input)
        assert found.app.screen.focused.value == "250x"
        await found.press("escape")
        assert "Nothing was run yet." in found.text()
        await found.press("enter")
        assert found.app.screen.query(Input).first().value == "250x"


async def test_a_form_without_parameters_starts_from_its_button() -> None:
    async with checks() as found:
        await found.press("end", "enter")
        assert found.shows(FormScreen)
        await found.press("enter")
        assert found.engine.started_checks == [("version", {})]
        await found.press("escape")
        assert found.engine.cancelled == [1]
        assert found.shows(ChecksScreen)


async def test_a_check_that_lacks_an_input_says_so_in_its_form_which_takes_it() -> None:
    async with checks() as found:
        await found.press("down", "enter")
        assert "checks.drift.reference in the config, or --reference" in found.flat
        await found.press("/", "x", "enter")
        assert found.engine.started_checks == [("drift", {"reference": "/x"})]


@pytest.mark.parametrize("size", SIZES)
async def test_what_a_field_needs_and_is_not_there_greys_it_with_the_reason(size: tuple[int, int]) -> None:
    why = "There is no way into the model's container: [b]set[/b] kubernetes.selector."
    in_pod = FormField("in_pod", "Look inside.", FieldKind.SWITCH, default="false", lacking=why)
    kept = FormField("pod_file", "Files there.", FieldKind.WORDS, value="/model/*", lacking=why)
    offered = OfferedCheck("version", "Versions", "Asks.", Impact.EXEC, 1, fields=(in_pod, kept))
    async with checks(size, picture(offered=(offered,))) as found:
        await found.press("enter")
        form = found.app.screen
        assert f"Not now: {why}" in found.flat
        assert form.query_one(Checkbox).disabled
        # What the config sets can still be taken back.
        assert not form.query_one(Input).disabled
        await found.press("enter")
        assert found.engine.started_checks == [("version", {"in_pod": "false", "pod_file": "/model/*"})]


@pytest.mark.parametrize("size", SIZES)
async def test_load_asks_first_and_only_y_agrees(size: tuple[int, int]) -> None:
    async with checks(size) as found:
        await found.tell(asking())
        await found.until(lambda: found.shows(ConsentScreen))
        assert "Sends 250 requests to http://model-server:8000/predict [red]now[/red]." in found.flat
        await found.press("enter")
        assert found.shows(ConsentScreen)
        await found.press("y")
        assert found.engine.confirmed == [1]
        assert found.engine.cancelled == []
        await found.tell(asking())
        assert found.shows(ChecksScreen)


async def test_declining_cancels_the_run() -> None:
    async with checks() as found:
        await found.tell(asking())
        await found.until(lambda: found.shows(ConsentScreen))
        await found.press("escape")
        assert found.engine.cancelled == [1]
        assert found.engine.confirmed == []


@pytest.mark.parametrize("size", SIZES)
async def test_the_outcome_is_readable_with_charts_evidence_tables_and_files(size: tuple[int, int]) -> None:
    async with checks(size, picture(running(1), done(2))) as found:
        await found.press("tab")
        assert found.focus == "runs"
        await found.press("enter")
        assert found.focus == "detail"
        text = found.text()
        assert "✗ FAIL" in text
        assert "1 of 2 features drifted: amount." in found.flat
        assert "┆ smallest that counts, 0.05" in text
        assert "✗ amount [/x] 0.31 █" in text
        assert "amount drifted [bold]by half[/bold] a spread" in found.flat
        assert "threshold 0.25 (usual PSI threshold)" in found.flat
        assert "✓ OK" in text
        await found.press("end")
        text = found.text()
        assert "features (2)" in text
        assert "amount [/x]" in text
        assert "0.3123" in text
        lines = found.checks.query_one("#detail", LineCanvas).lines
        assert "".join(plain(row) for row in lines).endswith("checks/02-drift/drift.json")
        assert "Files" in text
        await found.press("escape")
        assert found.focus == "runs"
        assert found.engine.cancelled == []


@pytest.mark.parametrize("size", SIZES)
async def test_several_run_side_by_side_and_esc_stops_the_one_in_focus(size: tuple[int, int]) -> None:
    async with checks(size, picture(running(1, 0.1), running(2, None), done(3))) as found:
        assert found.text().count("running ") >= 2
        assert "10%" in found.text()
        await found.press("tab", "down")
        assert "esc stop the run" in found.flat
        await found.press("escape")
        assert found.engine.cancelled == [2]
        assert found.shows(ChecksScreen)
        assert "Stopping Load test." in found.flat
        stopped = dataclasses.replace(running(2), state=RunState.CANCELLED, ended_at=1.0)
        await found.tell(running(1), stopped, done(3))
        assert "cancelled" in found.text()
        await found.press("escape")
        assert found.shows(TriageScreen)
        assert found.engine.cancelled == [2]


async def test_leaving_says_what_goes_on_and_its_end_is_told_on_the_panels() -> None:
    async with checks(snapshot=picture(running(2))) as found:
        await found.press("escape")
        assert found.shows(TriageScreen)
        assert "1 check goes on; c shows how far." in found.flat
        assert found.app.triage is not None
        found.app.triage.tick()
        found.engine.latest = picture(done(2))
        found.app.triage.tick()
        await found.until(lambda: "Data drift: FAIL: 1 of 2 features drifted" in found.flat)


async def test_keys_are_answered_while_checks_run_and_the_cursor_stays_on_its_run() -> None:
    async with checks((80, 24), picture(running(1))) as found:
        await found.press("tab")
        await found.tell(running(1, 0.5), running(2, 0.1))
        assert found.checks.focused_run == running(1, 0.5)
        await found.press("up")
        assert found.checks.focused_run == running(2, 0.1)
        await found.press("shift+tab")
        assert found.focus == "offers"
        await found.press("question_mark")
        assert "The checks of the protocol" in found.text()


async def test_a_narrow_terminal_gives_the_details_of_a_running_check_the_screen_and_tab_leads_back() -> None:
    async with checks((80, 24), picture(running(1))) as found:
        await found.press("tab", "enter")
        assert found.focus == "detail"
        assert "Versions" not in found.text()
        await found.press("tab")
        assert found.focus == "runs"
        assert "Versions" in found.text()
        assert found.engine.cancelled == []


async def test_a_mouse_opens_a_form_and_presses_keys() -> None:
    async with checks() as found:
        await found.pilot.click("#offers", offset=(4, 2))
        await found.pilot.pause()
        assert found.shows(ChecksScreen)
        await found.pilot.click("#offers", offset=(4, 2))
        await found.until(lambda: found.shows(FormScreen))
        await found.press("escape")
        await found.pilot.click("#keys", offset=(18, 0))
        await found.until(lambda: found.shows(TriageScreen))


async def test_the_palette_offers_only_what_works_here() -> None:
    async with checks() as found:
        titles = {command.title for command in found.app.get_system_commands(found.checks)}
        assert "Help" in titles
        assert "Quit" in titles
        assert "Zoom the panel" not in titles
