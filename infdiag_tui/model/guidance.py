"""What is known about the hypothesis at hand: a page to read and companion tools to turn to."""

from __future__ import annotations

from dataclasses import dataclass

from infdiag_tui.model.check import Impact


@dataclass(frozen=True, slots=True)
class CompanionOffer:
    """A tool that is there and serves the hypothesis at hand, with the exact shell line for this target.

    `place` says where it runs (this machine, beside the model), empty for what is no command; `note` is what to know
    before running it, `impact` what it may do, `interactive` that it takes over the terminal.
    """

    tool: str
    purpose: str
    command: str
    place: str = ""
    note: str = ""
    impact: Impact = Impact.READ_ONLY
    interactive: bool = False


@dataclass(frozen=True, slots=True)
class GuidanceView:
    """The page on a cause or symptom, as Markdown, and the companions that serve it."""

    name: str
    title: str
    text: str
    offers: tuple[CompanionOffer, ...] = ()
    beside: str = ""
    """What is known of the tools beside the model, or why nothing is; empty before anyone asked."""
