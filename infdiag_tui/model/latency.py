"""What one probe request met, and what many of them say together."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from infdiag_tui.model.series import SeriesView


class ErrorKind(StrEnum):
    """How a request failed; each is counted apart."""

    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    DISCONNECT = "disconnect"
    HTTP_STATUS = "http-status"
    BAD_REPLY = "bad-reply"
    """The reply was no JSON, or lacked what its protocol promises."""
    OVERRUN = "overrun"
    """Not sent: as many requests as allowed were still waiting for the server, or infdiag itself had been held up."""
    TUNNEL = "tunnel"
    """Not sent: the way to the server (the API server, an SSH host) failed, which says nothing about the server."""


NOT_SENT = frozenset({ErrorKind.OVERRUN, ErrorKind.TUNNEL})
"""Requests that never reached the model server, so that nobody's request failed by it."""


@dataclass(frozen=True, slots=True)
class Phases:
    """The wire phases of one request, in milliseconds.

    DNS, connect and TLS are None on a reused connection (and TLS on plain HTTP): they did not take place.
    `send` is writing the request, `wait` from its last byte to the first of the reply, `receive` the rest of the reply.

    `tunnel` is what a way to the server that is not the direct one adds: one round trip through it, as measured beside
    the requests, which is left out of `wait`, and on a fresh connection the opening of the way, which then stands in
    for `dns` and `connect` (and for `tls` where that is the way's own). None without such a way, or while its round
    trip is not known.
    """

    tunnel_ms: float | None = None
    dns_ms: float | None = None
    connect_ms: float | None = None
    tls_ms: float | None = None
    send_ms: float | None = None
    wait_ms: float | None = None
    receive_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """The outcome of one scheduled probe request.

    `total_ms` runs from the scheduled send to the last byte of the reply (so that a late send counts against it), or
    to the failure. `lateness_ms` is how late the send was. A timeout's true latency is unknown but at least `total_ms`.
    """

    target: str
    scheduled_at: float
    at: float
    total_ms: float
    lateness_ms: float = 0.0
    phases: Phases = Phases()
    reused: bool | None = None
    status: int | None = None
    error: ErrorKind | None = None
    error_text: str = ""
    first_token_ms: float | None = None
    model_version: str = ""
    reply_bytes: int = 0
    replica: str = ""
    """Who answered, where the reply names it."""
    has_nan: bool | None = None
    """True when a number is missing where one belongs (NaN, infinity, null); None when it holds no numbers."""
    through: str = ""
    """What it went through (`the API server's proxy`), empty for the direct way."""
    in_turn: bool = False
    """Sent to `replica` (a pod's key) alone, to compare it with its equals; none of the service's own requests."""

    @property
    def ok(self) -> bool:
        """True for a usable answer."""
        return self.error is None

    @property
    def own_ms(self) -> float:
        """The total without what a tunnel added to it: what a client beside the server would have waited."""
        return max(0.0, self.total_ms - (self.phases.tunnel_ms or 0.0))


@dataclass(frozen=True, slots=True)
class Quantile:
    """An estimated quantile with a distribution-free 95 % rank confidence interval.

    `value_ms` interpolates order statistics linearly (Hyndman and Fan 1996, type 7, NumPy's default). `low_ms` and
    `high_ms` are None when the sample is too small to bound the quantile from that side (p50 below 6 replies, p95 above
    below 72, p99 above below 368) or, for `high_ms`, when the bound falls among timeouts; `value_ms` must then be drawn
    as a range, not as a figure. `censored` is True when the quantile falls among timeouts: the truth is at least the
    value.
    """

    value_ms: float
    low_ms: float | None
    high_ms: float | None
    censored: bool = False

    @property
    def is_figure(self) -> bool:
        """True when the sample bounds the quantile from both sides and it isn't among timeouts."""
        return self.low_ms is not None and self.high_ms is not None and not self.censored


@dataclass(frozen=True, slots=True)
class LatencyWindow:
    """Replies of one target within a window (`window_s` None: since start).

    Quantiles are over answered and timed-out requests, a timeout counting as at least its limit; other failures are in
    `errors` by kind and in `error_rate`, not in the quantiles. The rates are shares of the requests that were sent:
    what never reached the server (`NOT_SENT`) is counted in `requests` and `errors`, but nobody's request failed by
    it. Without any answer the quantiles are None. `jitter` is p99 / p50. `tunnel_p99_ms` is of the tunnel's own share
    in each request (`Phases.tunnel_ms`).
    """

    window_s: float | None
    requests: int
    answered: int
    errors: tuple[tuple[ErrorKind, int], ...]
    error_rate: float | None
    timeout_rate: float | None
    p50: Quantile | None = None
    p95: Quantile | None = None
    p99: Quantile | None = None
    max_ms: float | None = None
    jitter: float | None = None
    reused_share: float | None = None
    median_phases: Phases = Phases()
    fresh_p50_ms: float | None = None
    reused_p50_ms: float | None = None
    first_token_p50: Quantile | None = None
    first_token_p99: Quantile | None = None
    lateness_p99_ms: float | None = None
    tunnel_p99_ms: float | None = None

    @property
    def unsent(self) -> int:
        """How many requests never reached the server."""
        return sum(count for kind, count in self.errors if kind in NOT_SENT)

    @property
    def timed(self) -> int:
        """How many replies the quantiles rest on: answers and timeouts."""
        return self.answered + sum(count for kind, count in self.errors if kind is ErrorKind.TIMEOUT)


@dataclass(frozen=True, slots=True)
class LatencyView:
    """All that is known of one probed target: windows from short to since start, and the last reply."""

    target: str
    windows: tuple[LatencyWindow, ...]
    last: Reply | None
    last_error: Reply | None
    recent: tuple[tuple[float, float | None], ...] = ()
    """The newest replies as (scheduled at, total ms; None where it failed), oldest first."""
    replies: tuple[Reply, ...] = ()
    """The newest replies themselves, in order of completion."""
    trace: SeriesView = field(default_factory=SeriesView)
    """All answers and timeouts since start (`Reply.own_ms`), as geometric means over spans of equal length."""

    @property
    def through(self) -> str:
        """What the newest request went through, empty for the direct way."""
        return self.last.through if self.last is not None else ""
