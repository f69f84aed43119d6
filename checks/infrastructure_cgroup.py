"""Reads a container's own account from its cgroup: CPU throttling, OOM kills of its processes, and pressure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from checks.base import CheckError, Remote

TIMEOUT_S = 20.0
_ROOT = "/sys/fs/cgroup"
FILES = (f"{_ROOT}/cpu.stat", f"{_ROOT}/memory.events", f"{_ROOT}/cpu.pressure", f"{_ROOT}/memory.pressure")
OLD_FILES = (f"{_ROOT}/cpu/cpu.stat", f"{_ROOT}/memory/memory.oom_control")
"""Where version 1 keeps the first two."""

_HEADER = re.compile(r"==> (\S+) <==")
_PRESSURE = re.compile(r"some avg10=([\d.]+)")


@dataclass(frozen=True, slots=True)
class Cgroup:
    """Counters since the container started; None where the kernel does not give them.

    `cpu_pressure` and `memory_pressure` are the share of the last 10 s in which something waited.
    """

    periods: int | None = None
    throttled_periods: int | None = None
    oom_kills: int | None = None
    cpu_pressure: float | None = None
    memory_pressure: float | None = None

    @property
    def throttled_share(self) -> float | None:
        """Share of the CFS periods in which the container ran into its CPU limit; None without a limit."""
        if not self.periods or self.throttled_periods is None:
            return None
        return self.throttled_periods / self.periods


async def read(remote: Remote) -> Cgroup:
    """The account of the container that `remote` leads to.

    Raises:
        CheckError: it cannot be entered, or has no `head`.
    """
    words = ("head", "-n", "30", *FILES, *OLD_FILES)
    code, stdout, _ = await remote.run(words, timeout_s=TIMEOUT_S)
    if code in (126, 127):
        raise CheckError(f"there is no program `head` {remote.where}, so its cgroup cannot be read")
    # Files that this kernel lacks are complained about and make the exit code 1; the others are there all the same.
    return parse(stdout.decode("utf-8", "replace"))


def parse(text: str) -> Cgroup:
    """The account from what `head` printed of the files."""
    parts = _HEADER.split(text)
    files = dict(zip(parts[1::2], parts[2::2], strict=True))

    def number(key: str, *paths: str) -> int | None:
        for path in paths:
            found = re.search(rf"^{key} (\d+)$", files.get(path, ""), re.MULTILINE)
            if found:
                return int(found[1])
        return None

    def pressure(path: str) -> float | None:
        found = _PRESSURE.search(files.get(path, ""))
        return float(found[1]) / 100 if found else None

    return Cgroup(
        periods=number("nr_periods", FILES[0], OLD_FILES[0]),
        throttled_periods=number("nr_throttled", FILES[0], OLD_FILES[0]),
        oom_kills=number("oom_kill", FILES[1], OLD_FILES[1]),
        cpu_pressure=pressure(FILES[2]),
        memory_pressure=pressure(FILES[3]),
    )
