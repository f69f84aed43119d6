"""Which arrangement of panels fits a terminal of a given size; pure."""

from __future__ import annotations

from enum import StrEnum

MIN_COLUMNS = 44
MIN_ROWS = 12
"""Below this nothing that could be read fits; the screen says so instead."""

GRID_COLUMNS = 100
GRID_ROWS = 30
WIDE_COLUMNS = 170
WIDE_ROWS = 44


class Arrangement(StrEnum):
    """How the panels are arranged."""

    TOO_SMALL = "too-small"
    SINGLE = "single"
    """One panel at a time under a tab bar."""
    GRID = "grid"
    """Four panels beside Findings and the report."""
    WIDE = "wide"
    """The same with GPU and Latency side by side, so that pods and log lines get more columns."""


def arrangement_for(columns: int, rows: int) -> Arrangement:
    """The arrangement for a terminal of `columns` by `rows`."""
    if columns < MIN_COLUMNS or rows < MIN_ROWS:
        return Arrangement.TOO_SMALL
    if columns < GRID_COLUMNS or rows < GRID_ROWS:
        return Arrangement.SINGLE
    if columns < WIDE_COLUMNS or rows < WIDE_ROWS:
        return Arrangement.GRID
    return Arrangement.WIDE


PLACES = {
    Arrangement.GRID: ("gpu", "findings", "pods", "latency", "report", "logs"),
    Arrangement.WIDE: ("gpu", "latency", "findings", "pods", "logs", "report"),
}
"""The order in which panels fill the grid's cells, row by row."""


def too_small_words(columns: int, rows: int) -> str:
    """What is shown instead of panels."""
    return (
        f"terminal too small ({columns}x{rows}); infdiag needs at least {MIN_COLUMNS}x{MIN_ROWS}. "
        "Make it larger: watching goes on meanwhile."
    )
