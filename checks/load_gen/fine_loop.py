"""An event loop with timers good to some 0.1 ms, which knows since when what it hands out may have been there."""

from __future__ import annotations

import asyncio
import select
import selectors
import time

from checks.load_gen.core_wait import CoreWait, CoreWaits

_FINE_BELOW_S = 0.002
_EARLY_S = 0.001
"""Waits above the former use epoll_wait, which counts milliseconds, and end at least this much too early."""


class _FineSelector(selectors.EpollSelector):
    """Its last stretch of waiting is select(2) on the epoll descriptor: microseconds, where epoll_wait rounds up."""

    def __init__(self) -> None:
        super().__init__()
        self.core_waits = CoreWaits()
        self.ready_since = self._looked = time.perf_counter()
        self._waited_s = 0.0

    def close(self) -> None:
        """As the base class."""
        self.core_waits.close()
        super().close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base class, with a finer timeout; it may return early and empty-handed, which event loops bear."""
        events = super().select(0)
        waits = not events and (timeout is None or timeout > 0)
        if waits:
            if timeout is None:
                events = super().select()
            elif timeout > _FINE_BELOW_S:
                events = super().select(timeout - _EARLY_S)
            else:
                select.select([self.fileno()], [], [], timeout)
                events = super().select(0)
        now = time.perf_counter()
        # Had it been there when last looked for, it would have been handed out then.
        self.ready_since = max(self._looked, now - self._waited_for_a_core_s()) if waits else self._looked
        self._looked = now
        return events

    def _waited_for_a_core_s(self) -> float:
        """How long this thread waited for a core since the last call: on waking up, mostly."""
        account = self.core_waits.so_far()
        if account is None:
            return 0.0
        before, self._waited_s = self._waited_s, account.waited_s
        return account.waited_s - before


class FineLoop(asyncio.SelectorEventLoop):
    """What asyncio's rounding of timers adds to a send would be charged to the server (Linux)."""

    def __init__(self) -> None:
        self._fine = _FineSelector()
        super().__init__(self._fine)

    @property
    def ready_since(self) -> float:
        """What is handled now has not been there before this moment (perf_counter seconds).

        While the loop works, replies wait in their sockets: they arrived somewhen between its last two looks at them,
        and the earlier is given. When it had nothing to do, the first arrival woke it, as soon as there was a core.
        """
        return self._fine.ready_since

    def core_wait(self) -> CoreWait | None:
        """How long and how often this thread waited for a core; None where the kernel does not tell."""
        return self._fine.core_waits.so_far()
