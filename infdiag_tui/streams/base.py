"""The contract of a live source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from infdiag_tui.clock import Clock, SystemClock
from infdiag_tui.model import Observation, Pod, SourceState

if TYPE_CHECKING:
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


@dataclass(slots=True)
class StreamContext:
    """What every stream's builder is given besides its config.

    `roster` is the model's pods; the cluster's builder puts it there for those that are built after it, None without a
    cluster. `reach` is the way to the model server that they share (`reach_for` makes it), None for the direct one.
    """

    clock: Clock = field(default_factory=SystemClock)
    user_agent: str = "infdiag"
    roster: Roster | None = None
    reach: Reach | None = None
