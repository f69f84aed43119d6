"""The two ways to send a phase's requests: closed loop (wait for the reply) and open loop (keep to the schedule)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator

from checks.load_gen.core_wait import mean_wait_ms
from checks.load_gen.job import Phase, Summary
from checks.load_gen.tally import Cost, Tally
from checks.load_gen.wire import Wire

_LEAD_S = 0.02
"""From the start of an open loop to its first send: the schedule must not begin in the past."""


async def run_phase(phase: Phase, wire: Wire, watch: Callable[[Tally], None]) -> Summary:
    """Sends the phase's requests and sums up what came back.

    `watch` is called after every outcome and may read the tally. What is still unanswered when the phase ends early is
    cancelled and not counted.
    """
    tally = Tally(phase)
    connections = wire.connections
    cpu_s, waited = time.process_time(), wire.loop.core_wait()
    started = time.perf_counter() + (_LEAD_S if phase.rate_per_s is not None else 0.0)
    stop = asyncio.Event()

    def took() -> None:
        watch(tally)
        if tally.too_many_errors():
            stop.set()

    loop = _open(phase, wire, tally, started, took) if phase.rate_per_s is not None else _closed(wire, tally, took)
    sending = asyncio.ensure_future(loop)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((sending, stopping), timeout=phase.time_limit_s, return_when=asyncio.FIRST_COMPLETED)
        stopped = "errors" if stop.is_set() else ("" if sending.done() else "time")
    finally:
        sending.cancel()
        stopping.cancel()
        ended = await asyncio.gather(sending, stopping, return_exceptions=True)
    if isinstance(ended[0], Exception):
        raise ended[0]
    cost = Cost(time.process_time() - cpu_s, mean_wait_ms(waited, wire.loop.core_wait()))
    return tally.summary(started, time.perf_counter(), cost, stopped, wire.connections - connections)


async def _closed(wire: Wire, tally: Tally, took: Callable[[], None]) -> None:
    turns = iter(range(tally.phase.requests))

    async def work() -> None:
        ended: float | None = None
        for _ in turns:
            sent = time.perf_counter()
            if ended is not None:
                tally.turned(sent - ended)
            shot = await wire.shoot()
            ended = shot.ended
            tally.take(sent, sent, shot)
            took()

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(tally.phase.concurrency, tally.phase.requests)):
            workers.create_task(work())


async def _open(phase: Phase, wire: Wire, tally: Tally, started: float, took: Callable[[], None]) -> None:
    flying = 0

    async def fly(due: float) -> None:
        nonlocal flying
        try:
            sent = time.perf_counter()
            tally.take(due, sent, await wire.shoot())
        finally:
            flying -= 1
        took()

    async with asyncio.TaskGroup() as flights:
        for offset_s in arrivals(phase):
            due = started + offset_s
            # Also yields when behind, so that what is overdue really leaves.
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if flying >= phase.concurrency:
                tally.dropped += 1
                continue
            flying += 1
            flights.create_task(fly(due))


def arrivals(phase: Phase) -> Iterator[float]:
    """When each request is due, in seconds from the start, ascending.

    Evenly spaced, or as a Poisson process of which it is known how many arrivals it had: then they are independent and
    uniform over the time.

    Raises:
        ValueError: the phase has no rate.
    """
    if phase.rate_per_s is None:
        raise ValueError(f"phase {phase.name} has no rate")
    rate = phase.rate_per_s
    if not phase.poisson:
        return (slot / rate for slot in range(phase.requests))
    length_s = phase.requests / rate
    return iter(sorted(random.uniform(0.0, length_s) for _ in range(phase.requests)))
