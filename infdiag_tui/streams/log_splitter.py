"""Bytes of a growing file in, text lines out, in bounded memory however long a line is."""

from __future__ import annotations

MAX_LINE_BYTES = 65_536
"""What is kept of one line's bytes while its end has not come; four bytes for each character that may be shown."""


class LineSplitter:
    """Cuts chunks into lines; the last, unfinished one is kept for the next chunk.

    Bytes that are no UTF-8 become U+FFFD. NUL bytes are dropped: they are the hole that a truncation leaves in a file
    whose writer did not append.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._cut_bytes = 0

    @property
    def holds(self) -> bool:
        """True while a line without its end is kept."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[tuple[str, int]]:
        """The lines that `data` completes, each with the number of bytes cut off its end."""
        if b"\0" in data:
            data = data.replace(b"\0", b"")
        first_end = data.find(b"\n")
        if first_end < 0:
            self._keep(data)
            return []
        last_end = data.rfind(b"\n")
        self._keep(data[:first_end])
        lines = [(self._rest.decode("utf-8", "replace"), self._cut_bytes)]
        if last_end > first_end:
            text = data[first_end + 1 : last_end].decode("utf-8", "replace")
            lines += [(line, 0) for line in text.split("\n")]
        self._rest, self._cut_bytes = bytearray(), 0
        self._keep(data[last_end + 1 :])
        return lines

    def flush(self) -> list[tuple[str, int]]:
        """The unfinished line, if any; what follows it counts as a new line."""
        if not self._rest:
            return []
        line = (self._rest.decode("utf-8", "replace"), self._cut_bytes)
        self._rest, self._cut_bytes = bytearray(), 0
        return [line]

    def _keep(self, data: bytes) -> None:
        room = MAX_LINE_BYTES - len(self._rest)
        self._rest += data[:room]
        self._cut_bytes += max(0, len(data) - room)
