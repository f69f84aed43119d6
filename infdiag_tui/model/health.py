"""How a source fares, in the words that every panel and lamp uses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SourceState(StrEnum):
    """States of a source. `PAUSED` is the screen's alone: collecting goes on.

    `OFF` is a source that nobody asked for; it is drawn as such, never as a fault.
    """

    STARTING = "starting"
    LIVE = "live"
    STALE = "stale"
    DEGRADED = "degraded"
    FORBIDDEN = "forbidden"
    UNAVAILABLE = "unavailable"
    PAUSED = "paused"
    OFF = "off"


PROBLEM_STATES = frozenset(
    {SourceState.STALE, SourceState.DEGRADED, SourceState.FORBIDDEN, SourceState.UNAVAILABLE},
)


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source's state, why, since when, and what the operator can do.

    `last_data_at` is when the source was last known current (data or a heartbeat), None before the first. The state is
    `STALE` once that is more than `stale_after_s` ago. `retry_at` is when the supervisor tries again.
    """

    name: str
    state: SourceState
    since: float
    last_data_at: float | None = None
    reason: str = ""
    remedy: str = ""
    restarts: int = 0
    retry_at: float | None = None
    stale_after_s: float = 10.0

    def age_s(self, now: float) -> float | None:
        """Seconds since its data was last current, None before the first."""
        return None if self.last_data_at is None else max(0.0, now - self.last_data_at)
