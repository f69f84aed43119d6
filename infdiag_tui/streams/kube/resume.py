"""Which lines of a container's log have been read, so that a reopened log neither repeats nor loses one."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache

_NS = 1_000_000_000


@lru_cache(maxsize=1024)
def _second(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        return None


def stamp_ns(stamp: str) -> int | None:
    """Nanoseconds since 1970 of a runtime's RFC 3339 stamp with up to nine decimals; None if it is no such stamp."""
    if len(stamp) < 20 or stamp[10] != "T":
        return None
    fraction, zone = "", stamp[19:]
    if zone[0] == ".":
        length = 1
        while length < len(zone) and zone[length].isdigit():
            length += 1
        fraction, zone = zone[1:length], zone[length:]
    second = _second(stamp[:19] + zone) if zone else None
    return None if second is None else second * _NS + int(fraction.ljust(9, "0")[:9] or 0)


class ResumePoint:
    """Remembers the lines of the newest two seconds by time and content.

    The API resumes by whole seconds (`sinceTime` reaches the kubelet without its fraction), and lines of two output
    streams may stand slightly out of order or share one stamp, so that the last stamp alone is not enough.
    """

    def __init__(self) -> None:
        self._seconds: dict[int, Counter[tuple[int, int]]] = {}
        self._newest_second: int | None = None
        self.newest_ns: int | None = None

    @property
    def since(self) -> str | None:
        """The `sinceTime` to reopen with; None when nothing was read yet."""
        if self._newest_second is None:
            return None
        return datetime.fromtimestamp(self._newest_second - 1, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def note(self, at_ns: int, line: bytes) -> None:
        """Takes a line as read."""
        second = at_ns // _NS
        if self._newest_second is None or second > self._newest_second:
            self._newest_second = second
            for old in [known for known in self._seconds if known < second - 1]:
                del self._seconds[old]
        if self.newest_ns is None or at_ns > self.newest_ns:
            self.newest_ns = at_ns
        if second >= self._newest_second - 1:
            self._seconds.setdefault(second, Counter())[at_ns, hash(line)] += 1

    def replay(self) -> Replay:
        """A filter for the reply to a request with `since`."""
        seen: Counter[tuple[int, int]] = Counter()
        for counter in self._seconds.values():
            seen.update(counter)
        floor_ns = None if self._newest_second is None else (self._newest_second - 1) * _NS
        return Replay(self, seen, floor_ns, self.newest_ns)

    def copy(self) -> ResumePoint:
        """A point of its own at the same place."""
        twin = ResumePoint()
        twin._seconds = {second: counter.copy() for second, counter in self._seconds.items()}
        twin._newest_second, twin.newest_ns = self._newest_second, self.newest_ns
        return twin


class Replay:
    """Tells the lines of one reopened reply that were read before from those that are new, and notes the new ones."""

    def __init__(
        self,
        point: ResumePoint,
        seen: Counter[tuple[int, int]],
        floor_ns: int | None,
        newest_ns: int | None,
    ) -> None:
        self._point = point
        self._seen = seen
        self._left = seen.total()
        self._floor_ns = floor_ns
        self._newest_ns = newest_ns

    def is_news(self, at_ns: int, line: bytes) -> bool:
        """Whether a line is new; to be asked once for each line of the reply, in order."""
        if self._left and self._newest_ns is not None and self._floor_ns is not None:
            if at_ns > self._newest_ns:
                self._left = 0  # a log only grows at its end: all that follows is new
            elif at_ns < self._floor_ns:
                return False  # the server has ignored `sinceTime`
            elif self._seen[at_ns, hash(line)] > 0:
                self._seen[at_ns, hash(line)] -= 1
                self._left -= 1
                return False
        self._point.note(at_ns, line)
        return True
