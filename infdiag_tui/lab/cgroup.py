"""The files in which a container finds its own account: /sys/fs/cgroup, made from what its process really used."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from infdiag_tui.lab.quota import PERIOD_S, CpuQuota

INSIDE = "/sys/fs/cgroup"
"""Where a container finds them."""
_AVERAGE_S = 10.0
_MICROSECONDS = 1_000_000


@dataclass(slots=True)
class _Seen:
    at: float
    waited_s: float


class Cgroup:
    """One container's account, over all its runs."""

    def __init__(self, folder: Path, memory_limit_bytes: int) -> None:
        self._folder = folder / INSIDE.lstrip("/")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._memory_limit_bytes = memory_limit_bytes
        self._began = time.monotonic()
        self._seen: dict[int, _Seen] = {}
        self._pressure = 0.0
        self.quota = CpuQuota()
        self.oom_kills = 0

    def write(self, pid: int) -> None:
        """Brings the files up to date; those of a process that is gone stay as they are."""
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            resident_bytes = process.memory_info().rss
            self._feel_pressure(pid)
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            return
        user, system = (round(seconds * _MICROSECONDS) for seconds in (times.user, times.system))
        periods = max(self.quota.periods, int((time.monotonic() - self._began) / PERIOD_S))
        self._put(
            "cpu.stat",
            {
                "usage_usec": user + system,
                "user_usec": user,
                "system_usec": system,
                "nr_periods": periods,
                "nr_throttled": self.quota.throttled_periods,
                "throttled_usec": round(self.quota.throttled_s * _MICROSECONDS),
            },
        )
        events = {"low": 0, "high": 0, "max": self.oom_kills, "oom": self.oom_kills, "oom_kill": self.oom_kills}
        self._put("memory.events", events)
        self._put("memory.stat", {"anon": resident_bytes, "file": 0})
        (self._folder / "memory.current").write_text(f"{resident_bytes}\n")
        (self._folder / "memory.max").write_text(f"{self._memory_limit_bytes}\n")
        some = f"some avg10={100 * self._pressure:.2f} avg60=0.00 avg300=0.00 total=0\n"
        (self._folder / "cpu.pressure").write_text(some)

    def _put(self, name: str, values: dict[str, int]) -> None:
        (self._folder / name).write_text("".join(f"{key} {value}\n" for key, value in values.items()))

    def _feel_pressure(self, pid: int) -> None:
        """The share of time in which a thread waited for a core, averaged over 10 s as the kernel's PSI is."""
        now, waited_s = time.monotonic(), _run_delay_s(pid) + self.quota.throttled_s
        before = self._seen.get(pid)
        self._seen = {pid: _Seen(now, waited_s)}
        if before is None or now <= before.at:
            return
        elapsed_s = now - before.at
        share = min(1.0, max(0.0, waited_s - before.waited_s) / elapsed_s)
        self._pressure += (share - self._pressure) * (1 - math.exp(-elapsed_s / _AVERAGE_S))


def _run_delay_s(pid: int) -> float:
    """Seconds that the process's threads waited on a run queue (the second figure of `schedstat`, nanoseconds)."""
    total_ns = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            total_ns += int(path.read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError, IndexError):
            continue  # the thread has ended, or this kernel does not count
    return total_ns / 1e9
