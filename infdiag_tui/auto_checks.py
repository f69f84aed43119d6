"""Runs the read-only checks unasked, those first that would most change the ranking: what a triage does unattended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from infdiag_tui.check_runs import CheckRuns
from infdiag_tui.model import Impact, NextCheck, OfferedCheck

AT_ONCE = 2
"""Checks that run side by side: enough to use the wait of one for another, few enough to leave the probe in peace."""
FIRST_LOOK_S = 4.0
"""Before the first check the sources get this long: until then the ranking is the symptom's alone."""
_FIRST_ID = 1_000_000
"""Ids of runs that nobody on a screen asked for."""


class AutoChecks:
    """Starts checks until none is left that can run and would tell something. Belongs to the session's loop.

    Args:
        runs: the incident's checks.
        ranked: the checks worth running at this moment, best first.
        first_look_s: how long to watch before the first.
    """

    def __init__(
        self,
        runs: CheckRuns,
        ranked: Callable[[], Iterable[NextCheck]],
        first_look_s: float = FIRST_LOOK_S,
    ) -> None:
        self._runs = runs
        self._ranked = ranked
        self._first_look_s = first_look_s
        self._tried: set[str] = set()

    async def run(self) -> None:
        """Returns once no check is left, or is cancelled with the session."""
        self._runs.offer()
        await asyncio.sleep(self._first_look_s)
        await self._runs.offer_known()
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                while len(running) < AT_ONCE and (name := self._next()) is not None:
                    self._tried.add(name)
                    run_id = _FIRST_ID + len(self._tried)
                    self._runs.start(run_id, name, {})
                    running.add(asyncio.create_task(self._runs.ended(run_id), name=f"auto {name}"))
                if not running:
                    return
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in running:
                task.cancel()

    def _next(self) -> str | None:
        """The best check that is read-only, lacks nothing and was not run yet."""
        able = {one.name for one in self._runs.offered or () if _unattended(one)}
        return next((one.check for one in self._ranked() if one.check in able - self._tried), None)


def _unattended(offered: OfferedCheck) -> bool:
    return offered.configured_impact is Impact.READ_ONLY and not offered.missing
