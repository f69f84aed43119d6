"""Guidance beside the data: the page, the companions' commands, and copying one."""

from __future__ import annotations

import dataclasses

from textual.widgets import Markdown, Static

from infdiag_tui.model import CompanionOffer, GuidanceView
from infdiag_tui.screens.guidance import GuidanceScreen
from tests.screens.scripted import incident_snapshot
from tests.screens.test_triage import console

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
