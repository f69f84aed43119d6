"""What a check is given: the model's replicas from the cluster, a sender, the incident's folder."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

from checks.base import CheckContext, Replica
from infdiag_tui import __version__
from infdiag_tui.baselines import baseline_path
from infdiag_tui.check_ports import EndpointSender, open_sender
from infdiag_tui.clock import SystemClock
from infdiag_tui.model import PROBLEM_STATES, Heartbeat, Pod, Progress, Snapshot
from infdiag_tui.remote.way import Way, way_beside
from infdiag_tui.servers.places import replica_base
from infdiag_tui.streams.base import SourceError, StreamContext
from infdiag_tui.streams.cluster import build as build_cluster
from infdiag_tui.streams.reach.open import reach_for
from infdiag_tui.targets import Target

LIST_WITHIN_S = 15.0


@asynccontextmanager
async def check_context(
    target: Target,
    folder: Path,
    report: Callable[[Progress], None],
    *,
    confirmed: bool,
    watch_s: float,
    say: Callable[[str], None],
) -> AsyncIterator[CheckContext]:
    """A context for one check; its connections are closed at the end.

    Args:
        target: what the incident is about.
        folder: the incident's folder, which exists.
        report: takes progress.
        confirmed: the operator agreed to what the check announces.
        watch_s: watch every source for this long first, for checks that need to see the whole; 0: don't.
        say: told in a sentence what could not be had (a cluster out of reach).
    """
    context = StreamContext(clock=SystemClock(), user_agent=f"infdiag/{__version__}")
    snapshot = await _watched(target, folder, context, report, watch_s) if watch_s > 0 else None
    pods, unknown = await _pods(target, context)
    if unknown:
        say(f"the replicas are unknown: {unknown}")
    way = way_beside(target, context, pods, unknown)
    made = dataclasses.replace(
        _context(target, folder, context, pods, way), report=report, confirmed=confirmed, snapshot=snapshot
    )
    async with AsyncExitStack() as stack:
        if way.remote is not None:
            stack.push_async_callback(way.remote.aclose)
        if target.model.endpoint is not None:
            reach = reach_for(target.model, context)
            sender = await stack.enter_async_context(
                open_sender(target.model.endpoint, context.user_agent, reach=reach)
            )
            made = dataclasses.replace(made, sender=sender)
        yield made


async def _watched(
    target: Target,
    folder: Path,
    context: StreamContext,
    report: Callable[[Progress], None],
    watch_s: float,
) -> Snapshot:
    """What every source of the target says after `watch_s`."""
    from infdiag_tui.session import Session
    from infdiag_tui.streams.registry import build_streams

    session = Session(target, build_streams(target.model, context), folder, context.clock)
    running = asyncio.create_task(session.run(), name="watch for a check")
    try:
        began = context.clock.monotonic()
        while (left := began + watch_s - context.clock.monotonic()) > 0 and not running.done():
            report(Progress(f"watching every source, {left:.0f} s left", 1 - left / watch_s))
            await asyncio.wait({running}, timeout=min(2.0, left))
        session.conclude()
        return session.snapshot()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def looking_context(target: Target, folder: Path, snapshot: Snapshot) -> CheckContext:
    """A context for asking what checks lack, made from what is known so far; nothing may be run with it."""
    context = StreamContext(clock=SystemClock(), user_agent=f"infdiag/{__version__}")
    health = snapshot.sources.get("pods")
    unknown = "none has been seen yet; wait for the cluster's answer"
    if health is not None and health.state in PROBLEM_STATES:
        unknown = f"{health.reason}. {health.remedy}"
    way = way_beside(target, context, snapshot.pods, unknown)
    made = dataclasses.replace(_context(target, folder, context, snapshot.pods, way), snapshot=snapshot)
    endpoint = target.model.endpoint
    # A sender opens nothing before it is first used, nor does the way beside the model.
    if endpoint is None:
        return made
    sender = EndpointSender(endpoint, context.user_agent, reach=reach_for(target.model, context))
    return dataclasses.replace(made, sender=sender)


def _context(target: Target, folder: Path, context: StreamContext, pods: Sequence[Pod], way: Way) -> CheckContext:
    return CheckContext(
        model_name=target.model_name,
        model=target.model,
        folder=folder,
        now=context.clock.now,
        report=lambda _: None,
        replicas=_reached(target, pods),
        remote=way.remote,
        no_remote=way.lacking,
        baseline=baseline_path(target.model_name),
        user_agent=context.user_agent,
    )


async def _pods(target: Target, context: StreamContext) -> tuple[tuple[Pod, ...], str]:
    """The model's pods, none without a cluster; and why they could not be had."""
    if target.model.kubernetes is None:
        return (), ""
    stream = build_cluster(target.model, context)[0]
    found: dict[str, Pod] = {}
    unknown = ""
    try:
        async with asyncio.timeout(LIST_WITHIN_S), aclosing(cast("Any", stream.observe())) as observations:
            async for observation in observations:
                if isinstance(observation, Pod):
                    found[observation.key] = observation
                elif isinstance(observation, Heartbeat) and found:
                    break  # the list has come whole; what follows are changes
    except SourceError as error:
        unknown = f"{error.reason}. {error.remedy}"
    except TimeoutError:
        if not found:
            unknown = f"the cluster named no pod within {LIST_WITHIN_S:.0f} s"
    return tuple(found.values()), unknown


def _reached(target: Target, pods: Iterable[Pod]) -> tuple[Replica, ...]:
    endpoint = target.model.endpoint
    by_name = endpoint is not None and endpoint.via.in_cluster
    found = ((pod, replica_base(pod, endpoint.url if endpoint else "", by_name=by_name)) for pod in pods)
    return tuple(Replica(pod.name, base, _digest(pod)) for pod, base in found if base is not None)


def _digest(pod: Pod) -> str:
    return next((container.digest for container in pod.containers if container.digest), "")
