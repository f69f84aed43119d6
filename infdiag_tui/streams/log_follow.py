"""One open log file: where reading stands, and whether the file is still the one that was read so far."""

from __future__ import annotations

import os
from pathlib import Path

from aiofiles.threadpool.binary import AsyncFileIO

from infdiag_tui.streams.log_io import FileCalls
from infdiag_tui.streams.log_splitter import LineSplitter

CHUNK_BYTES = 65_536
_MARK_BYTES = 64
_BLOCK_BYTES = 65_536
_MAX_BACK_BYTES = 64 * 1024 * 1024


class FollowedFile:
    """An open file with its read position.

    `head` is the file's first bytes and `tail` the last ones read: with them a file that was truncated and has grown
    again, or another file with the same inode, is told from the one that was read.
    """

    def __init__(self, path: Path, file: AsyncFileIO, calls: FileCalls) -> None:
        self.path = path
        self.offset = 0
        self.head = b""
        self.tail = b""
        self.splitter = LineSplitter()
        self._file = file
        self._calls = calls
        info = os.fstat(file.fileno())  # of an open descriptor: the kernel answers from memory
        self.identity = (info.st_dev, info.st_ino)
        self.mode = info.st_mode

    @classmethod
    async def open(cls, path: Path, calls: FileCalls) -> FollowedFile:
        """Opens `path` at its beginning.

        Raises:
            OSError: it can't be opened.
        """
        return cls(path, await calls.open(path), calls)

    async def read(self) -> bytes:
        """The next bytes, empty at the end of what is written so far."""
        data: bytes = await self._calls.wait(self._file.read(CHUNK_BYTES))
        if data:
            if len(self.head) < _MARK_BYTES and self.offset == len(self.head):
                self.head += data[: _MARK_BYTES - len(self.head)]
            self.offset += len(data)
            self.tail = (self.tail + data)[-_MARK_BYTES:]
        return data

    async def seek(self, offset: int) -> None:
        """Continues at `offset` bytes."""
        await self._calls.wait(self._file.seek(offset))
        self.offset = offset
        if not self.head and offset:
            self.head = await self.at(0, min(_MARK_BYTES, offset))
            self.tail = await self.at(max(0, offset - _MARK_BYTES), min(_MARK_BYTES, offset))

    async def at(self, offset: int, count: int) -> bytes:
        """`count` bytes at `offset`, without moving the read position."""
        return await self._calls.run(os.pread, self._file.fileno(), count, offset)

    async def stat(self) -> os.stat_result:
        """What the system says of the open file."""
        return await self._calls.run(os.fstat, self._file.fileno())

    async def size_bytes(self) -> int:
        """Its present size."""
        return (await self.stat()).st_size

    async def is_continued_by(self, size_bytes: int) -> bool:
        """False when a file of `size_bytes` can't be what was read so far: it is shorter or begins differently."""
        return size_bytes >= self.offset and await self.at(0, len(self.head)) == self.head

    async def continues(self, other: FollowedFile, size_bytes: int) -> bool:
        """True when this file holds all that was read of `other`, up to the last bytes, and so its rest."""
        if size_bytes < other.offset or await self.at(0, len(other.head)) != other.head:
            return False
        return await self.at(other.offset - len(other.tail), len(other.tail)) == other.tail

    async def start_of_last_lines(self, count: int, size_bytes: int) -> tuple[int, int]:
        """Where the last `count` lines begin, and how many lines there are from there on (at most `count`).

        At most 64 MiB are looked through; beyond that fewer lines are taken.
        """
        if count == 0:
            return size_bytes, 0
        end, found = size_bytes, 0
        floor = max(0, size_bytes - _MAX_BACK_BYTES)
        earliest = size_bytes
        while end > floor:
            start = max(floor, end - _BLOCK_BYTES)
            block = await self.at(start, end - start)
            position = len(block)
            if end == size_bytes and block.endswith(b"\n"):
                position -= 1
            while (position := block.rfind(b"\n", 0, position)) >= 0:
                found += 1
                earliest = start + position + 1
                if found == count:
                    return earliest, found
            end = start
        if floor == 0:
            return 0, found + (1 if size_bytes else 0)
        return earliest, found

    async def close(self) -> None:
        """Closes it."""
        await self._calls.wait(self._file.close())
