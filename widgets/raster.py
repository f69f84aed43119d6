"""Ranges of values by column as dots in character cells: braille, or one sign a cell in ASCII; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from widgets.scale import Range, Scale

_LEFT_DOTS = (0x40, 0x04, 0x02, 0x01)
_RIGHT_DOTS = (0x80, 0x20, 0x10, 0x08)
"""Braille dots of a cell's two columns, from the bottom up (Unicode block U+2800)."""
Cells = list[list[int]]
"""Per row from the top and cell from the left, the dots that are set: a braille bit pattern, or 1 in ASCII."""


@dataclass(frozen=True, slots=True)
class Raster:
    """A drawing area of `width` by `height` cells, each of 2 by 4 dots, or of one in ASCII."""

    width: int
    height: int
    ascii_only: bool = False

    @property
    def dots_x(self) -> int:
        """Dots of a cell from left to right."""
        return 1 if self.ascii_only else 2

    @property
    def dots_y(self) -> int:
        """Dots of a cell from bottom to top."""
        return 1 if self.ascii_only else 4

    @property
    def columns(self) -> int:
        """Columns of dots."""
        return self.width * self.dots_x

    @property
    def rows(self) -> int:
        """Rows of dots."""
        return self.height * self.dots_y

    def row_of(self, value: float, scale: Scale) -> int | None:
        """The row of cells, from the top, that a value falls on; None outside of the scale."""
        if not scale.low <= value <= scale.high:
            return None
        return self.height - 1 - scale.row(value, self.rows) // self.dots_y

    def dots(self, ranges: Sequence[Range | None], scale: Scale, *, area: bool = False, dotted: bool = False) -> Cells:
        """The dots of one range of values per column of dots: a line, or an area down to the foot."""
        grid = [[0] * self.width for _ in range(self.height)]
        before: tuple[int, int] | None = None
        for column, found in enumerate(ranges):
            if found is None:
                before = None
                continue
            low, high = scale.row(found[0], self.rows), scale.row(found[1], self.rows)
            first, last = low, high
            if area:
                first = 0
            elif before is not None:  # a steep line stays connected
                first, last = min(low, max(before[1], low)), max(high, min(before[0], high))
                first = min(first, before[1] + 1) if low > before[1] else first
                last = max(last, before[0] - 1) if high < before[0] else last
            before = (low, high)
            for dot in range(max(0, first), min(self.rows - 1, last) + 1):
                if dotted and (column + dot) % 2:  # every other dot along the line, level or steep
                    continue
                bit = 1 if self.ascii_only else (_LEFT_DOTS if column % 2 == 0 else _RIGHT_DOTS)[dot % 4]
                grid[self.height - 1 - dot // self.dots_y][column // self.dots_x] |= bit
        return grid


def braille(bits: int) -> str:
    """The sign with these dots."""
    return chr(0x2800 + bits)
