"""The contract of a way to the model server, and how it fails."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from infdiag_tui.config import Via
from infdiag_tui.model import ErrorKind, SourceState
from infdiag_tui.servers.in_cluster import cluster_host
from infdiag_tui.streams.base import SourceError

if TYPE_CHECKING:
    import ssl

    import httpx

    from infdiag_tui.streams.reach.splice import Far

_ROUND_TRIPS, _LEAST_TRIPS = 7, 3


class ReachError(SourceError):
    """The way, or what stands at its end, failed before the model server could answer.

    `kind` is `TUNNEL` where the way itself failed, which says nothing about the model server; another kind is what a
    client in the cluster would have met as well.
    """

    def __init__(
        self,
        reason: str,
        *,
        kind: ErrorKind = ErrorKind.TUNNEL,
        remedy: str = "",
        state: SourceState = SourceState.UNAVAILABLE,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason, remedy=remedy, state=state, retry_after_s=retry_after_s)
        self.kind = kind

    @classmethod
    def of(cls, error: SourceError, kind: ErrorKind = ErrorKind.TUNNEL) -> ReachError:
        """Another source's failure as the way's."""
        return cls(error.reason, kind=kind, remedy=error.remedy, state=error.state, retry_after_s=error.retry_after_s)


class Reach(Protocol):
    """One way; opens nothing before its first use. Belongs to one event loop, and to all who are `going` it."""

    via: Via
    ends_tls: bool
    """True where TLS of a connection is the way's own, and not the model server's."""

    @property
    def name(self) -> str:
        """What it is called in sentences: `the API server's proxy`."""
        ...

    @property
    def round_trip_ms(self) -> float | None:
        """The usual time there and back through the way alone; None while it is not known."""
        ...

    def transport(
        self, tls: ssl.SSLContext | None, *, connections: int, keepalive_s: float
    ) -> httpx.AsyncBaseTransport:
        """Connections through the way for httpx; they raise `ReachError` for failures of the way."""
        ...

    async def measure(self) -> None:
        """Takes one round trip's time; a failure is no error here, the next request meets it."""
        ...

    def going(self) -> AbstractAsyncContextManager[Reach]:
        """Keeps the way open; the last one to leave closes it."""
        ...


@runtime_checkable
class ByteReach(Protocol):
    """A way that carries bytes, whatever they say."""

    async def far_end(self, host: str, port: int) -> Far:
        """The far end of a new connection; raises `ReachError`."""
        ...


class SharedWay:
    """Counts who goes a way, for ways that several streams share."""

    _goers = 0

    @asynccontextmanager
    async def going(self) -> AsyncIterator[Self]:
        """As `Reach.going`."""
        self._goers += 1
        try:
            yield self
        finally:
            self._goers -= 1
            if self._goers == 0:
                await self._close()

    async def _close(self) -> None:
        """Closes what is open; the way may be used again."""
        raise NotImplementedError


def going(reach: Reach | None) -> AbstractAsyncContextManager[Reach | None]:
    """The same for a way that may be the direct one."""
    return nullcontext() if reach is None else reach.going()


def leads_to(reach: Reach | None, host: str) -> bool:
    """Whether requests to this host go that way: through an SSH host all do, through the API server the cluster's."""
    return reach is not None and (not reach.via.in_cluster or cluster_host(host) is not None)


class RoundTrips:
    """The newest round trips and their median, which a single slow one does not move.

    One of the first alone would not do: they fall into the time at which everything starts and waits for everything.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._newest: deque[float] = deque(maxlen=_ROUND_TRIPS)

    def begin(self) -> float:
        """The moment to measure from (monotonic seconds)."""
        return self._monotonic()

    def ended(self, began: float) -> None:
        """Notes one that began at `began` and ends now."""
        self._newest.append((self._monotonic() - began) * 1e3)

    @property
    def lacking(self) -> int:
        """How many more it takes until there is a median."""
        return max(0, _LEAST_TRIPS - len(self._newest))

    @property
    def median_ms(self) -> float | None:
        """None while there are too few."""
        return None if self.lacking else statistics.median(self._newest)
