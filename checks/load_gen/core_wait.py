"""How long the kernel kept this thread waiting for a core: on a busy machine that time looks like the server's."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

_SCHEDSTAT = Path("/proc/thread-self/schedstat")


class CoreWait(NamedTuple):
    """Since the thread began: seconds that it was ready to run and waiting, and how often it was given a core."""

    waited_s: float
    turns: int


def core_wait() -> CoreWait | None:
    """The kernel's account (Documentation/scheduler/sched-stats.rst); None where it keeps none."""
    try:
        _, waited_ns, turns = _SCHEDSTAT.read_text().split()
    except (OSError, ValueError):
        return None
    return CoreWait(int(waited_ns) / 1e9, int(turns))


def mean_wait_ms(before: CoreWait | None, after: CoreWait | None) -> float | None:
    """Mean wait for a turn between two accounts, in milliseconds; None where it is not known."""
    if before is None or after is None or after.turns <= before.turns:
        return None
    return (after.waited_s - before.waited_s) * 1e3 / (after.turns - before.turns)
