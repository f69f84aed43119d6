"""Runs the read-only checks unasked, those first that would most change the ranking: what a triage does unattended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from infdiag_tui.check_runs import CheckRuns
from infdiag_tui.clock import Clock
from infdiag_tui.model import Impact, NextCheck, OfferedCheck

AT_ONCE = 2
"""Checks that run side by side: enough to use the wait of one for another, few enough to leave the probe in peace."""
FIRST_LOOK_S = 4.0
"""Before the first check the sources get this long: until then the ranking is the symptom's alone."""
AGAIN_S = 20.0
AGAIN_SHARE = 0.05
"""A check is run again after so long, and takes no more than this share of the time: what was well at the beginning of
a watch need not be so at its end."""
_FIRST_ID = 1_000_000
"""Ids of runs that nobody on a screen asked for."""


@dataclass(slots=True)
class _Last:
    """The newest run of a check, and when (monotonic seconds) the next is due."""

    run_id: int
    due_at: float


class AutoChecks:
    """Starts the checks that can run and would tell something, then runs each again and again.

    Belongs to the session's loop.

    Args:
        runs: the incident's checks.
        ranked: the checks worth running at this moment, best first.
        clock: for the time between two runs.
        first_look_s: how long to watch before the first.
        again_s: the least time between two runs of a check; None runs each once.
        again_share: the share of the time that a check may take.
    """

    def __init__(
        self,
        runs: CheckRuns,
        ranked: Callable[[], Iterable[NextCheck]],
        clock: Clock,
        *,
        first_look_s: float = FIRST_LOOK_S,
        again_s: float | None = AGAIN_S,
        again_share: float = AGAIN_SHARE,
    ) -> None:
        self._runs = runs
        self._ranked = ranked
        self._clock = clock
        self._first_look_s = first_look_s
        self._again_s = again_s
        self._again_share = again_share
        self._started: set[str] = set()
        self._last: dict[str, _Last] = {}
        self._next_id = _FIRST_ID

    async def run(self) -> None:
        """Goes on until cancelled with the session; with checks that run once, until none is left."""
        self._runs.offer()
        await asyncio.sleep(self._first_look_s)
        await self._runs.offer_known()
        running: set[asyncio.Task[None]] = set()
        try:
            while True:
                while len(running) < AT_ONCE and (name := self._next()) is not None:
                    work = self._carry_out(name, self._last.pop(name, None))
                    running.add(asyncio.create_task(work, name=f"auto {name}"))
                if running:
                    _, running = await asyncio.wait(
                        running, timeout=self._rest_s(), return_when=asyncio.FIRST_COMPLETED
                    )
                elif self._again_s is None:
                    return
                else:
                    await asyncio.sleep(self._rest_s() or self._again_s)
        finally:
            for task in running:
                task.cancel()

    async def _carry_out(self, name: str, before: _Last | None) -> None:
        self._next_id += 1
        run_id, began = self._next_id, self._clock.monotonic()
        self._runs.start(run_id, name, {})
        await self._runs.ended(run_id)
        now = self._clock.monotonic()
        if self._again_s is not None:
            pause_s = max(self._again_s, (now - began) / self._again_share)
            self._last[name] = _Last(run_id, now + pause_s)
        if before is not None:
            await self._runs.drop(before.run_id)

    def _next(self) -> str | None:
        """A check that is read-only, lacks nothing and was not run yet, the best first; else the one longest overdue.

        Those that would change no ranking come last: the report has a line for what they measure, too.
        """
        able = [one.name for one in self._runs.offered or () if _unattended(one)]
        wanted = [*(one.check for one in self._ranked() if one.check in able), *able]
        name = next((one for one in wanted if one not in self._started), None)
        if name is None:
            now = self._clock.monotonic()
            due = [(last.due_at, other) for other, last in self._last.items() if last.due_at <= now and other in able]
            name = min(due)[1] if due else None
        if name is not None:
            self._started.add(name)
        return name

    def _rest_s(self) -> float | None:
        """Until the next check is due; None while none is."""
        if not self._last:
            return None
        return max(0.05, min(last.due_at for last in self._last.values()) - self._clock.monotonic())


def _unattended(offered: OfferedCheck) -> bool:
    return offered.configured_impact is Impact.READ_ONLY and not offered.asked_for and not offered.missing
