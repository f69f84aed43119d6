"""What the kernel's CFS bandwidth controller does, for a process without a cgroup of its own.

In each period of 100 ms the process may use its quota of CPU time; then it is stopped until the next period begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

PERIOD_S = 0.1
_LOOK_S = 0.002


class CpuQuota:
    """Counts periods, those in which the process was stopped, and for how long; as `cpu.stat` does."""

    def __init__(self) -> None:
        self.periods = 0
        self.throttled_periods = 0
        self.throttled_s = 0.0

    async def enforce(self, pid: int, cores: float) -> None:
        """Keeps the process within that many cores until it is gone or this is cancelled, which lets it run free."""
        clock = process_clock(pid)
        quota_s = cores * PERIOD_S
        owed_s = 0.0
        try:
            while True:
                ends_at = time.monotonic() + PERIOD_S
                used_at_start = time.clock_gettime(clock)
                self.periods += 1
                # What was used beyond the quota before is taken from this period.
                allowed_s = quota_s - owed_s
                while (used_s := time.clock_gettime(clock) - used_at_start) < allowed_s:
                    left_s = ends_at - time.monotonic()
                    if left_s <= 0:
                        break
                    await asyncio.sleep(min(_LOOK_S, left_s))
                else:
                    await self._stop_until(pid, ends_at)
                owed_s = min(PERIOD_S, max(0.0, time.clock_gettime(clock) - used_at_start - allowed_s))
                del used_s
        except OSError:
            return  # the process is gone, and its clock with it
        finally:
            _signal(pid, signal.SIGCONT)

    async def _stop_until(self, pid: int, ends_at: float) -> None:
        stopped_at = time.monotonic()
        _signal(pid, signal.SIGSTOP)
        await asyncio.sleep(max(0.0, ends_at - stopped_at))
        _signal(pid, signal.SIGCONT)
        self.throttled_periods += 1
        self.throttled_s += time.monotonic() - stopped_at


def process_clock(pid: int) -> int:
    """The clock of another process's CPU time (the kernel's encoding of `clock_getcpuclockid`)."""
    return ~pid << 3 | 2


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
