"""Guidance beside the data: the page, the companions' commands, and copying one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, cast

from textual.screen import Screen
from textual.widgets import Markdown, Static

from infdiag_tui.model import CommandBeside, CompanionOffer, CompanionRun, GuidanceView, Impact
from infdiag_tui.screens.check_consent import ConsentScreen
from infdiag_tui.screens.command import SHOWN_CHARACTERS, CommandScreen
from infdiag_tui.screens.guidance import GuidanceScreen
from tests.screens.pty_console import PtyConsole
from tests.screens.scripted import ScriptedEngine, incident_snapshot
from tests.screens.test_triage import console, until

OFFER = CompanionOffer(
    *("kubectl", "shows the [end] of the container", "kubectl -n ml describe pod 'a;b'", "on this machine"),
    argv=(("kubectl", "-n", "ml", "describe", "pod", "a;b"),),
)
VIEW = GuidanceView("memory-leak", "Memory leak", "# Memory leak\n\nGrows without end.\n", (OFFER,))


async def test_the_page_and_the_commands_are_shown_and_a_digit_copies_one() -> None:
    async with console(snapshot=dataclasses.replace(incident_snapshot(), guidance=VIEW)) as found:
        await found.pilot.press("i")
        screen = found.app.screen
        assert isinstance(screen, GuidanceScreen)
        assert "Grows without end." in screen.query_one(Markdown).source
        said = "\n".join(str(one.content) for one in screen.query(Static))
        assert "kubectl -n ml describe pod 'a;b'" in said
        assert "[end]" in said
        await found.pilot.press("9", "1")
        assert found.app.clipboard == OFFER.command
        await found.pilot.press("escape")
        assert not isinstance(found.app.screen, GuidanceScreen)


async def test_without_guidance_it_says_so() -> None:
    async with console() as found:
        await found.pilot.press("i")
        assert not isinstance(found.app.screen, GuidanceScreen)


def told(engine: ScriptedEngine, run: CompanionRun) -> None:
    assert engine.latest is not None
    engine.latest = dataclasses.replace(engine.latest, number=engine.latest.number + 1, companion=run)


def said(screen: Screen[Any]) -> str:
    return "\n".join(str(one.content) for one in screen.query(Static))


async def test_a_command_runs_once_its_exact_line_was_agreed_to_and_can_be_pinned() -> None:
    offer = CompanionOffer("echo", "says it", "echo 'it [bold]works[/]'", "on this machine", impact=Impact.LOAD)
    view = dataclasses.replace(VIEW, offers=(offer,))
    async with console(snapshot=dataclasses.replace(incident_snapshot(), guidance=view)) as found:
        await found.pilot.press("i", "r", "1")
        assert isinstance(found.app.screen, ConsentScreen)
        assert offer.command in said(found.app.screen)
        assert "It runs on this machine and puts load on what it runs on. For 60 s at most." in said(found.app.screen)
        await found.pilot.press("n")
        assert isinstance(found.app.screen, GuidanceScreen)
        assert not found.engine.companions, "declined: nothing runs"
        await found.pilot.press("1", "y")
        screen = cast("CommandScreen", found.app.screen)
        assert found.engine.companions == [offer]
        await found.pilot.press("p")
        assert not found.engine.notes, "it still runs"
        told(found.engine, CompanionRun(1, "it [bold]works[/]\n"))
        await until(found, lambda: "it [bold]works[/]" in said(screen))
        assert "running on this machine for" in said(screen)
        told(found.engine, CompanionRun(1, "it [bold]works[/]\n", "exit code 4 after 0.1 s"))
        await until(found, lambda: "exit code 4" in said(screen))
        await found.pilot.press("p")
        assert found.engine.notes == [f"{offer.command} (on this machine): exit code 4 after 0.1 s: it [bold]works[/]"]
        await found.pilot.press("escape")
        await until(found, lambda: found.engine.stopped_companions == [1])
        await found.pilot.press("r", "1")
        assert found.app.clipboard == offer.command, "r goes back to copying"


async def test_escape_first_stops_it_and_then_leads_back() -> None:
    async with console(snapshot=dataclasses.replace(incident_snapshot(), guidance=VIEW)) as found:
        await found.pilot.press("i", "r", "1", "y")
        screen = cast("CommandScreen", found.app.screen)
        told(found.engine, CompanionRun(1, "so far\n"))
        await until(found, lambda: "so far" in said(screen))
        await found.pilot.press("escape")
        assert found.engine.stopped_companions == [1]
        assert isinstance(found.app.screen, CommandScreen)
        told(found.engine, CompanionRun(1, "so far\n", "stopped after 2.0 s"))
        await until(found, lambda: "stopped after 2.0 s" in said(screen))
        assert "so far" in said(screen), "what it had said stays to be read"
        await found.pilot.press("escape")
        assert screen not in found.app.screen_stack


async def test_of_a_long_output_the_end_is_shown_and_the_screen_says_so() -> None:
    async with console(snapshot=dataclasses.replace(incident_snapshot(), guidance=VIEW)) as found:
        await found.pilot.press("i", "r", "1", "y")
        screen = cast("CommandScreen", found.app.screen)
        text = "first\n" + "line of output\n" * (SHOWN_CHARACTERS // 10) + "last\n"
        told(found.engine, CompanionRun(1, text, "exit code 0 after 1.0 s"))
        await until(found, lambda: "last\n" in said(screen))
        assert "first" not in said(screen)
        assert f"the last {SHOWN_CHARACTERS:,} characters are shown" in said(screen)


async def test_beside_the_model_the_question_names_the_command_and_the_place() -> None:
    where = "in container server of pod a (namespace ml)"
    beside = CommandBeside(("py-spy", "dump", "--pid", "1"), where, "ml", "a", "server")
    line = "kubectl exec a --container=server -- py-spy dump --pid 1"
    offer = CompanionOffer("py-spy", "stacks", line, where, impact=Impact.EXEC, beside=beside)
    view = dataclasses.replace(VIEW, offers=(offer,))
    async with console(snapshot=dataclasses.replace(incident_snapshot(), guidance=view)) as found:
        await found.pilot.press("i", "r", "1")
        assert "py-spy dump --pid 1" in said(found.app.screen)
        assert "kubectl" not in said(found.app.screen)
        assert f"It runs {where} and may be felt by what runs there." in said(found.app.screen)


async def test_what_is_no_command_is_not_run() -> None:
    pack = CompanionOffer("a skill pack", "helps", "say: profile it")
    view = dataclasses.replace(VIEW, offers=(pack,))
    async with console(snapshot=dataclasses.replace(incident_snapshot(), guidance=view)) as found:
        await found.pilot.press("i", "r", "1")
        assert isinstance(found.app.screen, GuidanceScreen)


async def test_tools_beside_the_model_are_looked_for_only_when_agreed_to_and_then_shown() -> None:
    long = dataclasses.replace(
        VIEW, text="\n\n".join(f"paragraph {n}" for n in range(80)), way="in container c of pod a"
    )
    picture = dataclasses.replace(incident_snapshot(), guidance=long)
    async with console(snapshot=picture) as found:
        await found.pilot.press("i", "b")
        assert "for each known tool, once, in container c of pod a" in said(found.app.screen)
        await found.pilot.press("n")
        assert found.engine.looked_beside == 0
        await found.pilot.press("b", "y")
        assert found.engine.looked_beside == 1
        await found.pilot.press("pagedown", "pagedown")
        await until(found, lambda: found.app.screen.query_one("#guidance-text").scroll_offset.y > 10)
        scrolled = found.app.screen.query_one("#guidance-text").scroll_offset
        more = CompanionOffer("py-spy", "samples stacks", "kubectl exec pod -- py-spy dump --pid 1", "in container c")
        found.engine.latest = dataclasses.replace(
            picture,
            number=picture.number + 1,
            guidance=dataclasses.replace(long, offers=(OFFER, more), beside="2 tools"),
        )
        await found.tick()
        await until(found, lambda: "py-spy dump" in said(found.app.screen))
        assert "2 tools" in said(found.app.screen)
        assert found.app.screen.query_one("#guidance-text").scroll_offset == scrolled, "the page stays under the eyes"


def test_a_program_with_a_screen_of_its_own_gets_the_terminal_and_its_keys(tmp_path: Path) -> None:
    console = PtyConsole(tmp_path / "record", "interactive")
    try:
        console.read_until(lambda: console.called("start") and b"fraud-scorer" in console.output)
        console.type("ir1")
        console.read_until(lambda: b"takes over the terminal" in console.output)
        console.type("y")
        console.read_until(lambda: b"the program is at work" in console.output)
        console.type("\x03")  # Ctrl+C, as one ends `stern`
        console.read_until(lambda: b"the program was interrupted" in console.output)
        console.read_until(lambda: b"ended with exit code 7" in console.output)
        assert not console.called("stop"), "the console goes on"
        console.type("qq")
        console.read_until(lambda: console.process.poll() is not None)
        assert console.process.returncode == 0
    finally:
        console.close()
