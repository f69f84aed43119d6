"""Time as a dependency: tests own it.

A machine's wall clock is set now and then: by NTP, by an operator, after a restore. Ages, windows and the order of
things that took their times from it would be wrong by as much, so that everything observed is dated by a clock that is
only read from the wall once and then goes on by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """When things are observed, how long they take, and what time others make of it."""

    def now(self) -> float:
        """Unix seconds (UTC) as of the start, carried on steadily: never set, so that differences are ages."""
        ...

    def wall(self) -> float:
        """Unix seconds (UTC) as the machine's clock has it, which may be set: to compare with what others date."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin, never stepping back, for schedules; may rest while the machine sleeps."""
        ...


class SteadyClock:
    """A clock read from `wall` once and carried on by `steady`.

    Args:
        wall: Unix seconds, which may step.
        steady: seconds from an arbitrary origin, which never step.
        origin: `wall` less `steady` at the start; by default of this moment.
    """

    def __init__(self, wall: Callable[[], float], steady: Callable[[], float], *, origin: float | None = None) -> None:
        self._wall = wall
        self._steady = steady
        self._origin = wall() - steady() if origin is None else origin

    def now(self) -> float:
        """Unix seconds (UTC), steady."""
        return self._origin + self._steady()

    def wall(self) -> float:
        """Unix seconds (UTC) by the wall clock."""
        return self._wall()

    def monotonic(self) -> float:
        """Seconds of the steady clock."""
        return self._steady()


# On Linux the one that goes on while the machine sleeps: what was observed before is as old as it is.
_STEADY_ID = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _steady() -> float:
    return time.clock_gettime(_STEADY_ID)


_ORIGIN = time.time() - _steady()
"""One for the whole process: whoever makes a clock later dates things alike."""


class SystemClock(SteadyClock):
    """The machine's clocks."""

    def __init__(self) -> None:
        super().__init__(time.time, _steady, origin=_ORIGIN)

    def monotonic(self) -> float:
        """Seconds of the monotonic clock, which asyncio's waits go by as well."""
        return time.monotonic()


SET_S = 2.0
"""A wall clock that is off by this much was set: NTP's daemons smooth away less than a second or so."""


def set_by_s(clock: Clock) -> float:
    """By how much the machine's clock was set since the start; what NTP corrects little by little is none of it.

    To a tenth of a second: what is computed from it is remembered for as long as it stays the same.
    """
    ahead_s = clock.wall() - clock.now()
    return round(ahead_s, 1) if abs(ahead_s) >= SET_S else 0.0


def steady_time(clock: Clock, dated: float) -> float:
    """When on `clock`'s own time that was which others date `dated` (Unix seconds): never after now.

    What they date can then be laid beside what was dated here, however this machine's clock was set meanwhile.
    """
    return min(clock.now(), dated - set_by_s(clock))


def utc_text(at: float) -> str:
    """`at` (Unix seconds) as `2026-01-31 03:04:05Z`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
