"""aiohttp's connector and protocol, which note when the bytes of a reply came in: before any task is woken for them.

Requests go straight to the connector, since a `ClientSession` needs more time for one than many a server: 0.4 ms of
CPU instead of 0.15. That is of weight when ten replies arrive at once. `connect`, `read` and `set_response_params` have
been aiohttp's own way from the session to its connections since 3.0, and go with 4.0.
"""

from __future__ import annotations

import functools
import time

import aiohttp
from aiohttp.client_proto import ResponseHandler

from checks.load_gen.fine_loop import FineLoop


class TimedHandler(ResponseHandler):
    """One connection. `used` is for its owner: False on a new one."""

    def __init__(self, loop: FineLoop) -> None:
        super().__init__(loop)
        self.used = False
        self.arrived = self.ready_since = 0.0
        """When the latest bytes were read, and the earliest moment at which they can have come (perf_counter)."""
        self._fine_loop = loop

    def data_received(self, data: bytes) -> None:
        """Notes the time, then parses. aiohttp calls it without data as well, to go on with what it has."""
        if data:
            self._note()
        super().data_received(data)

    def eof_received(self) -> None:
        """The end of a reply without a length."""
        self._note()
        super().eof_received()

    def _note(self) -> None:
        self.arrived = time.perf_counter()
        self.ready_since = self._fine_loop.ready_since


def _handler(loop: FineLoop) -> ResponseHandler:
    return TimedHandler(loop)


class TimedConnector(aiohttp.TCPConnector):
    """A pool of `TimedHandler` connections without a bound: who calls bounds how many are in flight."""

    def __init__(self, loop: FineLoop, idle_s: float | None) -> None:
        """Idle connections are kept for `idle_s` seconds; None closes each after its reply."""
        if idle_s is None:
            super().__init__(limit=0, force_close=True)
        else:
            super().__init__(limit=0, keepalive_timeout=idle_s)
        self._factory = functools.partial(_handler, loop)
