"""The container's view of paths: what a command inside names from its root lies in the pod's folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Protocol

INSIDE = (b"/sys/fs/cgroup", b"/models")
"""Folders that a container has of its own."""


class _Channels(Protocol):
    def stdin(self) -> AsyncIterator[bytes]: ...

    async def send(self, stream: str, data: bytes) -> None: ...


def outward(words: Sequence[str], folder: Path) -> list[str]:
    """A command's words with the container's own folders as they lie outside."""
    found = []
    for word in words:
        encoded = word.encode()
        for inside in INSIDE:
            encoded = encoded.replace(inside, _outside(folder, inside))
        found.append(encoded.decode())
    return found


class RootedChannels:
    """Passes a command's output on with paths as they are inside the container."""

    def __init__(self, channels: _Channels, folder: Path) -> None:
        self._channels = channels
        self._root = str(folder).encode() + b"/"
        self._kept: dict[str, bytes] = {}

    def stdin(self) -> AsyncIterator[bytes]:
        """What the client types."""
        return self._channels.stdin()

    async def send(self, stream: str, data: bytes) -> None:
        """Sends output on; the beginning of what may become a path is kept back until the rest is there."""
        data = (self._kept.pop(stream, b"") + data).replace(self._root, b"/")
        kept = _beginning_at_end(data, self._root)
        if kept:
            self._kept[stream] = data[-kept:]
            data = data[:-kept]
        if data:
            await self._channels.send(stream, data)

    async def flush(self) -> None:
        """Sends what was kept back."""
        for stream, data in self._kept.items():
            await self._channels.send(stream, data)
        self._kept.clear()


def _outside(folder: Path, inside: bytes) -> bytes:
    return str(folder).encode() + inside


def _beginning_at_end(data: bytes, wanted: bytes) -> int:
    """How many bytes at the end of `data` are a beginning of `wanted`."""
    for length in range(min(len(wanted) - 1, len(data)), 0, -1):
        if data.endswith(wanted[:length]):
            return length
    return 0
