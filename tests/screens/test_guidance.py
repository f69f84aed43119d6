"""Guidance beside the data: the page, the companions' commands, and copying one."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from textual.screen import Screen
from textual.widgets import Markdown, Static

from infdiag_tui.model import CompanionOffer, GuidanceView, Impact
from infdiag_tui.screens.check_consent import ConsentScreen
from infdiag_tui.screens.command import CommandScreen
from infdiag_tui.screens.guidance import GuidanceScreen
from tests.screens.scripted import incident_snapshot
from tests.screens.test_triage import console, until

OFFER = CompanionOffer("kubectl", "shows the [end] of the container", "kubectl -n ml describe pod 'a;b'", "host")
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


def said(screen: Screen[Any]) -> str:
    return "\n".join(str(one.content) for one in screen.query(Static))


async def test_a_command_runs_once_its_exact_line_was_agreed_to_and_can_be_pinned() -> None:
    offer = CompanionOffer("echo", "says it", "echo 'it [bold]works[/]'; exit 4", "host", impact=Impact.EXEC)
    view = dataclasses.replace(VIEW, offers=(offer,))
    async with console(snapshot=dataclasses.replace(incident_snapshot(), guidance=view)) as found:
        await found.pilot.press("i", "r", "1")
        assert isinstance(found.app.screen, ConsentScreen)
        assert offer.command in said(found.app.screen)
        await found.pilot.press("n")
        assert isinstance(found.app.screen, GuidanceScreen), "declined: nothing runs"
        await found.pilot.press("1", "y")
        screen = cast("CommandScreen", found.app.screen)
        await until(found, lambda: screen.ran is not None)
        await until(found, lambda: "exit code 4" in said(screen))
        assert "it [bold]works[/]" in said(screen)
        await found.pilot.press("p")
        (note,) = found.engine.notes
        assert note.startswith(f"{offer.command}: exit code 4 after ")
        assert note.endswith("it [bold]works[/]")
        await found.pilot.press("escape", "r", "1")
        assert found.app.clipboard == offer.command, "r goes back to copying"


async def test_what_is_no_command_is_not_run() -> None:
    pack = CompanionOffer("a skill pack", "helps", "say: profile it")
    view = dataclasses.replace(VIEW, offers=(pack,))
    async with console(snapshot=dataclasses.replace(incident_snapshot(), guidance=view)) as found:
        await found.pilot.press("i", "r", "1")
        assert isinstance(found.app.screen, GuidanceScreen)


async def test_tools_beside_the_model_are_looked_for_only_when_agreed_to_and_then_shown() -> None:
    picture = dataclasses.replace(incident_snapshot(), guidance=VIEW)
    async with console(snapshot=picture) as found:
        await found.pilot.press("i", "b", "n")
        assert found.engine.looked_beside == 0
        await found.pilot.press("b", "y")
        assert found.engine.looked_beside == 1
        more = CompanionOffer("py-spy", "samples stacks", "kubectl exec pod -- py-spy dump --pid 1", "container")
        found.engine.latest = dataclasses.replace(
            picture,
            number=picture.number + 1,
            guidance=dataclasses.replace(VIEW, offers=(OFFER, more), beside="2 tools"),
        )
        await found.tick()
        await until(found, lambda: "py-spy dump" in said(found.app.screen))
        assert "2 tools" in said(found.app.screen)
