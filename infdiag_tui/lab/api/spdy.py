"""SPDY/3.1 framing (specification: SPDY Protocol draft 3.1).

As far as kubectl's `exec` before 1.30 and its `port-forward` before 1.31 need it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 1
_VERSION = 3
_MAX_FRAME_BYTES = 1 << 20

# The preset dictionary of header compression (section 2.6.10.1): length-prefixed words, then one run of text.
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = (
    b"".join(struct.pack(">I", len(word)) + word.replace("_", " ").encode() for word in _WORDS.split()) + _TEXT.encode()
)


class SpdyError(Exception):
    """The peer broke the protocol."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame's head and what follows it. `kind` is None for data; then `stream` names its stream."""

    kind: int | None
    stream: int
    flags: int
    length: int

    @classmethod
    def head(cls, data: bytes) -> Frame:
        """Reads the eight bytes before a frame's payload.

        Raises:
            SpdyError: Another version, or a frame over 1 MiB.
        """
        first, second = struct.unpack(">II", data)
        flags, length = second >> 24, second & 0xFF_FFFF
        if length > _MAX_FRAME_BYTES:
            raise SpdyError(f"a frame of {length} bytes")
        if not first >> 31:
            return cls(None, first, flags, length)
        version, kind = (first >> 16) & 0x7FFF, first & 0xFFFF
        if version != _VERSION:
            raise SpdyError(f"SPDY version {version}")
        return cls(kind, 0, flags, length)


class Headers:
    """Header compression of one connection: one zlib stream in each direction."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def read(self, block: bytes) -> dict[str, str]:
        """The names and values of a compressed block.

        Raises:
            SpdyError: It is none.
        """
        try:
            data = self._inflate.decompress(block, _MAX_FRAME_BYTES)
            (count,) = struct.unpack_from(">I", data)
            texts: list[str] = []
            position = 4
            for _ in range(2 * count):
                (length,) = struct.unpack_from(">I", data, position)
                texts.append(data[position + 4 : position + 4 + length].decode("latin-1"))
                position += 4 + length
        except (zlib.error, struct.error) as error:
            raise SpdyError(f"an unreadable header block: {error}") from error
        return dict(zip(texts[::2], texts[1::2], strict=True))

    def empty(self) -> bytes:
        """A compressed block of no headers."""
        return self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    """A control frame."""
    return struct.pack(">II", 1 << 31 | _VERSION << 16 | kind, flags << 24 | len(payload)) + payload


def data_frame(stream: int, payload: bytes, flags: int = 0) -> bytes:
    """A data frame."""
    return struct.pack(">II", stream, flags << 24 | len(payload)) + payload
