"""A series as it is handed on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SeriesView:
    """A series' points, oldest first. Older points are thinned: each stands for several and keeps their extremes.

    Points up to `history_until` (None without any) were not measured in this incident but told by `history_source`.
    """

    times: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    history_until: float | None = None
    history_source: str = ""

    @property
    def live(self) -> bool:
        """True when its newest point was measured in this incident."""
        return bool(self.times) and (self.history_until is None or self.times[-1] > self.history_until)
