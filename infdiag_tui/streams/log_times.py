"""Times as log lines state them, and the zone that lines without one are in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

_ZONE_STEP_S = 1800.0
_MAX_OFFSET_S = 14 * 3600.0
_FUTURE_S = 300.0
_CLOSE_S = 10.0
_OLDEST_S, _NEWEST_S = 946_684_800.0, 4_102_444_800.0  # the years 2000 to 2100


class Stamp(NamedTuple):
    """A time from a line: Unix seconds if `zoned`, else the wall clock's reading taken as if it were UTC."""

    seconds: float
    zoned: bool


def parse_iso(text: str) -> Stamp | None:
    """An ISO-like date and time (`T` or space, comma or point, slashes, optional zone); None if it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return _parse_loose(text)
    if moment.tzinfo is None:
        return Stamp(moment.replace(tzinfo=UTC).timestamp(), zoned=False)
    return Stamp(moment.timestamp(), zoned=True)


def _parse_loose(text: str) -> Stamp | None:
    normal = text.strip().replace("/", "-").replace(" UTC", "+00:00").replace(" +", "+").replace(" -", "-")
    head, point, fraction = normal.partition(".")
    if point and fraction.isdigit():
        normal = f"{head}.{fraction[:6]:0<6}"
    if normal == text:
        return None
    try:
        moment = datetime.fromisoformat(normal)
    except ValueError:
        return None
    return Stamp(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp(), zoned=moment.tzinfo is not None)


def parse_epoch(number: float) -> Stamp | None:
    """Unix time in seconds, milliseconds, microseconds or nanoseconds, told apart by size; None if it is no such."""
    if not math.isfinite(number):
        return None
    for scale in (1.0, 1e3, 1e6, 1e9):
        if _OLDEST_S <= number / scale <= _NEWEST_S:
            return Stamp(number / scale, zoned=True)
    return None


def parse_any(value: object) -> Stamp | None:
    """A time field of a structured line: ISO text, a number, or a number as text."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return parse_epoch(float(value))
    if not isinstance(value, str) or not 8 <= len(value) <= 40:
        return None
    stamp = parse_iso(value)
    if stamp is not None:
        return stamp if _OLDEST_S <= stamp.seconds <= _NEWEST_S else None
    try:
        return parse_epoch(float(value))
    except ValueError:
        return None


def parse_yearless(month: int, day: int, clock: str, near: float) -> Stamp | None:
    """A date without a year: the year is the one that brings it nearest to `near` (Unix seconds)."""
    year = datetime.fromtimestamp(near, UTC).year
    found = [
        stamp
        for candidate in (year - 1, year, year + 1)
        if (stamp := parse_iso(f"{candidate:04d}-{month:02d}-{day:02d} {clock}")) is not None
    ]
    return min(found, key=lambda stamp: abs(stamp.seconds - near), default=None)


def local_offset_s(wall_s: float) -> float:
    """Seconds that this machine's zone is ahead of UTC at about that time."""
    return float(time.localtime(wall_s).tm_gmtoff)


def utc_offset_s(_wall_s: float) -> float:
    """No offset: what containers use unless told otherwise."""
    return 0.0


class Zone:
    """Turns a source's stamps into Unix time.

    Most plain formats state no zone. `offset_s` gives the assumed one; `calibrate` replaces it by what a line whose
    moment of writing is known shows. A stamp that would lie in the future even so is not believed.
    """

    def __init__(self, offset_s: Callable[[float], float] = utc_offset_s) -> None:
        self._assumed = offset_s
        self._known_s: float | None = None

    @property
    def calibrated(self) -> bool:
        """True once the zone has been seen, not assumed."""
        return self._known_s is not None

    def calibrate(self, stamp: Stamp, written_at: float) -> None:
        """Learns the zone from a zoneless stamp of a line known to be written at `written_at`, if the two fit."""
        ahead_s = stamp.seconds - written_at
        offset_s = round(ahead_s / _ZONE_STEP_S) * _ZONE_STEP_S
        if not stamp.zoned and abs(offset_s) <= _MAX_OFFSET_S and abs(ahead_s - offset_s) <= _CLOSE_S:
            self._known_s = offset_s

    def unix_s(self, stamp: Stamp, received_at: float) -> float | None:
        """`stamp` as Unix seconds; None where it can't be true."""
        if stamp.zoned:
            at = stamp.seconds
        else:
            at = stamp.seconds - (self._assumed(stamp.seconds) if self._known_s is None else self._known_s)
        return at if at <= received_at + _FUTURE_S else None
