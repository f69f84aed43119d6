"""Measuring a process together with its children, and noticing when another one took its place."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import psutil

from infdiag_tui.model import ProcessState, SourceState
from infdiag_tui.streams.process_find import Finder, Found, Missing, is_running, name_of
from infdiag_tui.streams.troubles import Trouble

_RECHECK_S = 5.0
"""How often a living process is asked whether it still is what was looked for: finding out costs more than reading."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the process: its state, and troubles by aspect (empty: the stream as a whole)."""

    state: ProcessState
    troubles: dict[str, Trouble] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over a process and its children; `open_files` is None as soon as one of them can't be counted.

    psutil's processes are the same as long as pid and start are, the latter however the machine's clock is set.
    """

    cpu_seconds: dict[psutil.Process, float]
    rss_bytes: int
    threads: int
    open_files: int | None


class Watcher:
    """Follows one looked-for process over time. All methods block and belong on one thread."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._found: Found | None = None
        self._identity: psutil.Process | None = None
        self._started_at: float | None = None
        self._restarts = 0
        self._before: tuple[float, Figures] | None = None
        self._checked_at = 0.0

    def read(self, at: float, wall: float, monotonic_s: float) -> Reading:
        """The process as of now, found again where it has to be.

        Args:
            at: the moment, Unix seconds of a clock that is never set.
            wall: the moment by the machine's clock, which dates the starts of processes.
            monotonic_s: the moment for what takes how long.
        """
        found = self._current(at, wall, monotonic_s)
        if isinstance(found, Missing):
            return self._absent(at, found)
        try:
            return self._measure(found, at, monotonic_s)
        except psutil.NoSuchProcess:  # it ended while it was being read
            self._found = None
            return self._absent(at, self._ended())
        except psutil.AccessDenied:
            return self._absent(at, self._hidden(found.process.pid))

    def _current(self, at: float, wall: float, monotonic_s: float) -> Found | Missing:
        if self._found is not None and is_running(self._found.process):
            if monotonic_s - self._checked_at < _RECHECK_S:
                return self._found
            if self._finder.still_it([self._found.process, *_children(self._found.process)]):
                self._checked_at = monotonic_s
                return self._found
        self._found = None
        found = self._finder.find()
        if isinstance(found, Missing):
            return found
        if found.process != self._identity:
            try:
                started = found.process.create_time()
            except psutil.Error:
                return self._ended()
            self._restarts += self._identity is not None
            self._identity = found.process
            # Of now: the machine's clock may be set later on.
            self._started_at = at - max(0.0, wall - started)
            self._before = None
        self._found, self._checked_at = found, monotonic_s
        return found

    def _ended(self) -> Missing:
        return Missing(f"the process ({self._finder.looked_for}) ended just now", "see its log for why it ended")

    def _hidden(self, pid: int) -> Missing:
        return Missing(
            f"this user may not look at pid {pid} ({self._finder.looked_for})",
            "run infdiag as the server's user or with sudo",
            SourceState.FORBIDDEN,
        )

    def _absent(self, at: float, missing: Missing) -> Reading:
        self._before = None
        state = ProcessState(at=at, looked_for=self._finder.looked_for, pid=None, restarts=self._restarts)
        return Reading(state, {"": Trouble(missing.state, missing.reason, missing.remedy)})

    def _measure(self, found: Found, at: float, monotonic_s: float) -> Reading:
        process = found.process
        tree = [process, *_children(process)]
        figures = measure(tree)
        cpu_percent = None
        if self._before is not None and monotonic_s > self._before[0]:
            spent_s = cpu_spent(self._before[1].cpu_seconds, figures.cpu_seconds)
            cpu_percent = 100.0 * spent_s / (monotonic_s - self._before[0])
        self._before = (monotonic_s, figures)
        state = ProcessState(
            at=at,
            looked_for=self._finder.looked_for,
            pid=process.pid,
            name=name_of(process),
            running=True,
            cpu_percent=cpu_percent,
            rss_bytes=figures.rss_bytes,
            threads=figures.threads,
            open_files=figures.open_files,
            started_at=self._started_at,
            children=len(figures.cpu_seconds) - 1,
            restarts=self._restarts,
        )
        troubles: dict[str, Trouble] = {}
        if found.note:
            troubles["choice"] = Trouble(SourceState.DEGRADED, found.note, found.remedy)
        if figures.open_files is None:
            troubles["open files"] = Trouble(
                SourceState.DEGRADED,
                f"this user may not count the open files of pid {process.pid}",
                "run infdiag as the server's user or with sudo to see them",
            )
        return Reading(state, troubles)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.AccessDenied:
        return []


def measure(tree: Sequence[psutil.Process]) -> Figures:
    """Sums over `tree`, whose first is the process itself; children that end meanwhile are left out.

    Memory that forked workers share counts once for each of them, as RSS does.

    Raises:
        psutil.NoSuchProcess: the first has ended.
        psutil.AccessDenied: this user may not look at the first.
    """
    cpu_seconds: dict[psutil.Process, float] = {}
    rss_bytes = threads = 0
    open_files: int | None = 0
    for position, process in enumerate(tree):
        try:
            with process.oneshot():
                times, memory = process.cpu_times(), process.memory_info()
                count = process.num_threads()
                files = _open_files(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # a zombie counts as the former
            if position == 0:
                raise
            continue
        cpu_seconds[process] = times.user + times.system
        rss_bytes += memory.rss
        threads += count
        open_files = None if files is None or open_files is None else open_files + files
    return Figures(cpu_seconds, rss_bytes, threads, open_files)


def _open_files(process: psutil.Process) -> int | None:
    try:
        return int(process.num_fds())
    except psutil.AccessDenied:
        return None


def cpu_spent(before: Mapping[Key, float], now: Mapping[Key, float]) -> float:
    """CPU seconds spent between two readings; a child that appeared counts from its second reading on.

    What a child spent in its last moments before it ended is not known.
    """
    return sum(max(0.0, seconds - before[key]) for key, seconds in now.items() if key in before)
