"""File calls off the event loop, on one daemon thread per source, with a limit on how long each may take."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from aiofiles import threadpool
from aiofiles.threadpool.binary import AsyncFileIO

from infdiag_tui.streams.base import SourceError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Work = tuple["Future[Any]", Callable[[], Any]]

IO_TIMEOUT_S = 10.0


class LoneExecutor(Executor):
    """An executor for aiofiles with one daemon thread.

    The thread is a daemon because a call on a dead network mount never returns, and the program must still be able to
    end. It starts with the first call and ends at `shutdown`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[_Work | None] | None = None

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Runs the call after those submitted before."""
        if self._queue is None:
            self._queue = SimpleQueue()
            threading.Thread(target=_serve, args=(self._queue,), name=self._name, daemon=True).start()
        future: Future[_T] = Future()
        self._queue.put((future, lambda: fn(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - never waits
        """Lets the thread end after the calls submitted so far; a later call starts a new one."""
        if self._queue is not None:
            self._queue.put(None)
            self._queue = None


def _serve(queue: SimpleQueue[_Work | None]) -> None:
    while (work := queue.get()) is not None:
        future, call = work
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who decides
                future.set_exception(error)
        del work, future, call


class FileCalls:
    """Awaits file calls with a time limit.

    A call that exceeds it raises `SourceError`; calls after that queue behind it and fail likewise until it returns.
    """

    def __init__(self, name: str, timeout_s: float = IO_TIMEOUT_S) -> None:
        self.executor = LoneExecutor(f"infdiag {name}")
        self._name = name
        self._timeout_s = timeout_s
        self._hung = False

    async def wait(self, call: Awaitable[_T]) -> _T:
        """What `call` (an aiofiles call on `executor`) returns."""
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await call
        except TimeoutError:
            self._hung = True
            raise SourceError(
                f"{self._name}: reading has not returned for {self._timeout_s:.0f} s",
                remedy="the file system may hang (a network mount?): try `ls -l` on it; infdiag retries",
            ) from None
        self._hung = False
        return result

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What the blocking `function` returns, run on the thread."""
        return await self.wait(asyncio.wrap_future(self.executor.submit(function, *args, **kwargs)))

    async def open(self, path: Path) -> AsyncFileIO:
        """`path` opened for reading bytes, unbuffered and without waiting for the writer of a pipe.

        Raises:
            OSError: it can't be opened.
        """
        (file,) = await self.open_all(lambda: [open_raw(path)])
        return file

    async def open_all(self, opener: Callable[[], list[io.FileIO]]) -> list[AsyncFileIO]:
        """The files that the blocking `opener` opens."""
        opening = self.executor.submit(opener)
        try:
            raw = await self.wait(asyncio.wrap_future(opening))
        except BaseException:
            opening.add_done_callback(_close_late)  # cancelled meanwhile: nobody else will close them
            raise
        loop = asyncio.get_running_loop()
        return [threadpool.wrap(file, loop=loop, executor=self.executor) for file in raw]

    def close(self) -> None:
        """Ends the thread, unless a call hangs: then it stays, so that a retry does not start another."""
        if not self._hung:
            self.executor.shutdown()


def open_raw(path: Path) -> io.FileIO:
    """`path` opened for reading bytes. Blocks, but not for the writer of a pipe."""
    return io.FileIO(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK | os.O_CLOEXEC))


def _close_late(opening: Future[list[io.FileIO]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        for file in opening.result():
            file.close()
