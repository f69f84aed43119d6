"""What the screen needs of an engine, and nothing more: pictures out, wishes in, never a wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from infdiag_tui.model import CompanionOffer, Snapshot, StartFailure


class EnginePort(Protocol):
    """A session that runs elsewhere. Every method but `stop` returns at once, from any thread."""

    def start(self) -> None:
        """Starts collecting; what is heavy is imported there, after the first frame."""
        ...

    def snapshot(self) -> Snapshot | None:
        """The latest picture, None before the first."""
        ...

    def failure(self) -> StartFailure | None:
        """Why there is no session, if it could not start or broke."""
        ...

    def edit_draft(self, text: str, base_version: int) -> int:
        """Hands over the operator's whole text as edited on top of draft version `base_version`.

        Returns:
            The edit's number; `DraftView.applied_edit` tells when the draft contains it.
        """
        ...

    def add_note(self, text: str) -> None:
        """Adds a line to the report's timeline with the present time."""
        ...

    def give_back_line(self, line_number: int) -> None:
        """Lets infdiag fill a line of the draft (from 0) again, in place of the operator's words."""
        ...

    def show_footnotes(self, *, shown: bool) -> None:
        """Whether the report's figures bear footnotes of their origin."""
        ...

    def export(self) -> None:
        """Writes page, data, alert rules and test beside the report; `DraftView` tells how that went."""
        ...

    def look_beside_model(self) -> None:
        """Looks which companion tools are beside the model, by a command that runs there; `Snapshot.guidance` tells."""
        ...

    def start_companion(self, offer: CompanionOffer) -> int:
        """Runs a command that the operator agreed to, in place of one that still runs.

        Returns:
            The id that `Snapshot.companion` bears from then on.
        """
        ...

    def stop_companion(self, run_id: int) -> None:
        """Ends a companion's command."""
        ...

    def start_check(self, name: str, values: Mapping[str, str]) -> int:
        """Asks for a check with a form's values as text, by parameter; what is left out keeps the config's value.

        Returns:
            The id under which `Snapshot.checks` tells how it goes: that the values are wrong, that it asks first,
            how far it is, what it found.
        """
        ...

    def confirm_check(self, run_id: int) -> None:
        """Agrees to what a check that asks first is about to do."""
        ...

    def cancel_check(self, run_id: int) -> None:
        """Ends a check, or declines what it asks."""
        ...

    def stop(self, timeout_s: float) -> bool:
        """Saves the draft and ends everything; True if it ended within `timeout_s`. May be called again."""
        ...
