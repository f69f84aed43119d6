"""Blocking calls on one dedicated thread, so that a call that hangs costs one thread and a clear word, never more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


class StuckCallError(Exception):
    """A blocking call did not return in time; it may still be running on its thread."""

    def __init__(self, what: str, waited_s: float) -> None:
        super().__init__(f"{what}: a call has not returned for {waited_s:.0f} s")
        self.what = what
        self.waited_s = waited_s


@dataclass(slots=True, eq=False)
class _Job:
    function: Callable[[], Any]
    submitted_at: float
    outcome: Future[Any] = field(default_factory=Future)
    known_stuck: bool = False

    def run(self) -> None:
        try:
            self.outcome.set_result(self.function())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, who decides
            self.outcome.set_exception(error)


class SoleThread:
    """Runs blocking calls one after another on one daemon thread of its own.

    While a call hangs, further calls fail at once with `StuckCallError` instead of starting a second thread; once it
    returns (its result is dropped), calls work again. The thread is a daemon because nothing can end a call that hangs
    inside a driver or on a dead network mount, and the program must still be able to exit. All methods are to be used
    from one event loop's thread at a time.
    """

    def __init__(self, name: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._monotonic = monotonic
        self._queue: SimpleQueue[_Job | None] | None = None
        self._last: _Job | None = None

    @property
    def stuck_for_s(self) -> float | None:
        """For how long the call that is known to hang has been running; None when none does."""
        job = self._last
        if job is None or not job.known_stuck or job.outcome.done():
            return None
        return self._monotonic() - job.submitted_at

    async def call(self, function: Callable[[], _T], *, timeout_s: float) -> _T:
        """What `function` returns (or raises), run on the thread.

        Raises:
            StuckCallError: it did not return within `timeout_s`, or an earlier call still hasn't.
        """
        await self._settle(self._last, timeout_s)
        if self._queue is None:
            self._queue = SimpleQueue()
            threading.Thread(target=_serve, args=(self._queue,), name=self.name, daemon=True).start()
        job = self._submit(self._queue, function)
        await self._settle(job, timeout_s)
        result: _T = job.outcome.result()
        return result

    def close(self, last: Callable[[], object] | None = None) -> None:
        """Ends the thread once the call under way has returned, after running `last` on it; does not wait.

        A later `call` starts a new thread, but only after `last` has returned.
        """
        if self._queue is None:
            return
        if last is not None:
            self._submit(self._queue, last).outcome.add_done_callback(_report_failure)
        self._queue.put(None)
        self._queue = None

    def _submit(self, queue: SimpleQueue[_Job | None], function: Callable[[], object]) -> _Job:
        stuck = self.stuck_for_s is not None
        job = _Job(function, self._monotonic() if self._last is None or not stuck else self._last.submitted_at)
        job.known_stuck = stuck  # what stands behind a call that hangs hangs as well
        self._last = job
        queue.put(job)
        return job

    async def _settle(self, job: _Job | None, timeout_s: float) -> None:
        """Returns once `job` is done; raises if that takes too long or is known to."""
        if job is None or job.outcome.done():
            return
        if not job.known_stuck:
            loop, done = asyncio.get_running_loop(), asyncio.Event()
            job.outcome.add_done_callback(lambda _: _tell(loop, done))
            with contextlib.suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes just as the call returns.
                async with asyncio.timeout(timeout_s):
                    await done.wait()
            if job.outcome.done():
                return
            job.known_stuck = True
        raise StuckCallError(self.name, self._monotonic() - job.submitted_at)


def _serve(queue: SimpleQueue[_Job | None]) -> None:
    while (job := queue.get()) is not None:
        job.run()
        del job  # an idle thread keeps neither the function nor its result alive


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed while the call hung: nobody waits any more
        loop.call_soon_threadsafe(event.set)


def _report_failure(outcome: Future[Any]) -> None:
    error = outcome.exception()
    if error is not None:
        _log.error("closing a thread failed", exc_info=error)
