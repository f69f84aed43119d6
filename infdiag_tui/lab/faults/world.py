"""Changes of the world: what transactions turn out to be."""

from __future__ import annotations

from infdiag_tui.lab.scenarios import Fault
from infdiag_tui.lab.stage import Stage


class MovedOutcomes:
    """Most outcomes no longer follow the features that they used to, at the same rate of fraud."""

    def __init__(self, fault: Fault, *, moved_share: float) -> None:
        del fault
        self._share = moved_share

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        stage.outcomes.moved = self._share


class MoreFraud:
    """Many more transactions turn out to be fraud, whatever they look like."""

    def __init__(self, fault: Fault, *, flagged_share: float) -> None:
        del fault
        self._share = flagged_share

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        stage.outcomes.flagged = self._share
