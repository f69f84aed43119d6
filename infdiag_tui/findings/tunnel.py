"""What the way to a model server adds to the times that were measured through it."""

from __future__ import annotations

from dataclasses import dataclass

from infdiag_tui.model import LatencyWindow


@dataclass(frozen=True, slots=True)
class TunnelShare:
    """Milliseconds of a quantile that are the way's own, at most; None when not known. `words` go into a sentence."""

    ms: float | None
    words: str


def share_of_tunnel(through: str, quantile: str, window: LatencyWindow) -> TunnelShare:
    """The way's share in `p50`, `p95` or `p99` of a window.

    For the median that of a usual request. For the tail the way's own p99: its slow moments may have made that tail.
    """
    if not through:
        return TunnelShare(None, "")
    ms = window.median_phases.tunnel_ms if quantile == "p50" else window.tunnel_p99_ms
    if ms is None:
        return TunnelShare(None, f"; how much of it {through} adds is not known yet")
    return TunnelShare(ms, f"; up to {ms:.1f} ms of it are added by {through}")
