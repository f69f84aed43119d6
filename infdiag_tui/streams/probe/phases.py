"""Wire times of one request, gathered from httpcore's trace events, the resolver and the socket itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Any

from infdiag_tui.model import Phases


class Stage(StrEnum):
    """Where a request is on the wire, in words that fit after "while"."""

    START = "starting"
    DNS = "resolving the host name"
    CONNECT = "connecting"
    TLS = "negotiating TLS"
    SEND = "sending the request"
    WAIT = "waiting for the reply"
    RECEIVE = "receiving the reply"


class WireTimes:
    """Collects when one attempt on the wire reached which stage.

    Pass `trace` as httpx's `trace` request extension. A request that needed no connection of its own ran on a
    kept-alive one: that is how reuse is told. Times are monotonic seconds.
    """

    __slots__ = ("_marks", "_monotonic", "_read_first", "_read_last", "_wrote", "dns_s", "ended_at", "stage")

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._marks: dict[str, float] = {}
        self._wrote: tuple[float, float] | None = None
        self._read_first: float | None = None
        self._read_last: float | None = None
        self.dns_s: float | None = None
        self.ended_at: float | None = None
        self.stage = Stage.START

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:  # noqa: ARG002 - httpcore passes it by position
        """Receives one trace event, named `module.stage.started`, `.complete` or `.failed`."""
        mark = event.partition(".")[2]
        self._marks[mark] = self._monotonic()
        stage = _STAGES.get(mark)
        if stage is not None:
            self.stage = stage

    def resolved(self, seconds: float) -> None:
        """Notes how long the name took to resolve; connecting follows."""
        self.dns_s = seconds
        self.stage = Stage.CONNECT

    def now(self) -> float:
        """The clock of these times."""
        return self._monotonic()

    def wrote(self, began: float) -> None:
        """Notes that bytes of the request, begun at `began`, are with the kernel."""
        self._wrote = (began if self._wrote is None else self._wrote[0], self._monotonic())

    def read(self, first_at: float, last_at: float) -> None:
        """Notes that bytes of the reply came out of the socket between these times."""
        self._read_last = last_at
        if self._read_first is None:
            self._read_first = first_at

    @property
    def reused(self) -> bool | None:
        """True on a kept-alive connection; None when the request never got as far as a connection."""
        if "connect_tcp.started" in self._marks:
            return False
        return True if "send_request_headers.started" in self._marks else None

    @property
    def got_head(self) -> bool:
        """True once the reply's status line and headers are here."""
        return "receive_response_headers.complete" in self._marks

    @property
    def got_bytes(self) -> bool:
        """True once anything came back."""
        return self._read_first is not None

    @property
    def body_ended_at(self) -> float | None:
        """When the reply's last byte came out of the socket, None before the body is complete.

        Without a socket of ours below (through a proxy) it is when the byte had been parsed, a little later.
        """
        parsed = self._marks.get("receive_response_body.complete")
        return parsed if parsed is None or self._read_last is None else self._read_last

    @property
    def since_sent_s(self) -> float | None:
        """Seconds since the request's last byte left (since its first, when that broke off); None before that."""
        sent = self._wrote[1] if self._wrote is not None else self._marks.get("send_request_headers.started")
        return None if sent is None else self._monotonic() - sent

    def phases(self) -> Phases:
        """The stages that were completed, in milliseconds."""
        connect_ms = self._between("connect_tcp.started", "connect_tcp.complete")
        dns_ms = None if self.dns_s is None else self.dns_s * 1e3
        if connect_ms is not None and dns_ms is not None:
            connect_ms = max(0.0, connect_ms - dns_ms)
        send_began, sent = self._wrote or (
            self._marks.get("send_request_headers.started"),
            self._marks.get("send_request_body.complete"),
        )
        head = self._marks.get("receive_response_headers.complete")
        if head is not None and self._read_first is not None:
            head = self._read_first
        return Phases(
            dns_ms=dns_ms,
            connect_ms=connect_ms,
            tls_ms=self._between("start_tls.started", "start_tls.complete"),
            send_ms=_elapsed_ms(send_began, sent),
            wait_ms=_elapsed_ms(sent, head),
            receive_ms=_elapsed_ms(head, self.ended_at),
        )

    def _between(self, first: str, last: str) -> float | None:
        return _elapsed_ms(self._marks.get(first), self._marks.get(last))


def _elapsed_ms(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else max(0.0, end - begin) * 1e3


_STAGES = {
    "connect_tcp.started": Stage.CONNECT,
    "start_tls.started": Stage.TLS,
    "send_request_headers.started": Stage.SEND,
    "send_request_body.complete": Stage.WAIT,
    "receive_response_headers.complete": Stage.RECEIVE,
}

CURRENT_WIRE: ContextVar[WireTimes | None] = ContextVar("infdiag_current_wire", default=None)
"""The attempt that the running task makes, so that the network backend below httpcore can note the name lookup."""
