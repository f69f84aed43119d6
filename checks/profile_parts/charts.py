"""Where a prediction's time goes, in a picture: operators or functions by their own time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from infdiag_tui.model import Axis, Bar, BarChart, CheckChart, Evidence, Quantity, Verdict
from infdiag_tui.text import clean, one_line

MOST = 10
_LEAST_SHARE = 0.001


def charts_of(
    title: str, shares: Mapping[str, float], evidence: Iterable[Evidence], limit: float
) -> tuple[CheckChart, ...]:
    """The largest shares of the time; one that the evidence names as its subject bears its verdict and limit."""
    largest = sorted(shares.items(), key=lambda one: -one[1])
    shown = [(name, share) for name, share in largest if share >= _LEAST_SHARE][:MOST]
    if not shown:
        return ()
    verdicts = {one.subject: one.verdict for one in evidence if one.subject}
    bars = tuple(
        Bar(
            one_line(clean(name), 80),
            (share,),
            limit=limit if name in verdicts else None,
            verdict=verdicts.get(name, Verdict.UNKNOWN),
        )
        for name, share in shown
    )
    axis = Axis("share of the time", Quantity.SHARE)
    left_out = sum(share >= _LEAST_SHARE for share in shares.values()) - len(shown)
    return (BarChart(title, axis, bars, limit_name="top_share", left_out=left_out),)
