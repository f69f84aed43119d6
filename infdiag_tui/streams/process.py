"""The model server's process on this machine, with its workers: CPU, memory, threads, open files, restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

from infdiag_tui.config import ModelConfig
from infdiag_tui.model import Observation, ProcessState, Sample, SeriesKey
from infdiag_tui.streams.base import SourceError, Stream, StreamContext
from infdiag_tui.streams.process_find import Finder, finder_for
from infdiag_tui.streams.process_tree import Watcher
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.streams.troubles import Trouble, changes

READ_TIMEOUT_S = 10.0


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The process stream, when the config names a pid, a process name or a port."""
    finder = finder_for(config.host)
    return [ProcessStream(finder, config.host.interval_s, context)] if finder else []


class ProcessStream:
    """A `ProcessState` and its samples every `interval_s`, also while no such process runs.

    The count of restarts outlives failures of the stream.
    """

    name = "process"

    def __init__(self, finder: Finder, interval_s: float, context: StreamContext) -> None:
        self.stale_after_s = max(10.0, 3 * interval_s)
        self._interval_s = interval_s
        self._clock = context.clock
        self._watcher = Watcher(finder)
        self._thread = SoleThread("process", context.clock.monotonic)

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled; raises `SourceError` when the system's process table does not answer."""
        told: dict[str, Trouble] = {}
        try:
            while True:
                began = self._clock.monotonic()
                try:
                    reading = await self._thread.call(
                        lambda: self._watcher.read(self._clock.now(), self._clock.wall(), self._clock.monotonic()),
                        timeout_s=READ_TIMEOUT_S,
                    )
                except StuckCallError as stuck:
                    raise SourceError(
                        f"this machine's process table has not answered for {stuck.waited_s:.0f} s",
                        remedy="the machine is badly overloaded or its kernel hangs: look at dmesg",
                    ) from stuck
                for status in changes(told, reading.troubles, reading.state.at):
                    yield status
                told = reading.troubles
                yield reading.state
                for sample in samples(reading.state):
                    yield sample
                await asyncio.sleep(max(0.0, self._interval_s - (self._clock.monotonic() - began)))
        finally:
            self._thread.close()


def samples(state: ProcessState) -> Iterator[Sample]:
    """The figures of `state` that exist, as samples for charts."""
    figures: dict[str, float | None] = {
        "process.cpu_percent": state.cpu_percent,
        "process.rss_bytes": state.rss_bytes,
        "process.threads": state.threads,
        "process.open_files": state.open_files,
    }
    for metric, value in figures.items():
        if value is not None:
            yield Sample(SeriesKey(metric, state.key), float(value), state.at)
