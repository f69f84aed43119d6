"""Dynamic batching: requests wait in a queue, one worker thread takes several of them to the model at a time."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from infdiag_tui.lab.server.metrics import Metrics
from infdiag_tui.lab.server.model import Array


class QueueFullError(Exception):
    """Too many requests wait already; `waiting` is how many."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} requests are waiting")
        self.waiting = waiting


@dataclass(frozen=True, slots=True)
class Executed:
    """What the model said to one request, how long that waited, and how long its batch took."""

    probabilities: Array
    queue_s: float
    inference_s: float


@dataclass(slots=True)
class _Waiting:
    features: Array
    future: asyncio.Future[Executed]
    since: float


class Batcher:
    """A queue before one worker. `max_batch` requests are taken together; the first waits `delay_s` for company."""

    def __init__(self, run: Callable[[Array], Array], metrics: Metrics, on_error: Callable[[Exception], None]) -> None:
        self.max_batch = 8
        self.delay_s = 0.002
        self.max_queue = 512
        self._run = run
        self._metrics = metrics
        self._on_error = on_error
        self._queue: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, features: Array) -> asyncio.Future[Executed]:
        """Queues the features of one request, shape (n, FEATURES).

        Raises:
            QueueFullError: There is no room.
        """
        with self._changed:
            if len(self._queue) >= self.max_queue:
                raise QueueFullError(len(self._queue))
            waiting = _Waiting(features, self._loop.create_future(), time.perf_counter())
            self._queue.append(waiting)
            self._metrics.queue_depth.inc()
            self._changed.notify()
        return waiting.future

    def close(self) -> None:
        """Ends the worker after its present batch."""
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _work(self) -> None:
        while batch := self._next_batch():
            started = time.perf_counter()
            self._metrics.batch_size.observe(len(batch))
            try:
                result = self._run(np.concatenate([one.features for one in batch]))
            except Exception as error:  # noqa: BLE001  # whatever it is belongs to those who wait for the batch
                self._on_error(error)
                self._tell(partial(_fail, batch, error))
                continue
            took_s = time.perf_counter() - started
            parts = np.split(result, np.cumsum([len(one.features) for one in batch])[:-1])
            executed = [Executed(part, started - one.since, took_s) for one, part in zip(batch, parts, strict=True)]
            self._tell(partial(_succeed, batch, executed))

    def _tell(self, work: Callable[[], object]) -> None:
        # The loop may have been closed while the batch ran.
        if not self._ended:
            self._loop.call_soon_threadsafe(work)

    def _next_batch(self) -> list[_Waiting]:
        with self._changed:
            while not self._queue and not self._ended:
                self._changed.wait()
            while self._queue and len(self._queue) < self.max_batch and not self._ended:
                left_s = self._queue[0].since + self.delay_s - time.perf_counter()
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            if self._ended:
                return []
            batch = [self._queue.popleft() for _ in range(min(self.max_batch, len(self._queue)))]
            self._metrics.queue_depth.dec(len(batch))
            return batch


def _succeed(batch: list[_Waiting], executed: list[Executed]) -> None:
    for one, done in zip(batch, executed, strict=True):
        if not one.future.done():
            one.future.set_result(done)


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.future.done():
            one.future.set_exception(error)
