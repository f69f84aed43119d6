"""Just enough HTTP/1.1 to pass messages on unread: heads are looked at, bodies only measured."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

_CHUNK_BYTES = 64 * 1024
_BODILESS = (204, 304)


class HttpError(Exception):
    """The peer sent no HTTP/1.1 that can be framed."""


@dataclass(frozen=True, slots=True)
class Head:
    """A request's or a reply's first line and headers, as they came."""

    raw: bytes
    first: tuple[bytes, ...]
    length: int | None
    chunked: bool
    keep_alive: bool
    expects_continue: bool

    @property
    def status(self) -> int:
        """A reply's status."""
        return int(self.first[1])

    def has_body(self, method: bytes) -> bool:
        """True when a reply to `method` is followed by a body."""
        return method != b"HEAD" and self.status >= 200 and self.status not in _BODILESS


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head; None when the peer closed between messages.

    Raises:
        HttpError: It is malformed or too long.
        ConnectionError: The connection broke.
    """
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise HttpError("the peer closed within a message head") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise HttpError("a message head is too long") from error
    lines = raw[:-4].split(b"\r\n")
    first = tuple(lines[0].split(b" ", 2))
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    length = headers.get(b"content-length")
    if len(first) < 2 or (length is not None and not length.isdigit()):
        raise HttpError("a malformed message head")
    return Head(
        raw,
        first,
        None if length is None else int(length),
        headers.get(b"transfer-encoding", b"").lower() == b"chunked",
        headers.get(b"connection", b"").lower() != b"close" and b"HTTP/1.0" not in (first[0], first[-1]),
        headers.get(b"expect", b"").lower() == b"100-continue",
    )


async def read_body(reader: asyncio.StreamReader, head: Head, *, until_close: bool = False) -> bytes:
    """The whole body that belongs to `head`, framed as it came.

    Raises:
        HttpError: It ends too early or is malformed.
    """
    try:
        if head.chunked:
            return await _read_chunks(reader)
        if head.length is not None:
            return await reader.readexactly(head.length)
        return await reader.read() if until_close else b""
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise HttpError("the peer closed within a message body") from error


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";", 1)[0], 16)
        parts += [line, await reader.readexactly(size + 2)]
        if size == 0:
            return b"".join(parts)
