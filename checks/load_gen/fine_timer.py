"""An event loop whose timers are good to some 0.1 ms, where asyncio's own round up to whole milliseconds."""

from __future__ import annotations

import asyncio
import select
import selectors


class _FineSelector(selectors.EpollSelector):
    """Waits for the epoll descriptor with select(2), which takes microseconds; epoll_wait takes milliseconds."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As the base class, with a finer timeout."""
        if timeout is not None and timeout > 0:
            select.select([self.fileno()], [], [], timeout)
            timeout = 0
        return super().select(timeout)


def new_loop() -> asyncio.AbstractEventLoop:
    """A fresh event loop (Linux): what asyncio's rounding adds to a send would be charged to the server."""
    return asyncio.SelectorEventLoop(_FineSelector())
