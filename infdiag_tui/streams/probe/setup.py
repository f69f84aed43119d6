"""What a probe needs before its first request: files read, modules imported, connections to be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infdiag_tui.config import Endpoint
from infdiag_tui.streams.base import SourceError, StreamContext
from infdiag_tui.streams.reach.base import Reach
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    import httpx

    from infdiag_tui.streams.probe.plan import Plan

_SETUP_TIMEOUT_S = 30.0
_SHORTEST_KEEPALIVE_S, _LONGEST_KEEPALIVE_S = 15.0, 90.0
"""Idle connections are kept for 2.5 intervals within these bounds: longer than the time between two probes, so that
reuse is what is measured, and not so long that a firewall has forgotten them (Go's client also stops at 90 s)."""


async def prepared(endpoint: Endpoint, context: StreamContext) -> Plan:
    """The request, with everything imported and read that the first one would wait for.

    Raises:
        SourceError: the config or a file that it names cannot be used.
    """
    thread = SoleThread("infdiag-latency-setup", context.clock.monotonic)
    try:
        return await thread.call(lambda: _load(endpoint, context.user_agent), timeout_s=_SETUP_TIMEOUT_S)
    except StuckCallError as error:
        reason = f"reading the probe's files has not ended for {error.waited_s:.0f} s"
        raise SourceError(reason, remedy="is endpoint.body_file or endpoint.ca_file on a dead mount?") from error
    finally:
        thread.close()


def open_for(plan: Plan, reach: Reach | None, *, connections: int, interval_s: float) -> httpx.AsyncBaseTransport:
    """Connections for requests that leave every `interval_s`, by `reach` (None: the direct way).

    Raises:
        SourceError: the environment's proxy cannot be used.
    """
    from infdiag_tui.streams.probe.wire import open_transport

    keepalive_s = min(_LONGEST_KEEPALIVE_S, max(_SHORTEST_KEEPALIVE_S, 2.5 * interval_s))
    if reach is not None:
        return reach.transport(plan.tls, connections=connections, keepalive_s=keepalive_s)
    try:
        return open_transport(plan.tls, plan.proxy, connections=connections, keepalive_s=keepalive_s)
    except (ValueError, ImportError) as error:
        reason = one_line(clean(f"the environment's proxy {plan.proxy} cannot be used: {error}"))
        remedy = "unset HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the server in NO_PROXY"
        raise SourceError(reason, remedy=remedy) from error


def _load(endpoint: Endpoint, user_agent: str) -> Plan:
    # httpx and what comes with it take a few hundred milliseconds to import: here they hold up nobody, and the first
    # request isn't charged for them.
    from infdiag_tui.streams.probe import exchange, wire  # noqa: F401 - imported here for the loop's thread
    from infdiag_tui.streams.probe.plan import load_plan

    return load_plan(endpoint, user_agent)
