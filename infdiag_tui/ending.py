"""Ends the console on a signal or a terminal that is gone, in time, whatever the main thread hangs on."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

log = logging.getLogger(__name__)

END_WITHIN_S = 1.9
"""From the signal to the end of the process; operators and service managers are promised 2 s."""

SAVE_WITHIN_S = 1.2
LEAVE_WITHIN_S = 0.4

_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""The keys of the last two arrive as keys: as signals they come from elsewhere, or before the screen is up."""
_NEVER_MIND = b"\0"


class Ending:
    """While entered, a signal or a hung-up terminal saves, leaves the screen and ends the process.

    Textual blocks its event loop on a terminal that nobody reads, so nothing here relies on that loop: the signal
    handler only writes a byte, a thread that waits for it does the rest and ends the process itself.

    Args:
        save: saves and ends the engine within the seconds given; called on another thread.
        leave: asks the application to exit; must not block.
        restore: puts the terminal back without blocking, given a message and whether the application has left already.
        terminal_fd: the terminal whose hang-up is watched, None for none.
        exit_process: ends the process at once with an exit code.
    """

    def __init__(
        self,
        *,
        save: Callable[[float], bool],
        leave: Callable[[], None],
        restore: Callable[[str, bool], None],
        terminal_fd: int | None,
        exit_process: Callable[[int], None] = os._exit,
    ) -> None:
        self._save = save
        self._leave = leave
        self._restore = restore
        self._terminal_fd = terminal_fd
        self._exit_process = exit_process
        self._left = threading.Event()
        self._before: dict[int, Any] = {}
        self._thread = threading.Thread(target=self._wait, name="infdiag ending", daemon=True)

    def __enter__(self) -> Self:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._thread.start()
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left.set()
        self._tell(_NEVER_MIND)
        # If an end is under way the thread ends the process, and this join never returns.
        self._thread.join()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reader)
        os.close(self._writer)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._tell(bytes([number]))

    def _tell(self, byte: bytes) -> None:
        try:
            os.write(self._writer, byte)
        except BlockingIOError:
            log.debug("more signals than the pipe holds; the first is enough")

    def _wait(self) -> None:
        # tcsetattr from the background would stop the process instead of ending it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        watch = select.poll()
        watch.register(self._reader, select.POLLIN)
        if self._terminal_fd is not None:
            watch.register(self._terminal_fd, 0)  # no events asked for: hang-up and errors come anyway
        ready = dict(watch.poll())
        byte = os.read(self._reader, 1) if self._reader in ready else bytes([signal.SIGHUP])
        if byte != _NEVER_MIND:
            self._end(byte[0])

    def _end(self, number: int) -> None:
        deadline = time.monotonic() + END_WITHIN_S
        name = signal.Signals(number).name
        saved: list[bool] = []
        # Each on a thread of its own: whatever they hang on (a disk, a log handler on the stalled terminal) cannot
        # keep this one from ending the process.
        _within(SAVE_WITHIN_S + 0.1, lambda: saved.append(self._save(SAVE_WITHIN_S)))
        _within(0.1, self._leave)
        self._left.wait(min(LEAVE_WITHIN_S, max(0.0, deadline - time.monotonic())))
        outcome = "the report draft is saved" if saved == [True] else "the report draft may not be saved"
        _within(0.1, lambda: log.warning("ended by %s; %s", name, outcome))
        try:
            self._restore(f"infdiag ended by {name}; {outcome}.", self._left.is_set())
        finally:
            self._exit_process(128 + number)


def _within(timeout_s: float, step: Callable[[], object]) -> None:
    """Runs a step on a thread and waits for it no longer than `timeout_s`; a failure is logged there."""

    def guarded() -> None:
        try:
            step()
        except Exception:
            log.exception("a step on the way out failed")

    thread = threading.Thread(target=guarded, name="infdiag way out", daemon=True)
    thread.start()
    thread.join(timeout_s)
