"""Tries each configured source for real, with the console's own streams, and times how long it takes to answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from checks.base import CheckError
from infdiag_tui.clock import Clock
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import Observation, Reply, SourceHealth, SourceState
from infdiag_tui.remote.way import way_beside
from infdiag_tui.streams.base import Stream, StreamContext
from infdiag_tui.supervisor import Supervisor
from infdiag_tui.targets import Target
from infdiag_tui.text import one_line

LIMIT_S = 15.0
"""A source that has not answered by then is told so."""
SETTLE_S = 1.5
"""After every source has answered: what they say of themselves a moment later (no metrics-server, no events)."""
_LOOK_S = 0.05
_GONE = (SourceState.UNAVAILABLE, SourceState.FORBIDDEN)
_UNDECIDED = (SourceState.STARTING, SourceState.STALE)
_PODS = "pods"
_OF_THE_PODS = ("pod-logs", "server_metrics", "gpu-source", "dcgm-cluster")
"""Sources that have nothing to ask of anybody while the pods are not known: nothing to wait for."""
_PROBE_PER_S = 0.1
"""One probe within the time of a trial."""
_BACKLOG_LINES = 20


@dataclass(frozen=True, slots=True)
class Tried:
    """How one source fared; `took_s` is how long it was until it answered or failed, None where it did neither."""

    name: str
    state: SourceState
    took_s: float | None
    reason: str = ""
    remedy: str = ""


def gently(model: ModelConfig) -> ModelConfig:
    """The config, but with one probe and the end of each log alone."""
    update: dict[str, object] = {
        "logs": model.logs.model_copy(update={"backlog_lines": min(_BACKLOG_LINES, model.logs.backlog_lines)})
    }
    if model.endpoint is not None:
        update["endpoint"] = model.endpoint.model_copy(
            update={"rate_per_s": min(_PROBE_PER_S, model.endpoint.rate_per_s)}
        )
    return model.model_copy(update=update)


async def try_streams(
    streams: Sequence[Stream], clock: Clock, *, limit_s: float = LIMIT_S, settle_s: float = SETTLE_S
) -> list[Tried]:
    """Runs the streams until each has answered or failed, and a moment longer, but at most `limit_s`."""
    answered: dict[str, str] = {}

    def put(observation: Observation) -> None:
        if isinstance(observation, Reply) and observation.ok:
            answered["latency"] = f"answered in {observation.total_ms:.0f} ms"

    supervisor = Supervisor(streams, put, clock)
    took: dict[str, float] = {}
    began = clock.monotonic()
    async with _running(supervisor):
        healths = supervisor.health(clock.now())
        settled_at: float | None = None
        while (now := clock.monotonic()) - began < limit_s and (settled_at is None or now - settled_at < settle_s):
            await asyncio.sleep(_LOOK_S)
            healths = supervisor.health(clock.now())
            for name, health in healths.items():
                if health.state not in _UNDECIDED:
                    took.setdefault(name, clock.monotonic() - began)
            waited_for = healths.keys() - took.keys()
            if _PODS in healths and healths[_PODS].state in _GONE:
                waited_for -= set(_OF_THE_PODS)
            if settled_at is None and not waited_for:
                settled_at = clock.monotonic()
        healths = supervisor.health(clock.now())
    tried = [_tried(health, took.get(name), answered.get(name, ""), limit_s) for name, health in healths.items()]
    return [_without_pods(one, healths) for one in tried]


def _without_pods(tried: Tried, healths: Mapping[str, SourceHealth]) -> Tried:
    """The same, but for a source that only waited for pods that could not be had."""
    if tried.took_s is None and tried.name in _OF_THE_PODS and _PODS in healths and healths[_PODS].state in _GONE:
        return Tried(tried.name, healths[_PODS].state, None, "the model's pods are not known: see the pods source")
    return tried


@contextlib.asynccontextmanager
async def _running(supervisor: Supervisor) -> AsyncIterator[None]:
    task = asyncio.create_task(supervisor.run(), name="doctor's trial")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _tried(health: SourceHealth, took_s: float | None, told: str, limit_s: float) -> Tried:
    if took_s is None:
        reason = f"no answer within {limit_s:g} s"
        return Tried(health.name, SourceState.UNAVAILABLE, None, reason, health.remedy)
    state = SourceState.LIVE if health.state is SourceState.STALE and not health.reason else health.state
    return Tried(health.name, state, took_s, one_line(health.reason or told, 600), one_line(health.remedy, 600))


async def try_ssh(target: Target, context: StreamContext) -> Tried | None:
    """Logs in to the configured host and runs `true` there; None without one."""
    settings = target.model.ssh
    if settings is None:
        return None
    remote = way_beside(target, context, ()).remote
    assert remote is not None
    began = context.clock.monotonic()
    name = f"ssh {one_line(settings.host, 100)}"
    try:
        await remote.run(("true",), timeout_s=settings.connect_timeout_s + 5.0)
    except CheckError as error:
        reason, _, remedy = one_line(str(error), 1000).rpartition("; ")
        state = SourceState.UNAVAILABLE if error.unreachable else SourceState.FORBIDDEN
        return Tried(name, state, context.clock.monotonic() - began, reason or remedy, remedy if reason else "")
    finally:
        await remote.aclose()
    return Tried(name, SourceState.LIVE, context.clock.monotonic() - began)
