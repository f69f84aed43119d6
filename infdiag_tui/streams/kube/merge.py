"""Joins what several tasks of one stream observe into the one iterator that the supervisor reads."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

from infdiag_tui.clock import Clock
from infdiag_tui.model import Observation, SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.troubles import Trouble, changes


class Outlet:
    """Takes observations from a stream's tasks; makes them wait while its reader is `capacity` behind."""

    def __init__(self, clock: Clock, capacity: int = 2_000) -> None:
        self.clock = clock
        self._capacity = capacity
        self._pending: deque[Observation] = deque()
        self._room = asyncio.Event()
        self._troubles: dict[str, Trouble] = {}
        self.arrived = asyncio.Event()

    async def put(self, *observations: Observation) -> None:
        """Hands on observations, in order."""
        for observation in observations:
            while len(self._pending) >= self._capacity:
                self._room.clear()
                await self._room.wait()
            self._pending.append(observation)
            self.arrived.set()

    async def trouble(self, aspect: str, state: SourceState, reason: str, remedy: str) -> None:
        """Says what is wrong with one aspect, once for as long as it stays the same."""
        await self._tell({**self._troubles, aspect: Trouble(state, reason, remedy)})

    async def well(self, aspect: str) -> None:
        """Says that an aspect is as it should be, if it wasn't."""
        await self._tell({other: trouble for other, trouble in self._troubles.items() if other != aspect})

    async def _tell(self, now: dict[str, Trouble]) -> None:
        told, self._troubles = self._troubles, now
        await self.put(*changes(told, now, self.clock.now()))

    def take(self) -> list[Observation]:
        """All that is pending."""
        taken = list(self._pending)
        self._pending.clear()
        self._room.set()
        return taken


async def merged(run: Callable[[Outlet], Awaitable[None]], clock: Clock) -> AsyncGenerator[Observation, None]:
    """Yields what `run` puts into its outlet until `run` fails or this is closed, which cancels it.

    Raises:
        SourceError: the one that ended `run`, also from within a task group.
        Exception: a defect in `run`, before any `SourceError` that it caused.
    """
    outlet = Outlet(clock)

    async def work() -> None:
        await run(outlet)

    runner = asyncio.create_task(work())
    runner.add_done_callback(lambda _: outlet.arrived.set())
    try:
        while True:
            await outlet.arrived.wait()
            outlet.arrived.clear()
            for observation in outlet.take():
                yield observation
            if runner.done():
                for observation in outlet.take():
                    yield observation
                break
    finally:
        runner.cancel()
        await asyncio.wait([runner])
        if not runner.cancelled():
            runner.exception()  # seen below, or not wanted any more
    _raise_cause(runner.exception() if not runner.cancelled() else None)


def _raise_cause(error: BaseException | None) -> None:
    leaves = _leaves(error) if error else []
    defects = [leaf for leaf in leaves if not isinstance(leaf, SourceError)]
    for leaf in (*defects, *leaves):
        raise leaf


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
