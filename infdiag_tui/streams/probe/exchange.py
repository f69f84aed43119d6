"""One scheduled request: sent, read, judged and timed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import httpcore
import httpx

from infdiag_tui.clock import Clock
from infdiag_tui.model import ErrorKind, Phases, Reply
from infdiag_tui.streams.probe.certificate import served_validity
from infdiag_tui.streams.probe.failure import Failure, classify, timed_out
from infdiag_tui.streams.probe.finite import NumberWatch
from infdiag_tui.streams.probe.open_loop import wait_until
from infdiag_tui.streams.probe.phases import CURRENT_WIRE, Stage, WireTimes
from infdiag_tui.streams.probe.plan import Plan
from infdiag_tui.streams.probe.protocols import (
    MAX_REPLY_BYTES,
    Answer,
    BadReplyError,
    JsonReader,
    NotFiniteError,
    ReplyReader,
    excerpt,
    reader_for,
    replica_of,
)
from infdiag_tui.streams.reach.base import Reach, ReachError
from infdiag_tui.text import clean, one_line

WIRE_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpx.TransportError,
    OSError,
)
_IDLE_CLOSE_MARGIN_S = 0.002
_DRAIN_S = 0.25
"""How long a stream may take to close its body after its own end mark, before the connection is given up."""
_EXCERPT_BYTES = 4_096
_OPENING = (Stage.START, Stage.DNS, Stage.CONNECT)
"""Stages in which a way that is not the direct one is not open yet."""
_CERTIFICATE_TIMEOUT_S = 2.0
_CERTIFICATE_FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A reply, and what the operator can try when it is a failure."""

    reply: Reply
    remedy: str = ""


@dataclass(slots=True)
class _Progress:
    """How far an attempt came; a timeout strikes in mid-flight."""

    wire: WireTimes
    status: int | None = None
    reply_bytes: int = 0
    replica: str = ""
    has_nan: bool | None = None


class Prober:
    """Makes the plan's request again and again over one pool of connections.

    A reply's total runs from when the request was due. The time limit is for the request from its actual send, whatever
    it spends it on, a second attempt included.

    A server that closes an idle connection just as a request arrives on it has not seen that request; ordinary clients
    then send it again on a new connection, and so does this one, once, with the detour inside the total. It does so
    only if the close was on its way when the request left: seen within one round trip (as measured when connecting). A
    server that crashes on the request closes later than that, and is a disconnect.

    Attributes:
        round_trip_s: the last connection's round trip, seconds; may be set to what is known from before.
    """

    def __init__(
        self,
        plan: Plan,
        transport: httpx.AsyncBaseTransport,
        clock: Clock,
        open_reader: Callable[[str], ReplyReader] | None = None,
        reach: Reach | None = None,
    ) -> None:
        """`open_reader` makes the reader of a successful reply from its content type; default: the protocol's.

        `reach` is the way that `transport` goes, None for the direct one.
        """
        self._plan = plan
        self._transport = transport
        self._clock = clock
        self._open_reader = open_reader or (lambda content_type: reader_for(plan.protocol, content_type))
        self._reach = reach
        self.round_trip_s = 0.0
        self._numbers = NumberWatch()
        self._expiry: tuple[float, str] | None = None

    async def probe(self, due: float) -> Outcome:
        """Waits until `due` (monotonic seconds) and sends the request. Raises nothing but cancellation and defects."""
        progress = _Progress(WireTimes(self._clock.monotonic))
        request = self._request(progress.wire)
        await wait_until(due, self._clock.monotonic)
        lateness_ms = max(0.0, self._clock.monotonic() - due) * 1e3
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                result = await self._attempt(request, progress)
                if isinstance(result, Failure) and self._lost_to_idle_close(result, progress):
                    progress = _Progress(WireTimes(self._clock.monotonic))
                    result = await self._attempt(self._request(progress.wire), progress)
        except TimeoutError:
            result = timed_out(progress.wire, self._plan.timeout_s, self._plan.server)
            if self._reach is not None and progress.wire.stage in _OPENING:
                result = Failure(
                    ErrorKind.TUNNEL,
                    f"{self._reach.name} gave no connection to {self._plan.server} within {self._plan.timeout_s:g} s",
                    "check the way: network and VPN, the API server or SSH host, and the address from there",
                )
        ended = progress.wire.ended_at
        if ended is None or isinstance(result, Failure):
            ended = self._clock.monotonic()
        reply = self._reply(due, ended, lateness_ms)
        phases = progress.wire.phases()
        if phases.connect_ms is not None:
            self.round_trip_s = phases.connect_ms / 1e3
        reply = replace(
            reply,
            phases=phases if self._reach is None else _through(phases, self._reach),
            reused=progress.wire.reused,
            status=progress.status,
            reply_bytes=progress.reply_bytes,
            replica=progress.replica,
            has_nan=progress.has_nan,
        )
        if isinstance(result, Failure):
            result = await self._with_expiry(result)
            return Outcome(replace(reply, error=result.kind, error_text=result.text), result.remedy)
        token = result.first_token_at
        return Outcome(
            replace(
                reply,
                model_version=result.model_version,
                first_token_ms=None if token is None else max(0.0, token - due) * 1e3,
            ),
        )

    def unsent(self, due: float, held_up: bool) -> Outcome:
        """The outcome of a slot that was not sent."""
        now = self._clock.monotonic()
        late_s = max(0.0, now - due)
        if held_up:
            text = f"not sent: infdiag itself was held up for {late_s:.0f} s"
        else:
            text = "not sent: as many requests as endpoint.max_in_flight allows are still unanswered"
        reply = self._reply(due, now, late_s * 1e3)
        return Outcome(replace(reply, error=ErrorKind.OVERRUN, error_text=text))

    def _reply(self, due: float, ended: float, lateness_ms: float) -> Reply:
        # Wall time is read once; the monotonic distance to it survives a step of the wall clock.
        wall, now = self._clock.now(), self._clock.monotonic()
        return Reply(
            target=self._plan.target,
            scheduled_at=wall - (now - due),
            at=wall - (now - ended),
            total_ms=max(0.0, ended - due) * 1e3,
            lateness_ms=lateness_ms,
            through="" if self._reach is None else self._reach.name,
        )

    def _request(self, wire: WireTimes) -> httpx.Request:
        plan = self._plan
        extensions = {"trace": wire.trace}
        return httpx.Request(plan.method, plan.url, headers=plan.headers, content=plan.body, extensions=extensions)

    async def _attempt(self, request: httpx.Request, progress: _Progress) -> Answer | Failure:
        plan, wire = self._plan, progress.wire
        CURRENT_WIRE.set(wire)
        try:
            response = await self._transport.handle_async_request(request)
            try:
                return await self._read(response, progress)
            finally:
                progress.reply_bytes = response.num_bytes_downloaded
                await response.aclose()
        except BadReplyError as error:
            progress.has_nan = True if isinstance(error, NotFiniteError) else None
            return Failure(ErrorKind.BAD_REPLY, str(error), "is endpoint.url the predict call, in endpoint.protocol?")
        except httpx.DecodingError as error:
            text = one_line(clean(f"the reply's compression is broken: {error}"))
            return Failure(ErrorKind.BAD_REPLY, text, "")
        except ReachError as error:
            return Failure(error.kind, error.reason, error.remedy)
        except WIRE_ERRORS as error:
            return classify(error, wire, plan.server, plan.host)

    async def _read(self, response: httpx.Response, progress: _Progress) -> Answer | Failure:
        progress.status = response.status_code
        parts = response.aiter_bytes()
        if not 200 <= response.status_code < 300:
            return await _bad_status(response, parts)
        reader = self._open_reader(response.headers.get("content-type", ""))
        async for part in parts:
            reader.feed(part, self._clock.monotonic())
            if reader.done_at is not None:
                break
        progress.wire.ended_at = reader.done_at or progress.wire.body_ended_at or self._clock.monotonic()
        if reader.done_at is not None:
            await _drain(parts)
        answer = reader.finish()
        document = reader.document if isinstance(reader, JsonReader) else None
        progress.replica = replica_of(response.headers, document)
        progress.has_nan = self._numbers.has_nan(document)
        return answer

    def _lost_to_idle_close(self, failure: Failure, progress: _Progress) -> bool:
        wire = progress.wire
        since_s = wire.since_sent_s
        return (
            failure.kind in (ErrorKind.DISCONNECT, ErrorKind.TUNNEL)
            and wire.reused is True
            and not wire.got_head
            and since_s is not None
            and since_s <= self.round_trip_s + _IDLE_CLOSE_MARGIN_S
        )

    async def _with_expiry(self, failure: Failure) -> Failure:
        """`failure` with the date, where it is an expired certificate. Asked for at most once a minute."""
        if not failure.expired_certificate or self._plan.proxy is not None or self._reach is not None:
            return failure
        now = self._clock.monotonic()
        if self._expiry is None or now - self._expiry[0] > _CERTIFICATE_FRESH_S:
            self._expiry = (now, await self._ask_expiry(failure.text))
        return replace(failure, text=self._expiry[1])

    async def _ask_expiry(self, unknown: str) -> str:
        plan = self._plan
        try:
            shown = await served_validity(plan.host, plan.host, plan.port, _CERTIFICATE_TIMEOUT_S)
        except (OSError, ValueError):
            return unknown  # the date is a courtesy: the failure itself is known
        if shown.not_after.timestamp() > self._clock.wall():
            return f"the certificate of {plan.server} is in date, but one of its chain has expired"
        return f"the certificate of {plan.server} expired on {shown.not_after:%Y-%m-%d}"


def _through(phases: Phases, reach: Reach) -> Phases:
    """The phases of a request that went through `reach`, its own share in them apart."""
    opening = [phases.dns_ms, phases.connect_ms, *([phases.tls_ms] if reach.ends_tls else [])]
    left = replace(phases, dns_ms=None, connect_ms=None, tls_ms=None if reach.ends_tls else phases.tls_ms)
    round_trip_ms = reach.round_trip_ms
    if round_trip_ms is None:
        return left
    wait_ms = None if phases.wait_ms is None else max(0.0, phases.wait_ms - round_trip_ms)
    tunnel_ms = round_trip_ms + sum(one for one in opening if one is not None)
    return replace(left, tunnel_ms=tunnel_ms, wait_ms=wait_ms)


async def _drain(parts: AsyncIterator[bytes]) -> None:
    """Reads what follows the end mark so that the connection can be used again; the answer is whole without it."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            async for _ in parts:
                pass
    except (TimeoutError, httpx.DecodingError, *WIRE_ERRORS):
        return


async def _bad_status(response: httpx.Response, parts: AsyncIterator[bytes]) -> Failure:
    """The failure that an error status is, with the beginning of what the server says about it."""
    said, size = b"", 0
    async for part in parts:
        size += len(part)
        said += part[: max(0, _EXCERPT_BYTES - len(said))]
        if size > MAX_REPLY_BYTES:
            break
    status = response.status_code
    text = f"HTTP {status} {response.reason_phrase}".strip()
    location = response.headers.get("location")
    if location and 300 <= status < 400:
        text += f", redirects to {location}"
    elif said.strip():
        text += f": {excerpt(said)}"
    return Failure(ErrorKind.HTTP_STATUS, one_line(clean(text)), _status_remedy(status))


def _status_remedy(status: int) -> str:
    if 300 <= status < 400:
        return "put the address that it redirects to in endpoint.url"
    remedies = {
        401: "the server wants credentials: set endpoint.headers",
        403: "the server refuses these credentials: check endpoint.headers",
        404: "is the path in endpoint.url right, and the model loaded?",
        405: "the server wants another method: set endpoint.method",
        429: "the server limits the rate: lower endpoint.rate_per_s",
        503: "the server is not ready or overloaded: look at its pods and logs",
    }
    default = "look at the server's log" if status >= 500 else "does the server accept this body? check endpoint.body"
    return remedies.get(status, default)
