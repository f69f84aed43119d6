"""Follows one log file: its last lines first, then what is written, through rotation, truncation and absence."""

from __future__ import annotations

import asyncio
import os
import stat
import zlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

from infdiag_tui.clock import Clock
from infdiag_tui.model import Heartbeat, Observation, SourceState, Status
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.log_assembler import LineAssembler
from infdiag_tui.streams.log_follow import FollowedFile
from infdiag_tui.streams.log_formats import parse_line
from infdiag_tui.streams.log_io import FileCalls
from infdiag_tui.streams.log_parts import Part, last_lines, open_between, rotated_parts
from infdiag_tui.streams.log_times import Zone, local_offset_s
from infdiag_tui.streams.log_trouble import Trouble, explain, unsuitable
from infdiag_tui.text import one_line

_BATCH_LINES = 500
_HEARTBEAT_S = 1.0
_LINGER_S = 5.0
_ABSENT_S = 1.0
_WARN_S = 60.0
_PARTIAL_QUIETS = 2.0
_CALIBRATE_BYTES = 16_384
_CALIBRATE_TRIES = 20


class LogFileStream:
    """A log file as a live source.

    It is looked at every `poll_s` (which also works on network mounts, where change events do not). A rotated file is
    read to its end, and for some seconds more for writers that have not reopened it, before and beside its successor.
    An entry that may go on is given out after `quiet_s` without growth, a line without its end after twice that.
    """

    stale_after_s = 10.0

    def __init__(
        self, name: str, path: Path, backlog_lines: int, clock: Clock, *, poll_s: float = 0.25, quiet_s: float = 0.5
    ) -> None:
        self.name = f"logs:{name}"
        self.path = path
        self._backlog_lines = backlog_lines
        self._clock = clock
        self._poll_s = poll_s
        self._quiet_s = quiet_s
        self._calls = FileCalls(self.name)
        self._zone = Zone(local_offset_s)
        self._assembler = LineAssembler(name, zone=self._zone)
        self._files: list[FollowedFile] = []
        self._until: dict[FollowedFile, float] = {}
        """Rotated files and when (monotonic) to stop reading them."""
        self._left_off: list[FollowedFile] = []
        """The files that were being read when `observe` last ended; closed, but their positions count."""
        self._raw: deque[tuple[str, int, float]] = deque()
        self._ready: deque[Observation] = deque()
        self._begun = False
        self._said: Status | None = None
        self._absent_since: float | None = None
        self._grown_at = clock.monotonic()
        self._beat_at = float("-inf")
        self._calibrations = 0
        self._warned_until = float("inf")

    async def observe(self) -> AsyncIterator[Observation]:
        """Yields entries, heartbeats and words about the file until cancelled; continues where it left off."""
        self._said, self._beat_at = None, float("-inf")
        try:
            while True:
                await self._look()
                while True:
                    while self._ready:
                        yield self._ready.popleft()
                    if not await self._advance():
                        break
                await self._settle()
                while self._ready:
                    yield self._ready.popleft()
                await asyncio.sleep(self._poll_s)
        finally:
            await self._close()

    async def _advance(self) -> bool:
        """Takes the next batch of lines or the next chunk; False when all that is written has been read."""
        if self._raw:
            for _ in range(min(_BATCH_LINES, len(self._raw))):
                line, cut_bytes, received_at = self._raw.popleft()
                self._ready.extend(self._assembler.feed(line, received_at, cut_bytes=cut_bytes))
            await asyncio.sleep(0)
            return True
        for file in self._files:
            if await self._take(file):
                return True
        return False

    async def _take(self, file: FollowedFile) -> bool:
        try:
            data = await file.read()
        except OSError as error:
            raise SourceError(f"reading {self._shown} failed: {error.strerror}", remedy="infdiag retries") from error
        if not data:
            return False
        now = self._clock.now()
        self._raw.extend((line, cut_bytes, now) for line, cut_bytes in file.splitter.feed(data))
        self._grown_at = self._clock.monotonic()
        return True

    async def _look(self) -> None:
        """Compares what is at the path with what is being read, and opens, switches or rewinds accordingly."""
        try:
            info = await self._calls.run(os.stat, self.path)
        except FileNotFoundError:
            await self._miss()
            return
        except OSError as error:
            self._say(await self._calls.run(explain, self.path, error))
            return
        self._absent_since = None
        trouble = unsuitable(self.path, info)
        if trouble is not None:
            self._say(trouble)
            return
        current = self._files[-1] if self._files else None
        try:
            if current is None or current.identity != (info.st_dev, info.st_ino):
                await self._switch(current)
            elif not await current.is_continued_by(info.st_size):
                await self._rewind(current)
            await self._calibrate()
        except OSError as error:
            self._say(await self._calls.run(explain, self.path, error))
            return
        self._say(None)

    async def _miss(self) -> None:
        now = self._clock.monotonic()
        if self._absent_since is None:
            self._absent_since = now
        self._begun = True  # what appears from now on is new, from its first line
        if not self._files or now - self._absent_since >= _ABSENT_S:
            missing = FileNotFoundError()
            self._say(await self._calls.run(explain, self.path, missing, was_there=bool(self._files)))

    async def _switch(self, current: FollowedFile | None) -> None:
        """Opens what is at the path now; the file before it is read to its end first."""
        new = await FollowedFile.open(self.path, self._calls)
        try:
            await self._place(current, new)
        except BaseException:
            if new not in self._files:
                await self._shut(new)
            raise

    async def _place(self, current: FollowedFile | None, new: FollowedFile) -> None:
        if not stat.S_ISREG(new.mode) or (current is not None and new.identity == current.identity):
            await self._shut(new)  # it changed between looking and opening; the next look sees what it is
            return
        for older in self._left_off[:-1]:
            if not await self._reopen(older):
                self._flush_line(older)
        before = current or (self._left_off[-1] if self._left_off else None)
        if before is None:
            if not self._begun:
                await self._begin(new)
        elif (
            current is None and new.identity == before.identity and await new.continues(before, await new.size_bytes())
        ):
            new.splitter = before.splitter
            await new.seek(before.offset)
        else:
            await self._add_between(before, new, is_open=current is not None)
        if current is not None:
            self._until[current] = self._clock.monotonic() + _LINGER_S
        self._begun, self._left_off = True, []
        self._files.append(new)

    async def _begin(self, new: FollowedFile) -> None:
        """Goes back by the backlog, into the newest rotated part if the file itself has too few lines."""
        size_bytes = await new.size_bytes()
        start, lines = await new.start_of_last_lines(self._backlog_lines, size_bytes)
        await new.seek(start)
        wanted = self._backlog_lines - lines
        if wanted <= 0:
            return
        parts = [part for part in await self._parts() if part.identity != new.identity]
        if not parts:
            return
        now, newest = self._clock.now(), max(parts, key=lambda part: part.mtime_ns)
        try:
            older = await last_lines(newest, wanted, self._calls)
        except (OSError, zlib.error) as error:
            self._warn_of(f"the rotated part {newest.path.name} can't be read: {error}", "its lines are missing")
            return
        self._raw.extend((line, cut_bytes, now) for line, cut_bytes in older)

    async def _add_between(self, before: FollowedFile, new: FollowedFile, *, is_open: bool) -> None:
        """Adds what lies between the file read last and the new one: the rest of the former, parts in between."""
        if not is_open and not await self._reopen(before):
            self._flush_line(before)
            self._warn_of(
                f"{self._shown} was replaced while it was not read",
                "lines between may be missing here; look at its rotated parts",
            )
        try:
            opened = await self._calls.open_all(lambda: open_between(self.path, before.identity, new.identity))
        except OSError as error:
            self._warn_of(
                f"the folder of {self._shown} can't be listed: {error.strerror}", "rotated parts are not read"
            )
            return
        for file in opened:
            self._add_done(FollowedFile(self.path, file, self._calls))

    async def _reopen(self, before: FollowedFile) -> bool:
        """Goes on with a file that was renamed while it was not open; False if it isn't found."""
        for part in await self._parts():
            if part.identity == before.identity and (rest := await self._open_rest(part, before)) is not None:
                self._add_done(rest)
                return True
        return False

    def _add_done(self, file: FollowedFile) -> None:
        """Adds a file that nobody writes any more."""
        self._files.append(file)
        self._until[file] = self._clock.monotonic()

    async def _open_rest(self, part: Part, before: FollowedFile) -> FollowedFile | None:
        """Opens a part where reading `before` left off; None if it does not hold what was read of it."""
        try:
            file = await FollowedFile.open(part.path, self._calls)
        except OSError:
            return None  # gone or unreadable: the caller tells what is missing
        if await file.continues(before, await file.size_bytes()):
            await file.seek(before.offset)
            file.splitter = before.splitter
            return file
        await self._shut(file)
        return None

    async def _rewind(self, current: FollowedFile) -> None:
        """The file was truncated; if it was copied before, the unread rest is in the copy."""
        rest = None
        for part in reversed(await self._parts()):
            if part.gzipped or part.identity == current.identity or part.size_bytes < current.offset:
                continue
            rest = await self._open_rest(part, current)
            if rest is not None:
                break
        if rest is None:
            self._flush_line(current)
        else:
            self._files.insert(self._files.index(current), rest)
            self._until[rest] = self._clock.monotonic()
        fresh = await FollowedFile.open(self.path, self._calls)
        self._files[self._files.index(current)] = fresh
        await self._shut(current)

    async def _parts(self) -> list[Part]:
        try:
            return await self._calls.run(rotated_parts, self.path)
        except OSError as error:
            self._warn_of(
                f"the folder of {self._shown} can't be listed: {error.strerror}", "rotated parts are not read"
            )
            return []

    async def _calibrate(self) -> None:
        """Learns the zone of times without one: the newest line was written when the file last changed."""
        if self._zone.calibrated or self._calibrations >= _CALIBRATE_TRIES or not self._files:
            return
        current = self._files[-1]
        info = await current.stat()
        if not info.st_size:
            return
        self._calibrations += 1
        start = max(0, info.st_size - _CALIBRATE_BYTES)
        block = await current.at(start, info.st_size - start)
        for line in reversed(block.decode("utf-8", "replace").split("\n")[1 if start else 0 :]):
            stamp = parse_line(line, info.st_mtime).stamp
            if stamp is not None:
                self._zone.calibrate(stamp, info.st_mtime)
                return

    async def _settle(self) -> None:
        """All that is written has been read: gives out what was held, drops files that are done, tells it is alive."""
        now = self._clock.monotonic()
        for file in [file for file in self._files if now >= self._until.get(file, float("inf"))]:
            self._flush_line(file)
            self._files.remove(file)
            del self._until[file]
            await self._shut(file)
        quiet_s = now - self._grown_at
        if quiet_s >= self._quiet_s * _PARTIAL_QUIETS:
            for file in self._files:
                self._flush_line(file)
        while self._raw:
            line, cut_bytes, received_at = self._raw.popleft()
            self._ready.extend(self._assembler.feed(line, received_at, cut_bytes=cut_bytes))
        if quiet_s >= self._quiet_s:
            self._ready.extend(self._assembler.flush())
        if now >= self._warned_until:
            self._warned_until = float("inf")
            self._ready.append(Status(SourceState.LIVE, self._clock.now(), aspect="rotation"))
        if self._said is not None and self._said.state is SourceState.LIVE and now - self._beat_at >= _HEARTBEAT_S:
            self._beat_at = now
            self._ready.append(Heartbeat(self._clock.now()))

    def _flush_line(self, file: FollowedFile) -> None:
        now = self._clock.now()
        self._raw.extend((line, cut_bytes, now) for line, cut_bytes in file.splitter.flush())

    def _say(self, trouble: Trouble | None) -> None:
        """Tells the file's state if it is not what was told last."""
        state = SourceState.LIVE if trouble is None else trouble.state
        reason = "" if trouble is None else trouble.reason
        if self._said is None or (self._said.state, self._said.reason) != (state, reason):
            self._said = Status(state, self._clock.now(), reason, "" if trouble is None else trouble.remedy)
            self._ready.append(self._said)

    def _warn_of(self, reason: str, remedy: str) -> None:
        self._warned_until = self._clock.monotonic() + _WARN_S
        self._ready.append(Status(SourceState.DEGRADED, self._clock.now(), one_line(reason), remedy, aspect="rotation"))

    @property
    def _shown(self) -> str:
        return one_line(str(self.path))

    async def _shut(self, file: FollowedFile) -> None:
        with suppress(OSError, SourceError):  # nothing was written: a failing close loses nothing
            await file.close()

    async def _close(self) -> None:
        files, self._files = self._files, []
        self._left_off = files or self._left_off
        for file in files:
            await self._shut(file)
        self._until.clear()
        self._calls.close()
