"""What a replica and the GPU it was given know of each other: a few numbers in a file that both map.

The lab writes how fast and how healthy the card is; the replica writes how long it kept it busy and what it holds.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

TOTAL_MIB = 24_576
RESERVED_MIB = 512

_FORMAT = struct.Struct("=d")
_SPEED, _FAULT, _FOREIGN_MIB, _BUSY_S, _USED_MIB = (8 * place for place in range(5))
_SIZE = 40


class DeviceFile:
    """One replica's share of one card."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes one of a card at full speed."""
        if not path.exists():
            path.write_bytes(_FORMAT.pack(1.0) + bytes(_SIZE - 8))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _SIZE)

    def _get(self, place: int) -> float:
        value: float = _FORMAT.unpack_from(self._map, place)[0]
        return value

    def _set(self, place: int, value: float) -> None:
        _FORMAT.pack_into(self._map, place, value)

    @property
    def speed(self) -> float:
        """The clock as a share of the highest."""
        return self._get(_SPEED)

    @speed.setter
    def speed(self, share: float) -> None:
        self._set(_SPEED, share)

    @property
    def fault(self) -> float:
        """0, or a number that rises with each fault of the card."""
        return self._get(_FAULT)

    @fault.setter
    def fault(self, number: float) -> None:
        self._set(_FAULT, number)

    @property
    def foreign_mib(self) -> float:
        """Memory that other processes hold on the card."""
        return self._get(_FOREIGN_MIB)

    @foreign_mib.setter
    def foreign_mib(self, mib: float) -> None:
        self._set(_FOREIGN_MIB, mib)

    @property
    def busy_s(self) -> float:
        """Seconds that the replica's kernels ran."""
        return self._get(_BUSY_S)

    @busy_s.setter
    def busy_s(self, seconds: float) -> None:
        self._set(_BUSY_S, seconds)

    @property
    def used_mib(self) -> float:
        """Memory that the replica holds on the card."""
        return self._get(_USED_MIB)

    @used_mib.setter
    def used_mib(self, mib: float) -> None:
        self._set(_USED_MIB, mib)

    def close(self) -> None:
        """Unmaps the file."""
        self._map.close()
