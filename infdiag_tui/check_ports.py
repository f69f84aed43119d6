"""What checks are given by the composer: a sender that speaks to the model server just as the latency probe does."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import TypeAdapter, ValidationError

from checks.base import NO_LOAD_BY_PROXY, Answer, CheckError
from infdiag_tui.clock import Clock, SystemClock
from infdiag_tui.config import Endpoint, Protocol, ReachedUrl
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.reach.base import ByteReach, Reach, leads_to
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.text import clean, one_line, printable

if TYPE_CHECKING:
    import httpx

    from infdiag_tui.check_readers import KeptReply
    from infdiag_tui.streams.probe.exchange import Outcome
    from infdiag_tui.streams.probe.plan import Plan

_SETUP_TIMEOUT_S = 30.0
_KEEPALIVE_S = 15.0
_MAX_REDIRECTS = 3
_MEASURE_EVERY_S = 10.0
_POST_REPLY_BYTES = 8_000_000
_ADDRESS: TypeAdapter[str] = TypeAdapter(ReachedUrl)


@dataclasses.dataclass(slots=True)
class _Way:
    """How one server (scheme, host and port) is reached."""

    plan: Plan
    transport: httpx.AsyncBaseTransport
    round_trip_s: float = 0.0
    reach: Reach | None = None


class EndpointSender:
    """The `Sender` of checks over the probe's own code.

    A server's TLS settings and proxy are worked out when it is first spoken to. The endpoint's headers and credentials
    go along whatever the address: a replica wants them as much as the service does. Belongs to one event loop; close it
    with `aclose`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        user_agent: str = "infdiag",
        clock: Clock | None = None,
        reach: Reach | None = None,
    ) -> None:
        """`reach` is the way to the endpoint and its replicas, None for the direct one."""
        self._endpoint = endpoint
        self._reach = reach
        self._stack = AsyncExitStack()
        self._going = False
        self._measured_at = float("-inf")
        self._user_agent = user_agent
        self._clock = clock or SystemClock()
        self._ways: dict[tuple[str, str], _Way] = {}
        self._opening = asyncio.Lock()
        self._thread = SoleThread("infdiag-check-setup", self._clock.monotonic)

    async def predict(self, body: Any, *, base_url: str = "", timeout_s: float | None = None) -> Answer:
        """Posts `body` to the predict call, at `base_url` (which may have a path to put before) if given.

        With the OpenAI protocol the reply is asked for in one piece, not as a stream, so that `body` of the answer is
        all that the model said; a server that streams all the same has its pieces put together.
        """
        try:
            url = _at(self._endpoint.url, base_url)
        except SourceError as error:
            return _refused(error)
        return await self.predict_at(url, body, timeout_s=timeout_s)

    async def predict_at(self, url: str, body: Any, *, timeout_s: float | None = None) -> Answer:
        """The same at any URL, as of a second deployment whose path is another one."""
        try:
            url = _with_credentials(url, self._endpoint.url)
            way = await self._way(url)
            plan = _with_body(way.plan, _parsed(url), body, self._endpoint)
        except SourceError as error:
            return _refused(error)
        from infdiag_tui.check_readers import KeptReply

        kept = KeptReply.of_protocol(plan.protocol)
        outcome = await self._exchange(way, plan, kept, timeout_s)
        return _answer(outcome, kept, with_remedy=True)

    async def get(self, url: str, *, timeout_s: float | None = None, limit_bytes: int = 8_000_000) -> Answer:
        """Fetches `url`; redirects within the same server are followed, as `/metrics` to `/metrics/` needs it.

        `body` is the parsed JSON of a reply that is some. `text` is as the server sent it: pass it through
        `infdiag_tui.text.clean` before it is shown.
        """
        for _ in range(_MAX_REDIRECTS + 1):
            try:
                url = _with_credentials(url, self._endpoint.url)
                way = await self._way(url)
                plan = dataclasses.replace(way.plan, method="GET", url=_parsed(url), body=None)
            except SourceError as error:
                return _refused(error)
            # Not before `_way`, which has it imported by a thread: with httpx it takes 0.2 s.
            from infdiag_tui.check_readers import KeptReply

            plan = dataclasses.replace(plan, headers=_without_type(plan.headers))
            kept = KeptReply.of_text(limit_bytes)
            outcome = await self._exchange(way, plan, kept, timeout_s)
            target = kept.redirect(url)
            if target is None:
                break
            url = target
        return _answer(outcome, kept, with_remedy=outcome.reply.status is None)

    async def post(self, url: str, *, body: Any = None, timeout_s: float | None = None) -> Answer:
        """Posts to any URL of the model server: `body` as JSON, nothing for None. Any reply's text will do."""
        import orjson

        try:
            url = _with_credentials(url, self._endpoint.url)
            way = await self._way(url)
            content = None if body is None else orjson.dumps(body)
            headers = way.plan.headers if content is not None else _without_type(way.plan.headers)
            plan = dataclasses.replace(way.plan, method="POST", url=_parsed(url), headers=headers, body=content)
        except SourceError as error:
            return _refused(error)
        except (TypeError, ValueError) as error:
            return _refused(SourceError(one_line(clean(f"the body cannot be sent: {error}"))))
        from infdiag_tui.check_readers import KeptReply

        kept = KeptReply.of_text(_POST_REPLY_BYTES)
        outcome = await self._exchange(way, plan, kept, timeout_s)
        return _answer(outcome, kept, with_remedy=outcome.reply.status is None)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """As `Forwarder.listening`."""
        parts = urlsplit(self._endpoint.url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        reach = self._reach
        if reach is None or not leads_to(reach, host):
            yield ""
            return
        if not isinstance(reach, ByteReach):
            raise CheckError(NO_LOAD_BY_PROXY)
        from infdiag_tui.streams.reach.listener import listening

        async with reach.going(), listening(lambda: reach.far_end(host, port)) as address:
            yield address

    async def aclose(self) -> None:
        """Closes every connection."""
        ways = list(self._ways.values())
        self._ways.clear()
        self._thread.close()
        for way in ways:
            await way.transport.aclose()
        await self._stack.aclose()

    async def _exchange(self, way: _Way, plan: Plan, kept: KeptReply, timeout_s: float | None) -> Outcome:
        from infdiag_tui.streams.probe.exchange import Prober

        if timeout_s is not None:
            plan = dataclasses.replace(plan, timeout_s=timeout_s)
        prober = Prober(plan, kept.watching(way.transport), self._clock, kept.open, way.reach)
        prober.round_trip_s = way.round_trip_s
        await self._measure(way)
        outcome = await prober.probe(self._clock.monotonic())
        way.round_trip_s = prober.round_trip_s
        return outcome

    async def _measure(self, way: _Way) -> None:
        """Times the way that is not the direct one, now and then, so that answers can be told without its share."""
        now = self._clock.monotonic()
        if way.reach is not None and now - self._measured_at > _MEASURE_EVERY_S:
            self._measured_at = now
            await way.reach.measure()

    async def _way(self, url: str) -> _Way:
        """How the server of `url` is reached; raises `SourceError` when the config cannot be used for it."""
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc)
        async with self._opening:
            if key not in self._ways:
                self._ways[key] = await self._open_way(url)
            return self._ways[key]

    async def _open_way(self, url: str) -> _Way:
        # The known-good input is not needed here, and a broken one must not stand in the way of other requests.
        endpoint = self._endpoint.model_copy(update={"url": url, "body": {}, "body_file": None})
        try:
            plan = await self._thread.call(lambda: _load(endpoint, self._user_agent), timeout_s=_SETUP_TIMEOUT_S)
        except StuckCallError as error:
            reason = f"reading the endpoint's files has not ended for {error.waited_s:.0f} s"
            raise SourceError(reason, remedy="is endpoint.ca_file on a dead mount?") from error
        if self._reach is not None and leads_to(self._reach, plan.host):
            if not self._going:
                await self._stack.enter_async_context(self._reach.going())
                self._going = True
            through = self._reach.transport(
                plan.tls, connections=self._endpoint.max_in_flight, keepalive_s=_KEEPALIVE_S
            )
            return _Way(plan, through, reach=self._reach)
        from infdiag_tui.streams.probe.wire import open_transport

        try:
            transport = open_transport(
                plan.tls, plan.proxy, connections=self._endpoint.max_in_flight, keepalive_s=_KEEPALIVE_S
            )
        except (ValueError, ImportError) as error:
            reason = one_line(clean(f"the environment's proxy {plan.proxy} cannot be used: {error}"))
            remedy = "unset HTTP_PROXY, HTTPS_PROXY and ALL_PROXY, or name the server in NO_PROXY"
            raise SourceError(reason, remedy=remedy) from error
        return _Way(plan, transport)


@asynccontextmanager
async def open_sender(
    endpoint: Endpoint, user_agent: str = "infdiag", clock: Clock | None = None, reach: Reach | None = None
) -> AsyncIterator[EndpointSender]:
    """A sender for as long as the context lasts."""
    sender = EndpointSender(endpoint, user_agent, clock, reach)
    try:
        yield sender
    finally:
        await sender.aclose()


def _load(endpoint: Endpoint, user_agent: str) -> Plan:
    # Imports of a few hundred milliseconds: on this thread they hold up nobody.
    from infdiag_tui import check_readers  # noqa: F401 - imported here for the loop's thread
    from infdiag_tui.streams.probe import exchange, wire  # noqa: F401 - likewise
    from infdiag_tui.streams.probe.plan import load_plan

    return load_plan(endpoint, user_agent)


def _at(url: str, base_url: str) -> str:
    """`url` on the server of `base_url`, behind its path; the credentials in `url` go along unless it has its own."""
    if not base_url:
        return url
    parts, base = urlsplit(url), urlsplit(_checked(base_url if "://" in base_url else f"http://{base_url}"))
    moved = urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + parts.path, parts.query, ""))
    return _with_credentials(moved, url)


def _checked(url: str) -> str:
    """`url`, by the config's own rules for one, as it is sent; raises `SourceError`."""
    try:
        return _ADDRESS.validate_python(url)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise SourceError(one_line(clean(f"{url!r} {reason}"))) from error


def _with_credentials(url: str, of: str) -> str:
    """`url` with the user and password of another URL, unless it has its own; raises `SourceError` if it is none."""
    url = _checked(url)
    given, parts = urlsplit(of).netloc, urlsplit(url)
    if "@" not in given or "@" in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{given.rpartition('@')[0]}@{parts.netloc}"))


def _parsed(url: str) -> httpx.URL:
    import httpx

    try:
        return httpx.URL(url)
    except httpx.InvalidURL as error:
        raise SourceError(one_line(clean(f"{url!r} is no URL: {error}")), remedy="correct it") from error


def _with_body(plan: Plan, url: httpx.URL, body: Any, endpoint: Endpoint) -> Plan:
    """The plan of a predict call with this body; raises `SourceError` when the protocol cannot carry it."""
    import orjson

    from infdiag_tui.config.request import request_body

    try:
        value = request_body(endpoint.protocol, body, endpoint.model)
        if endpoint.protocol is Protocol.OPENAI:
            value = {**{name: one for name, one in value.items() if name != "stream_options"}, "stream": False}
        content = None if value is None else orjson.dumps(value)
    except (TypeError, ValueError) as error:
        raise SourceError(one_line(clean(f"the input cannot be sent: {error}")), remedy="correct the input") from error
    headers = plan.headers if content is not None else _without_type(plan.headers)
    method = endpoint.method.upper() or ("GET" if content is None else "POST")
    return dataclasses.replace(plan, method=method, url=url, headers=headers, body=content)


def _without_type(headers: httpx.Headers) -> httpx.Headers:
    kept = headers.copy()
    kept.pop("content-type", None)
    return kept


def _refused(error: SourceError) -> Answer:
    return Answer(ok=False, status=None, body=None, text="", total_ms=0.0, error=_sentence(error.reason, error.remedy))


def _answer(outcome: Outcome, kept: KeptReply, *, with_remedy: bool) -> Answer:
    reply = outcome.reply
    return Answer(
        ok=reply.ok,
        status=reply.status,
        body=kept.body if reply.ok else None,
        text=kept.text,
        total_ms=reply.own_ms,
        error=_sentence(reply.error_text, outcome.remedy if with_remedy else ""),
        model_version=reply.model_version or kept.model_version if reply.ok else "",
        headers={name: printable(value) for name, value in kept.headers.items()},
        tunnel_ms=reply.phases.tunnel_ms,
    )


def _sentence(text: str, remedy: str) -> str:
    return f"{text}; {remedy}" if text and remedy else text
