"""The latency of each replica: the known-good input goes to one ready pod after the other, at the probe's own rate."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from infdiag_tui.config import Endpoint, ModelConfig, Via
from infdiag_tui.model import Observation, Pod, SourceState, Status
from infdiag_tui.servers.places import replica_base
from infdiag_tui.streams.base import Roster, Stream, StreamContext
from infdiag_tui.streams.probe.open_loop import OpenLoop
from infdiag_tui.streams.probe.reachability import Reachability
from infdiag_tui.streams.probe.setup import open_for, prepared
from infdiag_tui.streams.reach.base import Reach, going
from infdiag_tui.streams.reach.open import reach_for

if TYPE_CHECKING:
    import httpx

    from infdiag_tui.streams.probe.exchange import Outcome, Prober
    from infdiag_tui.streams.probe.plan import Plan

NAME = "latency_replicas"
_CONNECTIONS = 256
_FORGET_AFTER = 1_000
"""Probers kept at most; a rollout leaves some behind."""


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The probe of every replica, where the endpoint asks for it and the pods are known."""
    if config.endpoint is None or not config.endpoint.per_replica or context.roster is None:
        return []
    return [ReplicaLatencyStream(config.endpoint, context, context.roster, reach_for(config, context))]


class ReplicaLatencyStream:
    """Yields replies with `in_turn`, and states as the latency probe does."""

    name = NAME

    def __init__(self, endpoint: Endpoint, context: StreamContext, roster: Roster, reach: Reach | None) -> None:
        self._endpoint = endpoint
        self._context = context
        self._roster = roster
        self._reach = reach
        self._interval_s = 1.0 / endpoint.rate_per_s
        self.stale_after_s = endpoint.timeout_s + 2.0 * self._interval_s + 1.0
        self._probers: dict[str, Prober] = {}
        self._last = ""

    async def observe(self) -> AsyncIterator[Observation]:
        """Until cancelled; raises `SourceError` when the config cannot be used."""
        plan = await prepared(self._endpoint, self._context)
        async with going(self._reach):
            transport = open_for(plan, self._reach, connections=_CONNECTIONS, interval_s=self._interval_s)
            self._probers.clear()
            try:
                async with aclosing(self._told(plan, transport)) as observations:
                    async for observation in observations:
                        yield observation
            finally:
                await transport.aclose()

    async def _told(self, plan: Plan, transport: httpx.AsyncBaseTransport) -> AsyncGenerator[Observation]:
        clock = self._context.clock
        nobody = Status(SourceState.STARTING, clock.now(), "no replica is ready")
        if self._next() is None:
            yield nobody
        while self._next() is None:
            await self._roster.changed()
        reachability = Reachability()
        loop: OpenLoop[tuple[str, Outcome] | None] = OpenLoop(
            lambda due: self._probe(due, plan, transport),
            self._unsent,
            interval_s=self._interval_s,
            max_in_flight=self._endpoint.max_in_flight,
            give_up_after_s=self._endpoint.timeout_s,
            monotonic=clock.monotonic,
        )
        async with aclosing(loop.outcomes()) as outcomes:
            async for outcome in outcomes:
                if outcome is None:
                    continue
                pod, probed = outcome
                reply = dataclasses.replace(probed.reply, replica=pod, in_turn=True)
                yield reply
                status = reachability.note(reply, self._remedy(probed), clock.monotonic())
                if status is not None:
                    yield status

    def _remedy(self, probed: Outcome) -> str:
        if self._endpoint.via is Via.DIRECT and probed.remedy:
            return f'{probed.remedy}; where pods have no route from here, set endpoint.via = "{Via.PROXY}"'
        return probed.remedy

    async def _probe(self, due: float, plan: Plan, transport: httpx.AsyncBaseTransport) -> tuple[str, Outcome] | None:
        found = self._next()
        if found is None:
            return None
        pod, base = found
        self._last = pod
        return pod, await self._prober(base, plan, transport).probe(due)

    def _unsent(self, due: float, held_up: bool) -> None:
        """Nothing: the probe of the service says it already."""

    def _prober(self, base: str, plan: Plan, transport: httpx.AsyncBaseTransport) -> Prober:
        if base not in self._probers:
            from infdiag_tui.streams.probe.exchange import Prober

            if len(self._probers) >= _FORGET_AFTER:
                self._probers.clear()
            parts = urlsplit(base)
            url = plan.url.copy_with(scheme=parts.scheme, host=parts.hostname, port=parts.port)
            own = dataclasses.replace(plan, url=url)
            self._probers[base] = Prober(own, transport, self._context.clock, reach=self._reach)
        return self._probers[base]

    def _next(self) -> tuple[str, str] | None:
        """The ready pod after the last one, and its base URL; None without any."""
        ready = _bases(self._roster.current(), self._endpoint)
        if not ready:
            return None
        name = min((one for one in ready if one > self._last), default=min(ready))
        return name, ready[name]


def _bases(pods: Mapping[str, Pod], endpoint: Endpoint) -> dict[str, str]:
    found = {
        key: replica_base(pod, endpoint.url, by_name=endpoint.via.in_cluster)
        for key, pod in pods.items()
        if pod.ready and not pod.deleting
    }
    return {key: base for key, base in found.items() if base is not None}
