"""All that `infdiag doctor` finds out about one target, as one immutable value."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from infdiag_tui import __version__, exit_codes
from infdiag_tui.clock import Clock
from infdiag_tui.config import Kubernetes
from infdiag_tui.doctor.contexts import ContextTried, try_contexts
from infdiag_tui.doctor.environment import environment
from infdiag_tui.doctor.rights import Held, all_rights, held_rights, who_am_i
from infdiag_tui.doctor.role import Grant, missing
from infdiag_tui.doctor.trial import LIMIT_S, SETTLE_S, Tried, gently, try_ssh, try_streams
from infdiag_tui.model import SourceState
from infdiag_tui.streams.base import SourceError, StreamContext
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import Access
from infdiag_tui.streams.kube.kubeconfig import kubeconfig_paths
from infdiag_tui.streams.kube.requests import RequestRate
from infdiag_tui.streams.registry import build_streams
from infdiag_tui.targets import Target

LEAST_WATCHED_S = 20.0
"""Within a shorter time the requests of the start are most of all."""
_FAULTS = (SourceState.UNAVAILABLE, SourceState.FORBIDDEN, SourceState.DEGRADED)


@dataclass(frozen=True, slots=True)
class Requests:
    """What the sources asked of the API server in `over_s` seconds, the lists and watches of their start included."""

    over_s: float
    rates: tuple[RequestRate, ...] = ()

    @property
    def total(self) -> int:
        """All requests."""
        return sum(rate.total for rate in self.rates)

    def per_minute(self, count: int) -> float | None:
        """What `count` requests are per minute; None where it was watched too briefly to say."""
        return 60.0 * count / self.over_s if self.over_s >= LEAST_WATCHED_S else None


@dataclass(frozen=True, slots=True)
class Examination:
    """What works, what is missing, and the remedies.

    `cluster_asked_for` is True when the config or a flag names a cluster; one that only happens to be in a kubeconfig
    is examined too, but nothing that it lacks is a fault. `role` is the YAML that gives what is missing, empty when
    nothing is.
    """

    model: str
    environment: dict[str, str] = field(default_factory=dict)
    sources: tuple[Tried, ...] = ()
    contexts: tuple[ContextTried, ...] = ()
    cluster_error: SourceError | None = None
    cluster_asked_for: bool = False
    user: str = ""
    namespace: str = ""
    rights: tuple[Held, ...] = ()
    role: str = ""
    requests: Requests = Requests(0.0)

    @property
    def exit_code(self) -> int:
        """3 when something that was named cannot be reached, 1 when something else is missing, else 0."""
        unreachable = any(one.state is SourceState.UNAVAILABLE for one in self.sources)
        if self.cluster_asked_for:
            used = [one for one in self.contexts if one.used]
            unreachable |= self.cluster_error is not None or any(
                one.state is not SourceState.LIVE and not one.version for one in used
            )
        if unreachable:
            return exit_codes.UNREACHABLE
        lacking = self.cluster_asked_for and any(
            not one.right.optional and (one.denied or one.unknown) for one in self.rights
        )
        return exit_codes.PROBLEM_FOUND if lacking or any(one.state in _FAULTS for one in self.sources) else 0


async def examine(
    target: Target, clock: Clock, say: Callable[[str], None], *, limit_s: float = LIMIT_S, settle_s: float = SETTLE_S
) -> Examination:
    """Tries everything at once; takes at most about `limit_s`."""
    settings = target.model.kubernetes
    asked_for = settings is not None
    if settings is None and _has_cluster():
        settings = Kubernetes()
    say("trying every configured source")
    context = StreamContext(clock=clock, user_agent=f"infdiag/{__version__}")
    streams = build_streams(gently(target.model), context)
    began = clock.monotonic()
    sources, ssh, cluster = await asyncio.gather(
        try_streams(streams, clock, limit_s=limit_s, settle_s=settle_s),
        try_ssh(target, context),
        _cluster(settings, clock, context.user_agent),
    )
    over_s = clock.monotonic() - began
    rates = context.cluster.requests.rates(clock.monotonic()) if context.cluster is not None else ()
    return Examination(
        model=target.model_name,
        environment=environment(),
        sources=(*sources, *([ssh] if ssh else [])),
        contexts=cluster.contexts,
        cluster_error=cluster.error,
        cluster_asked_for=asked_for,
        user=cluster.user,
        namespace=cluster.namespace,
        rights=cluster.rights,
        role=missing(cluster.rights, Grant(cluster.namespace, cluster.user)),
        requests=Requests(over_s, rates),
    )


@dataclass(frozen=True, slots=True)
class _Cluster:
    contexts: tuple[ContextTried, ...] = ()
    error: SourceError | None = None
    user: str = ""
    namespace: str = ""
    rights: tuple[Held, ...] = ()


async def _cluster(settings: Kubernetes | None, clock: Clock, user_agent: str) -> _Cluster:
    if settings is None:
        return _Cluster()
    try:
        contexts = tuple(await try_contexts(settings, clock, user_agent))
    except SourceError as error:
        return _Cluster(error=error)
    client = KubeClient(settings, clock, user_agent)
    try:
        async with client.connected():
            await client.get("/version", {}, Access("get", "version", client.namespace))  # else each right would wait
            user = await who_am_i(client)
            rights = tuple(await held_rights(client, all_rights()))
            return _Cluster(contexts, None, user, client.namespace, rights)
    except SourceError as error:
        return _Cluster(contexts, error)


async def grantee(settings: Kubernetes | None, clock: Clock, user_agent: str) -> Grant:
    """For whom and where a Role would be, as far as kubeconfig and API server tell."""
    client = KubeClient(settings or Kubernetes(), clock, user_agent)
    namespace = settings.namespace if settings else ""
    try:
        async with client.connected():
            return Grant(client.namespace, await who_am_i(client))
    except SourceError:
        return Grant(namespace or "default")


def _has_cluster() -> bool:
    """True when a kubeconfig is there, or this is a pod."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(path.is_file() for path in kubeconfig_paths(Kubernetes()))
