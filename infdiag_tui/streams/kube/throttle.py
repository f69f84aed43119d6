"""When an API server that said "not now" may be asked again: one memory for all streams that share a connection."""

from __future__ import annotations

import asyncio
import random

from infdiag_tui.clock import Clock
from infdiag_tui.streams.kube.errors import HTTP_TOO_MANY, Access
from infdiag_tui.streams.kube.pace import Pace

_EVERYTHING = ""


class Throttle:
    """Holds requests back.

    A 429 (priority and fairness: this user's share is used up) holds back everything, a 5xx its own kind of request
    alone, for aggregated APIs such as metrics-server's fail by themselves. The pause is that of the Retry-After, and at
    least one that doubles with each failure in a row, since servers say 1 s however often they say it. Each waiter
    comes back up to a tenth later, lest all come at once.
    """

    def __init__(self, clock: Clock, pace: Pace) -> None:
        self._clock = clock
        self._pace = pace
        self._until: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    async def passed(self, access: Access) -> None:
        """Returns when a request of this kind may be sent."""
        while (wait_s := self.wait_s(access)) > 0:  # noqa: ASYNC110 - a time, which a further refusal may put off
            await asyncio.sleep(wait_s * random.uniform(1.0, 1.1))

    def wait_s(self, access: Access) -> float:
        """How long a request of this kind has to wait, seconds."""
        until = max(self._until.get(_EVERYTHING, 0.0), self._until.get(_kind(access), 0.0))
        return max(0.0, until - self._clock.monotonic())

    def refused(self, access: Access, status: int, retry_after_s: float | None) -> None:
        """Takes note of a refusal; of those that do not mean "later" there is nothing to note."""
        if status < 500 and status != HTTP_TOO_MANY:
            return
        if status >= 500 and retry_after_s is None and "/" in access.resource:
            return  # one pod's kubelet does not answer for its log: nothing that concerns other pods
        key = _EVERYTHING if status == HTTP_TOO_MANY else _kind(access)
        pace = self._pace
        self._failures[key] = failures = self._failures.get(key, 0) + 1
        doubled = min(pace.backoff_most_s, pace.backoff_first_s * 2.0 ** min(failures - 1, 16))
        pause_s = max(doubled, min(pace.retry_after_most_s, retry_after_s or 0.0))
        self._until[key] = max(self._until.get(key, 0.0), self._clock.monotonic() + pause_s)

    def answered(self, access: Access) -> None:
        """A request of this kind was served: the next failure is the first again."""
        if self._failures:
            self._failures.pop(_EVERYTHING, None)
            self._failures.pop(_kind(access), None)


def _kind(access: Access) -> str:
    return f"{access.verb} {access.resource} {access.group}"
