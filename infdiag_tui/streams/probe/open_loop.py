"""Sends on a fixed schedule whatever is outstanding, so that a slow reply delays no later send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")

LEAD_S = 0.003
"""How long before its slot a request's task is started, to have everything ready."""
_WAKE_EARLY_S = 0.001
"""Timers of an asyncio loop fire up to a millisecond late (epoll counts in whole ones): wake before, then yield until
due. At the highest rate of 50/s this costs 2.5 % of a core, at 1/s nothing worth naming."""


async def wait_until(due: float, monotonic: Callable[[], float]) -> None:
    """Returns at `due` (monotonic seconds) to within a fraction of a millisecond on an idle loop."""
    while (left_s := due - monotonic()) > 0:  # noqa: ASYNC110 - what is awaited is the time itself
        await asyncio.sleep(left_s - _WAKE_EARLY_S if left_s > _WAKE_EARLY_S else 0)


class OpenLoop(Generic[_T]):
    """An open-loop generator: slot k is due at start + k * interval.

    Every slot gives exactly one outcome. A slot that the loop was too late for is sent late (its outcome counts from
    when it was due) unless it is late by more than `give_up_after_s`: then, or when `max_in_flight` are still
    outstanding, it is not sent and `unsent` makes its outcome.

    Args:
        send: makes the request of the slot due at the given monotonic time. It is started a little before and waits
            for that moment itself, so that its preparations are not part of what it measures.
        unsent: the outcome of a slot that was not sent; True when it is this loop that was held up.
        interval_s: between two slots.
        max_in_flight: outstanding requests allowed.
        give_up_after_s: lateness beyond which a slot is not sent any more. Catching up on a long stall (a suspended
            terminal) would otherwise be a burst on a production server.
        monotonic: the clock of all times.
    """

    def __init__(
        self,
        send: Callable[[float], Awaitable[_T]],
        unsent: Callable[[float, bool], _T],
        *,
        interval_s: float,
        max_in_flight: int,
        give_up_after_s: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._send = send
        self._unsent = unsent
        self._interval_s = interval_s
        self._max_in_flight = max_in_flight
        self._give_up_after_s = give_up_after_s
        self._monotonic = monotonic
        self._outcomes: asyncio.Queue[_T | BaseException] = asyncio.Queue()
        self._in_flight: set[asyncio.Task[_T]] = set()

    async def outcomes(self) -> AsyncGenerator[_T, None]:
        """Outcomes as they come, until closed or cancelled; on return no request is left running.

        Raises whatever `send` raises: an outcome that says what failed is `send`'s own business.
        """
        pacer = asyncio.create_task(self._pace(), name="latency pacer")
        pacer.add_done_callback(self._pacer_done)
        try:
            while True:
                outcome = await self._outcomes.get()
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
        finally:
            await _end({pacer, *self._in_flight})

    async def _pace(self) -> None:
        start, slot = self._monotonic() + LEAD_S, 0
        while True:
            due = start + slot * self._interval_s
            if (left_s := due - LEAD_S - self._monotonic()) > 0:
                await asyncio.sleep(left_s)
            held_up = self._monotonic() - due > self._give_up_after_s
            if held_up or len(self._in_flight) >= self._max_in_flight:
                self._outcomes.put_nowait(self._unsent(due, held_up))
            else:
                task = asyncio.ensure_future(self._send(due))
                self._in_flight.add(task)
                task.add_done_callback(self._sent)
            slot += 1
            # When catching up there was nothing to wait for: let the requests and the reader have their turn.
            await asyncio.sleep(0)

    def _sent(self, task: asyncio.Task[_T]) -> None:
        self._in_flight.discard(task)
        if not task.cancelled():
            error = task.exception()
            self._outcomes.put_nowait(task.result() if error is None else error)

    def _pacer_done(self, pacer: asyncio.Task[None]) -> None:
        error = None if pacer.cancelled() else pacer.exception()
        if error is not None:
            self._outcomes.put_nowait(error)


async def _end(tasks: set[asyncio.Task[_T] | asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
