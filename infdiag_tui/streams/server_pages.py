"""Fetches metrics pages over HTTP: bounded in time and size, parsed off the event loop, failures as values."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from infdiag_tui.clock import Clock
from infdiag_tui.config import Endpoint, Metrics
from infdiag_tui.config.request import proxy_for
from infdiag_tui.servers.metrics_text import MetricsPage, parse_metrics
from infdiag_tui.servers.v2_stats import stats_page
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.reach.base import Reach, going, leads_to
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 2.0
PARSE_TIMEOUT_S = 10.0
MAX_PAGE_BYTES = 16 * 1024 * 1024
AT_ONCE = 16
_MAX_REDIRECTS = 2
_KEEPALIVE_S = 30.0


@dataclass(frozen=True, slots=True)
class Page:
    """A metrics page: where from, what it says, and when it came (wall and monotonic seconds)."""

    url: str
    metrics: MetricsPage
    at: float
    monotonic: float


@dataclass(frozen=True, slots=True)
class Miss:
    """Why there is no page; `answered` is True when something replied all the same."""

    url: str
    reason: str
    answered: bool


@dataclass(slots=True)
class _Way:
    """How servers are reached: the endpoint's own headers, TLS and proxy, where there is one."""

    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    host: str = ""


class PageReader:
    """Fetches pages as long as it is open (`async with`); a round's pages come at most sixteen at a time.

    The endpoint's headers and credentials go to its host and to the pods, which want them as much as the service does;
    to URLs of other hosts only those of the metrics section.

    Raises:
        SourceError: the endpoint's files (a certificate authority) cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint | None,
        settings: Metrics,
        clock: Clock,
        user_agent: str,
        reach: Reach | None = None,
    ) -> None:
        """`reach` is the way to the endpoint and the pods, None for the direct one."""
        self._reach = reach
        self._stack = AsyncExitStack()
        self._endpoint = endpoint
        self._settings = settings
        self._clock = clock
        self._user_agent = user_agent
        self._thread = SoleThread("server metrics", clock.monotonic)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._clients: dict[str | None, httpx.AsyncClient] = {}
        """By the proxy on the way; those through `reach` apart."""
        self._way = _Way()

    async def __aenter__(self) -> Self:
        try:
            self._way = await self._thread.call(self._prepare, timeout_s=PARSE_TIMEOUT_S)
        except StuckCallError as stuck:
            raise SourceError(
                f"reading the endpoint's files has not ended for {stuck.waited_s:.0f} s",
                remedy="is endpoint.ca_file on a dead mount?",
            ) from stuck
        await self._stack.enter_async_context(going(self._reach))
        return self

    async def __aexit__(self, *_: object) -> None:
        clients, self._clients = list(self._clients.values()), {}
        self._thread.close()
        for client in clients:
            await client.aclose()
        await self._stack.aclose()

    async def fetch_all(self, urls: Mapping[str, bool]) -> list[Page | Miss]:
        """The pages at these URLs, in their order; a URL's value says whether it is the model's own (endpoint, pod)."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._fetch(url, own=own)) for url, own in urls.items()]
        return [task.result() for task in tasks]

    async def _fetch(self, url: str, *, own: bool) -> Page | Miss:
        import httpx

        try:
            async with self._gate, asyncio.timeout(TIMEOUT_S + CONNECT_TIMEOUT_S):
                status, body = await self._get(url, own=own)
        except (TimeoutError, httpx.TimeoutException):
            return Miss(url, f"does not answer within {TIMEOUT_S:g} s", answered=False)
        except SourceError as error:
            return Miss(url, error.reason, answered=False)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            detail = one_line(clean(str(error)), 160) or type(error).__name__
            return Miss(url, f"cannot be reached: {detail}", answered=False)
        at, monotonic = self._clock.now(), self._clock.monotonic()
        if status != httpx.codes.OK:
            return Miss(url, f"answers with status {status}", answered=True)
        if body is None:
            return Miss(url, f"is larger than {MAX_PAGE_BYTES / 1024 / 1024:.0f} MiB", answered=True)
        try:
            metrics = await self._thread.call(lambda: metrics_in(body), timeout_s=PARSE_TIMEOUT_S)
        except StuckCallError:
            return Miss(url, "could not be read in time: this machine is overloaded", answered=True)
        if metrics is None:
            return Miss(url, "answers something that is no metrics text", answered=True)
        return Page(url, metrics, at, monotonic)

    async def _get(self, url: str, *, own: bool) -> tuple[int, bytes | None]:
        """Status and body; the body is None when it is too large. Redirects are followed within the same server."""
        import httpx

        target = httpx.URL(url)
        for _ in range(_MAX_REDIRECTS + 1):
            client = self._client(target)
            headers = self._headers(target, own=own)
            async with client.stream("GET", target, headers=headers) as reply:
                location = reply.headers.get("location") if reply.is_redirect else None
                if location is None:
                    return reply.status_code, await _body(reply)
                following = target.join(location)
            if (following.scheme, following.netloc) != (target.scheme, target.netloc):
                return reply.status_code, b""
            target = following
        return reply.status_code, b""

    def _headers(self, url: httpx.URL, *, own: bool) -> dict[str, str]:
        if own or url.host == self._way.host:
            return {**self._way.headers, **self._settings.headers}
        return dict(self._settings.headers)

    def _client(self, url: httpx.URL) -> httpx.AsyncClient:
        import httpx

        reach = self._reach if leads_to(self._reach, url.host) else None
        proxy = proxy_for(str(url)) if reach is None else reach.name
        if proxy not in self._clients:
            transport = None
            if reach is not None:
                transport = reach.transport(self._way.tls, connections=2 * AT_ONCE, keepalive_s=_KEEPALIVE_S)
            self._clients[proxy] = httpx.AsyncClient(
                transport=transport,
                headers={"user-agent": self._user_agent, "accept": "text/plain, application/json;q=0.5, */*;q=0.1"},
                timeout=httpx.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
                limits=httpx.Limits(max_connections=2 * AT_ONCE, max_keepalive_connections=2 * AT_ONCE),
                verify=self._way.tls or True,
                proxy=proxy if reach is None else None,
                trust_env=False,
            )
        return self._clients[proxy]

    def _prepare(self) -> _Way:
        # Imports and certificate stores take a tenth of a second and more: not on the event loop.
        import httpx

        from infdiag_tui.streams.probe.plan import load_plan

        endpoint = self._endpoint
        if endpoint is None:
            return _Way(tls=httpx.create_ssl_context())
        # The known-good input is not needed here, and a broken one must not stand in the way.
        plan = load_plan(endpoint.model_copy(update={"body": {}, "body_file": None}), self._user_agent)
        ours = ("accept", "accept-encoding", "content-type", "user-agent")
        headers = {name: value for name, value in plan.headers.items() if name.lower() not in ours}
        return _Way(headers, plan.tls or httpx.create_ssl_context(), plan.host)


async def _body(reply: httpx.Response) -> bytes | None:
    body = bytearray()
    async for chunk in reply.aiter_bytes():
        body += chunk
        if len(body) > MAX_PAGE_BYTES:
            return None
    return bytes(body)


def metrics_in(body: bytes) -> MetricsPage | None:
    """What a reply's body tells: Prometheus text or the V2 protocol's statistics, else None. Blocking."""
    import orjson

    if body.lstrip()[:1] == b"{":
        try:
            return stats_page(orjson.loads(body))
        except orjson.JSONDecodeError:
            return None
    page = parse_metrics(body.decode("utf-8", "replace"))
    # A web page or a log has a line that looks like a sample now and then.
    readable = sum(len(samples) for samples in page.by_name.values())
    return page if readable > page.malformed_lines else None
