"""What `/health` looks at besides the model: how old the snapshot of slowly changing features is."""

from __future__ import annotations

import asyncio
import logging
import time

from infdiag_tui.lab.dialects import Dialect

_REFRESH_S = 1.0
_TOO_OLD_S = 3.0


class Health:
    """Refreshes the snapshot while `refreshing`, and complains when it has grown old."""

    def __init__(self, dialect: Dialect) -> None:
        self.refreshing = True
        self._words = dialect.words["stale"]
        self._log = logging.getLogger(f"{dialect.logger}.health")
        self._refreshed_at = time.monotonic()

    async def refresh(self) -> None:
        """Takes a new snapshot every second, for ever."""
        while True:
            if self.refreshing:
                self._refreshed_at = time.monotonic()
            await asyncio.sleep(_REFRESH_S)

    def trouble(self) -> str:
        """What is wrong, empty when nothing is."""
        # One that is refreshed at all is fresh: this process was merely held up.
        age_s = 0.0 if self.refreshing else time.monotonic() - self._refreshed_at
        if age_s <= _TOO_OLD_S:
            return ""
        text = self._words % age_s
        self._log.warning("%s", text)
        return text
