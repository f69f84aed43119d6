"""One run's output of a container, kept on disk as container runtimes keep it: time, stream, flag, text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from infdiag_tui.lab.times import nanoseconds_of, timestamp_ns

_CHUNK_BYTES = 256 * 1024


class Entry(NamedTuple):
    """One line with the time at which the runtime read it."""

    timestamp: bytes
    text: bytes


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What the log endpoint was asked for."""

    follow: bool = False
    tail_lines: int | None = None
    since_ns: int | None = None


class ContainerLog:
    """A log file with one writer and any number of readers that may wait for more."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._grown = asyncio.Event()
        self._last_ns = 0

    @property
    def closed(self) -> bool:
        """True once the run is over."""
        return self._file.closed

    def write(self, text: bytes, stream: str = "stdout") -> None:
        """Appends one line; times rise strictly, so that a reader can resume after one."""
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        self._file.write(b"%s %s F %s\n" % (timestamp_ns(self._last_ns).encode(), stream.encode(), text))
        self._wake()

    def close(self) -> None:
        """Ends the run; followers come to their end."""
        self._file.close()
        self._wake()

    def discard(self) -> None:
        """Removes the file, as the kubelet does with all runs but the last two."""
        self.path.unlink(missing_ok=True)

    async def read(self, query: LogQuery) -> AsyncIterator[list[Entry]]:
        """Entries in batches, oldest first: those there are, then, if asked to follow, those to come."""
        with self.path.open("rb") as file:
            grown, ended = self._grown, self.closed
            entries = [
                entry for entry in _entries(file.read()) if query.since_ns is None or _at(entry) >= query.since_ns
            ]
            if query.tail_lines is not None:
                entries = entries[-query.tail_lines :] if query.tail_lines else []
            yield entries
            while query.follow and not ended:
                await grown.wait()
                grown, ended = self._grown, self.closed
                while data := file.read(_CHUNK_BYTES):
                    # The writer appends whole lines only, but a chunk may end within one.
                    yield _entries(data if data.endswith(b"\n") else data + file.readline())

    def _wake(self) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


def _entries(data: bytes) -> list[Entry]:
    entries: list[Entry] = []
    for line in filter(None, data.split(b"\n")):
        moment, _stream, _flag, text = line.split(b" ", 3)
        entries.append(Entry(moment, text))
    return entries


def _at(entry: Entry) -> int:
    return nanoseconds_of(entry.timestamp.decode())
