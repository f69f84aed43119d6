"""How long the kernel kept this thread waiting for a core: on a busy machine that time looks like the server's."""

from __future__ import annotations

import os
from typing import NamedTuple

_SCHEDSTAT = "/proc/thread-self/schedstat"
_ENOUGH_BYTES = 128


class CoreWait(NamedTuple):
    """Since the thread began: seconds that it was ready to run and waiting, and how often it was given a core."""

    waited_s: float
    turns: int


class CoreWaits:
    """The kernel's account of the thread that makes this object (Documentation/scheduler/sched-stats.rst).

    Kept open, since a look into it after every wait must cost microseconds.
    """

    def __init__(self) -> None:
        try:
            self._file = os.open(_SCHEDSTAT, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    def so_far(self) -> CoreWait | None:
        """The account as it is now; None where the kernel keeps none."""
        if self._file < 0:
            return None
        try:
            _, waited_ns, turns = os.pread(self._file, _ENOUGH_BYTES, 0).split()
        except (OSError, ValueError):
            return None
        return CoreWait(int(waited_ns) / 1e9, int(turns))

    def close(self) -> None:
        """Closes the file; from then on there is no account."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def mean_wait_ms(before: CoreWait | None, after: CoreWait | None) -> float | None:
    """Mean wait for a turn between two accounts, in milliseconds; None where it is not known."""
    if before is None or after is None or after.turns <= before.turns:
        return None
    return (after.waited_s - before.waited_s) * 1e3 / (after.turns - before.turns)
