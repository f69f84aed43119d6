"""Asks the API server of every context of the kubeconfig whether it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from infdiag_tui.clock import Clock
from infdiag_tui.config import Kubernetes
from infdiag_tui.model import SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import Access
from infdiag_tui.streams.kube.kubeconfig import known_contexts
from infdiag_tui.streams.kube.pace import Pace
from infdiag_tui.text import one_line

MOST_CONTEXTS = 20
"""Of more, the current one and the first by name: each may start a credential plugin."""
_AT_A_TIME = 4
_PACE = Pace(request_s=8.0, plugin_s=10.0)


@dataclass(frozen=True, slots=True)
class ContextTried:
    """How the API server of one context answered; `version` is Kubernetes' own, `used`: this target's context."""

    name: str
    namespace: str
    used: bool
    state: SourceState
    took_s: float
    version: str = ""
    reason: str = ""
    remedy: str = ""


async def try_contexts(settings: Kubernetes, clock: Clock, user_agent: str) -> list[ContextTried]:
    """One `GET /version` through each context.

    Raises:
        SourceError: the kubeconfig cannot be read.
    """
    known = await asyncio.to_thread(known_contexts, settings)
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def attempt(name: str, namespace: str, *, used: bool) -> ContextTried:
        async with gate:
            return await _try(
                settings.model_copy(update={"context": name, "namespace": ""}),
                clock,
                user_agent,
                ContextTried(one_line(name, 100), one_line(namespace, 100), used, SourceState.LIVE, 0.0),
            )

    wanted = [(one.name, one.namespace or "default", _is_used(settings, one.name, one.current)) for one in known]
    wanted = sorted(wanted, key=lambda one: not one[2])[:MOST_CONTEXTS]
    return list(await asyncio.gather(*(attempt(name, space, used=used) for name, space, used in wanted)))


def _is_used(settings: Kubernetes, name: str, current: bool) -> bool:
    return name == settings.context if settings.context else current


async def _try(settings: Kubernetes, clock: Clock, user_agent: str, about: ContextTried) -> ContextTried:
    began = clock.monotonic()
    client = KubeClient(settings, clock, user_agent, _PACE)
    state, reason, remedy, version = SourceState.LIVE, "", "", ""
    try:
        async with client.connected():
            answer = await client.get_json("/version", {}, Access("get", "version", ""))
            version = one_line(str(answer.get("gitVersion") or ""), 60)
    except SourceError as error:
        state, reason, remedy = error.state, error.reason, error.remedy
    took_s = clock.monotonic() - began
    return ContextTried(about.name, about.namespace, about.used, state, took_s, version, reason, remedy)
