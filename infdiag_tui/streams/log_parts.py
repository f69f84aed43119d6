"""Rotated parts of a log file: which there are, and the last lines of one, gzipped or not."""

from __future__ import annotations

import io
import os
import re
import stat
import zlib
from collections import deque
from pathlib import Path
from typing import NamedTuple

from infdiag_tui.streams.log_io import FileCalls, open_raw
from infdiag_tui.streams.log_splitter import LineSplitter

_SUFFIX = re.compile(
    r"[.-](?:\d{1,3}|\d{4}-?\d\d-?\d\d(?:[-_.T]?\d\d[-:]?\d\d(?:[-:]?\d\d)?)?(?:[.-]\d{1,10})?)(\.gz)?$"
)
_ATTEMPTS = 8
_CHUNK_BYTES = 262_144
_MAX_READ_BYTES = 512 * 1024 * 1024
_MAX_KEPT_CHARACTERS = 32 * 1024 * 1024


Identity = tuple[int, int]
"""Device and inode."""


class Part(NamedTuple):
    """A rotated part; `identity` is its device and inode."""

    path: Path
    identity: Identity
    size_bytes: int
    mtime_ns: int

    @property
    def gzipped(self) -> bool:
        """True for a compressed part, by its name."""
        return self.path.name.endswith(".gz")


def rotated_parts(path: Path) -> list[Part]:
    """The rotated parts beside `path` (symbolic links followed), oldest first.

    Known are FILE.1, FILE.1.gz, FILE-20260101(.gz), FILE.2026-01-01, the kubelet's FILE.20260101-120000(.gz) and
    STEM-20260101.EXT(.gz). Blocks.

    Raises:
        OSError: the folder can't be read.
    """
    real = Path(os.path.realpath(path))
    found = []
    with os.scandir(real.parent) as entries:
        for entry in entries:
            if entry.name == real.name or not _is_part(entry.name, real):
                continue
            try:
                info = entry.stat()
            except FileNotFoundError:
                continue  # rotated away between listing and looking
            if stat.S_ISREG(info.st_mode):
                identity = (info.st_dev, info.st_ino)
                found.append(Part(Path(entry.path), identity, info.st_size, info.st_mtime_ns))
    return sorted(found, key=lambda part: _age_key(part.path.name))


def open_between(path: Path, before: Identity, after: Identity) -> list[io.FileIO]:
    """Opens the parts that were rotated after the file `before` and before the file `after`, oldest first. Blocks.

    A writer may rotate once more while this looks; then it looks again. Compressed parts are not opened.

    Raises:
        OSError: the folder can't be read.
    """
    files: list[io.FileIO] = []
    for _ in range(_ATTEMPTS):
        for file in files:
            file.close()
        parts = rotated_parts(path)
        files = _open_parts(_between(parts, before, after))
        names = [(part.path, part.identity) for part in parts]
        if names == [(part.path, part.identity) for part in rotated_parts(path)]:
            break
    return files


def _between(parts: list[Part], before: Identity, after: Identity) -> list[Part]:
    order = [part.identity for part in parts]
    if before not in order:
        return []
    end = order.index(after) if after in order else len(order)
    return [part for part in parts[order.index(before) + 1 : end] if not part.gzipped]


def _open_parts(parts: list[Part]) -> list[io.FileIO]:
    files = []
    for part in parts:
        try:
            file = open_raw(part.path)
        except FileNotFoundError:
            continue  # renamed meanwhile, which the second listing shows
        info = os.fstat(file.fileno())
        if (info.st_dev, info.st_ino) == part.identity:
            files.append(file)
        else:
            file.close()
    return files


def _is_part(name: str, real: Path) -> bool:
    if name.startswith(real.name):
        return _SUFFIX.fullmatch(name, len(real.name)) is not None
    plain = name.removesuffix(".gz")
    if real.suffix and name.startswith(real.stem) and plain.endswith(real.suffix):
        return _SUFFIX.fullmatch(plain.removesuffix(real.suffix), len(real.stem)) is not None
    return False


def _age_key(name: str) -> tuple[int, int, str]:
    """Orders by the name, oldest first: dates go up, N of FILE.N goes down.

    Times of change would mislead: a writer that has not reopened its log still changes an older part.
    """
    digits = name.removesuffix(".gz").rpartition(".")[2]
    return (1, -int(digits), name) if digits.isdecimal() and len(digits) <= 3 else (0, 0, name)


async def last_lines(part: Part, count: int, calls: FileCalls) -> list[tuple[str, int]]:
    """The last `count` lines of a part with the bytes cut off each; memory stays bounded whatever it holds.

    Raises:
        OSError: it can't be read.
        zlib.error: it is no intact gzip file.
    """
    splitter, tail = LineSplitter(), _Tail(count)
    inflate = _Inflate() if part.gzipped else None
    file = await calls.open(part.path)
    try:
        if inflate is None:
            await calls.wait(file.seek(max(0, part.size_bytes - _MAX_READ_BYTES)))
        read = 0
        while read < _MAX_READ_BYTES and (data := await calls.wait(file.read(_CHUNK_BYTES))):
            pieces = [data] if inflate is None else inflate.start(data)
            while pieces:
                read += sum(map(len, pieces))
                for piece in pieces:
                    tail.extend(splitter.feed(piece))
                pieces = [] if inflate is None else await calls.run(inflate.more)
        tail.extend(splitter.flush())
    finally:
        await calls.wait(file.close())
    return tail.lines()


class _Inflate:
    """Decompresses gzip data, several members in a row as well, in bounded pieces."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._input = b""

    def start(self, data: bytes) -> list[bytes]:
        self._input += data
        return self.more()

    def more(self) -> list[bytes]:
        """The next pieces of what was put in, empty when all is out."""
        pieces: list[bytes] = []
        while self._input and not pieces:
            piece = self._member.decompress(self._input, _CHUNK_BYTES)
            self._input = self._member.unconsumed_tail
            if self._member.eof:
                self._input = self._member.unused_data.lstrip(b"\0")  # padding between members is allowed
                self._member = zlib.decompressobj(wbits=31)
            if piece:
                pieces.append(piece)
        return pieces


class _Tail:
    """The last lines, bounded in number and characters."""

    def __init__(self, count: int) -> None:
        self._lines: deque[tuple[str, int]] = deque()
        self._count = count
        self._characters = 0

    def extend(self, lines: list[tuple[str, int]]) -> None:
        for line in lines[-self._count :] if self._count else []:
            self._lines.append(line)
            self._characters += len(line[0])
            while len(self._lines) > self._count or self._characters > _MAX_KEPT_CHARACTERS:
                self._characters -= len(self._lines.popleft()[0])

    def lines(self) -> list[tuple[str, int]]:
        return list(self._lines)
