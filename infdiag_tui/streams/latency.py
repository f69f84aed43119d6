"""The latency probe: posts the known-good input on a fixed schedule and tells how each request fared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from infdiag_tui.config import Endpoint, ModelConfig
from infdiag_tui.model import Observation
from infdiag_tui.streams.base import Stream, StreamContext
from infdiag_tui.streams.probe.open_loop import OpenLoop
from infdiag_tui.streams.probe.reachability import Reachability
from infdiag_tui.streams.probe.setup import open_for, prepared
from infdiag_tui.streams.reach.base import Reach, going
from infdiag_tui.streams.reach.open import reach_for

if TYPE_CHECKING:
    from infdiag_tui.streams.probe.exchange import Outcome

_MEASURE_EVERY_S = 5.0
"""Between two round trips through a way that is not the direct one."""


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The probe of the model's endpoint; none when no endpoint is configured."""
    if config.endpoint is None:
        return []
    return [LatencyStream(config.endpoint, context, reach_for(config, context))]


class LatencyStream:
    """An open-loop probe of one endpoint.

    Yields a `Reply` for every slot of the schedule, sent or not, and a `Status` when the target stops or starts
    answering.
    """

    name = "latency"

    def __init__(self, endpoint: Endpoint, context: StreamContext, reach: Reach | None = None) -> None:
        self._endpoint = endpoint
        self._reach = reach
        self._context = context
        self._interval_s = 1.0 / endpoint.rate_per_s
        # A target that hangs is first heard of when its first unanswered request times out.
        self.stale_after_s = endpoint.timeout_s + 2.0 * self._interval_s + 1.0

    async def observe(self) -> AsyncIterator[Observation]:
        """Replies and states until cancelled; raises `SourceError` when the config cannot be used."""
        async with going(self._reach), aclosing(self._probed()) as observations:
            async for observation in observations:
                yield observation

    async def _probed(self) -> AsyncGenerator[Observation]:
        plan = await prepared(self._endpoint, self._context)
        connections = self._endpoint.max_in_flight
        transport = open_for(plan, self._reach, connections=connections, interval_s=self._interval_s)
        from infdiag_tui.streams.probe.exchange import Prober

        prober = Prober(plan, transport, self._context.clock, reach=self._reach)
        loop: OpenLoop[Outcome] = OpenLoop(
            prober.probe,
            prober.unsent,
            interval_s=self._interval_s,
            max_in_flight=self._endpoint.max_in_flight,
            give_up_after_s=self._endpoint.timeout_s,
            monotonic=self._context.clock.monotonic,
        )
        reachability = Reachability()
        measuring = asyncio.create_task(self._measure(), name="round trips of the probe's way")
        try:
            async with aclosing(loop.outcomes()) as outcomes:
                async for outcome in outcomes:
                    yield outcome.reply
                    status = reachability.note(outcome.reply, outcome.remedy, self._context.clock.monotonic())
                    if status is not None:
                        yield status
        finally:
            measuring.cancel()
            await asyncio.gather(measuring, return_exceptions=True)
            await transport.aclose()

    async def _measure(self) -> None:
        while self._reach is not None:
            await self._reach.measure()
            await asyncio.sleep(_MEASURE_EVERY_S)
