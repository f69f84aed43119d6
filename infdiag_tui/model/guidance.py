"""What is known about the hypothesis at hand: a page to read and companion tools to turn to."""

from __future__ import annotations

from dataclasses import dataclass

from infdiag_tui.model.check import Impact


@dataclass(frozen=True, slots=True)
class CommandBeside:
    """A command beside the model: its arguments, which no shell takes apart, and the place in words.

    Without a pod that is the host over SSH.
    """

    argv: tuple[str, ...]
    where: str
    namespace: str = ""
    pod: str = ""
    container: str = ""


@dataclass(frozen=True, slots=True)
class CompanionRun:
    """A companion's command that was agreed to: what it has said so far, and once it has ended, how."""

    id: int
    text: str = ""
    ending: str = ""
    """How it ended in words; empty while it runs."""


@dataclass(frozen=True, slots=True)
class CompanionOffer:
    """A tool that is there and serves the hypothesis at hand, with the exact shell line for this target.

    `where` says where it runs, empty for what is no command; `note` is what to know before running it, `impact` what
    it may do, `interactive` that it takes over the terminal. `argv` are the line's words for running it without a
    shell, those of several commands for a pipeline. `beside` is the same command for this program's own way
    to the model, where the line needs a client of the cluster or of SSH.
    """

    tool: str
    purpose: str
    command: str
    where: str = ""
    note: str = ""
    impact: Impact = Impact.READ_ONLY
    interactive: bool = False
    argv: tuple[tuple[str, ...], ...] = ()
    beside: CommandBeside | None = None


@dataclass(frozen=True, slots=True)
class GuidanceView:
    """The page on a cause or symptom, as Markdown, and the companions that serve it."""

    name: str
    title: str
    text: str
    offers: tuple[CompanionOffer, ...] = ()
    beside: str = ""
    """What is known of the tools beside the model, or why nothing is; empty before anyone asked."""
    way: str = ""
    """Where beside the model they are looked for, or why nowhere."""
