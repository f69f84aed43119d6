"""Waits longer and longer between attempts to open a way that fails, and says meanwhile why it failed."""

from __future__ import annotations

import random
from collections.abc import Callable

from infdiag_tui.streams.reach.base import ReachError

_FIRST_S, _LONGEST_S = 0.5, 30.0


class Patience:
    """One way's failures in a row."""

    def __init__(self, monotonic: Callable[[], float], first_s: float = _FIRST_S) -> None:
        self._monotonic = monotonic
        self._first_s = first_s
        self._wait_s = first_s
        self._not_before = float("-inf")
        self._failure: ReachError | None = None

    def check(self) -> None:
        """Raises the last failure once more while it is too early for another attempt."""
        left_s = self._not_before - self._monotonic()
        if self._failure is not None and left_s > 0:
            again = f"{self._failure.reason}; next try in {max(1.0, left_s):.0f} s"
            raise ReachError(
                again, kind=self._failure.kind, remedy=self._failure.remedy, state=self._failure.state
            ) from self._failure

    def failed(self, failure: ReachError) -> None:
        """Notes a failure; waits spread by a quarter, so that many of these do not return as one."""
        wait_s = self._wait_s * random.uniform(0.75, 1.25)
        self._failure = failure
        self._not_before = self._monotonic() + max(wait_s, failure.retry_after_s or 0.0)
        self._wait_s = min(_LONGEST_S, 2 * self._wait_s)

    def succeeded(self) -> None:
        """Notes that the way is open."""
        self._failure = None
        self._wait_s = self._first_s
