"""The contract of a live source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from infdiag_tui.clock import Clock, SystemClock
from infdiag_tui.model import Observation, Pod, SourceState

if TYPE_CHECKING:
    from infdiag_tui.streams.kube.client import KubeClient
    from infdiag_tui.streams.reach.base import Reach


class SourceError(Exception):
    """A source cannot go on: why, and what the operator can do.

    The supervisor shows `state` and `reason`, waits (at least `retry_after_s` if given) and starts the stream again.
    `state` is `OFF` where there is nothing to watch and nobody said that there is.
    """

    def __init__(
        self,
        reason: str,
        *,
        remedy: str = "",
        state: SourceState = SourceState.UNAVAILABLE,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy
        self.state = state
        self.retry_after_s = retry_after_s


class Stream(Protocol):
    """A live source: an async iterator of observations with a name.

    `observe` may be called again after it failed; it then starts afresh without repeating what it already yielded
    (state that must outlive a failure, such as a read position, belongs to the object). It raises `SourceError` for a
    named failure and yields `Status` for what it can live with. When nothing changes it yields a `Heartbeat` at least
    every `stale_after_s`, and only if it really knows that its data is current. It cleans up when closed or cancelled
    and never blocks the loop.
    """

    name: str
    stale_after_s: float

    def observe(self) -> AsyncIterator[Observation]:
        """Yields until cancelled or failed."""
        ...


class Roster(Protocol):
    """The pods known at present, for streams that follow each of them."""

    def current(self) -> Mapping[str, Pod]:
        """Pods by key."""
        ...

    async def changed(self) -> None:
        """Returns after the next change."""
        ...


POD_WAIT_S = 5.0
"""How long a stream that is about the model's pods waits for them to be known."""


async def await_pods(roster: Roster | None, timeout_s: float = POD_WAIT_S) -> Mapping[str, Pod]:
    """The model's pods, once some are known or that time is over; none without a cluster."""
    if roster is None:
        return {}
    try:
        async with asyncio.timeout(timeout_s):
            while not roster.current():
                await roster.changed()
    except TimeoutError:
        pass
    return roster.current()


class BesidePlace(Protocol):
    """One place beside the model where a command can be run: a container of one of its pods, or its host."""

    @property
    def where(self) -> str:
        """What it is called, with its preposition."""
        ...

    @property
    def host(self) -> str:
        """The node or host, empty where unknown."""
        ...

    @property
    def pod(self) -> str:
        """The pod's key, empty on a host."""
        ...

    async def run(self, command: tuple[str, ...], *, timeout_s: float) -> tuple[int, bytes, bytes]:
        """Exit code, standard output and the end of standard error; a program that is not there is 127.

        Raises:
            SourceError: there is no way there, or the command did not end in time.
        """
        ...


class Beside(Protocol):
    """The ways beside the model. Who is given one has the operator's word that commands may be run."""

    def places(self) -> Sequence[BesidePlace]:
        """Where commands can be run at present.

        Raises:
            SourceError: nowhere; it says why.
        """
        ...

    async def aclose(self) -> None:
        """Closes what is open; it may be used again."""
        ...


@dataclass(slots=True)
class StreamContext:
    """What every stream's builder is given besides its config.

    `roster` is the model's pods and `cluster` the connection to where they are; the cluster's builder puts them there
    for those that are built after it, None without a cluster. `beside` is None without a way beside the model.
    `servers_tell` says whether the servers' own metrics are read at present, None where nobody reads them.
    `reach` is the way to the model server that its streams share (`reach_for` makes it), None for the direct one.
    """

    clock: Clock = field(default_factory=SystemClock)
    user_agent: str = "infdiag"
    roster: Roster | None = None
    cluster: KubeClient | None = None
    beside: Beside | None = None
    servers_tell: Callable[[], bool] | None = None
    reach: Reach | None = None
