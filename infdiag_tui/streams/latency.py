"""The latency probe: posts the known-good input on a fixed schedule and tells how each request fared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from infdiag_tui.config import Endpoint, ModelConfig
from infdiag_tui.model import Observation
from infdiag_tui.streams.base import SourceError, Stream, StreamContext
from infdiag_tui.streams.probe.open_loop import OpenLoop
from infdiag_tui.streams.probe.reachability import Reachability
from infdiag_tui.streams.reach.base import Reach, going
from infdiag_tui.streams.reach.open import reach_for
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    import httpx

    from infdiag_tui.streams.probe.exchange import Outcome, Prober
    from infdiag_tui.streams.probe.plan import Plan

_SETUP_TIMEOUT_S = 30.0
_MEASURE_EVERY_S = 5.0
"""Between two round trips through a way that is not the direct one."""
_SHORTEST_KEEPALIVE_S, _LONGEST_KEEPALIVE_S = 15.0, 90.0
"""Idle connections are kept for 2.5 intervals within these bounds: longer than the time between two probes, so that
reuse is what is measured, and not so long that a firewall has forgotten them (Go's client also stops at 90 s)."""


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
        prober, transport = await self._prepare()
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

    async def _prepare(self) -> tuple[Prober, httpx.AsyncBaseTransport]:
        """The prober and its connections, with everything imported and read that the first request would wait for."""
        thread = SoleThread("infdiag-latency-setup", self._context.clock.monotonic)
        try:
            plan = await thread.call(self._load, timeout_s=_SETUP_TIMEOUT_S)
        except StuckCallError as error:
            reason = f"reading the probe's files has not ended for {error.waited_s:.0f} s"
            raise SourceError(reason, remedy="is endpoint.body_file or endpoint.ca_file on a dead mount?") from error
        finally:
            thread.close()
        return self._connect(plan)

    def _load(self) -> Plan:
        # httpx and what comes with it take a few hundred milliseconds to import: here they hold up nobody, and the
        # first request isn't charged for them.
        from infdiag_tui.streams.probe import exchange, wire  # noqa: F401 - imported here for the loop's thread
        from infdiag_tui.streams.probe.plan import load_plan

        return load_plan(self._endpoint, self._context.user_agent)

    def _connect(self, plan: Plan) -> tuple[Prober, httpx.AsyncBaseTransport]:
        from infdiag_tui.streams.probe.exchange import Prober
        from infdiag_tui.streams.probe.wire import open_transport

        keepalive_s = min(_LONGEST_KEEPALIVE_S, max(_SHORTEST_KEEPALIVE_S, 2.5 * self._interval_s))
        if self._reach is not None:
            transport = self._reach.transport(
                plan.tls, connections=self._endpoint.max_in_flight, keepalive_s=keepalive_s
            )
            return Prober(plan, transport, self._context.clock, reach=self._reach), transport
        try:
            transport = open_transport(
                plan.tls,
                plan.proxy,
                connections=self._endpoint.max_in_flight,
                keepalive_s=keepalive_s,
            )
        except (ValueError, ImportError) as error:
            reason = one_line(clean(f"the environment's proxy {plan.proxy} cannot be used: {error}"))
            remedy = "unset HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the server in NO_PROXY"
            raise SourceError(reason, remedy=remedy) from error
        return Prober(plan, transport, self._context.clock), transport
