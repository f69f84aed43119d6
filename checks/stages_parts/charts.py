"""The stages of a request as bars, each with its own limit and what it was in the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from checks.stages_parts.judging import Judged
from infdiag_tui.model import Axis, Bar, BarChart, CheckChart, Quantity

_BASELINE = "baseline"


def charts_of(judged: Sequence[Judged], baseline_ms: Mapping[str, float]) -> tuple[CheckChart, ...]:
    """One bar a stage, in the order in which a request passes them; those that nobody tells have none."""
    told = [item for item in judged if item.ms is not None]
    if not told:
        return ()
    compared = any(item.stage in baseline_ms for item in told)
    bars = tuple(
        Bar(
            label=item.stage,
            values=(item.ms, baseline_ms.get(item.stage)) if compared else (item.ms,),
            limit=item.evidence.threshold,
            verdict=item.evidence.verdict,
            note=item.means,
        )
        for item in told
    )
    names = ("now", _BASELINE) if compared else ()
    axis = Axis("mean time", Quantity.MILLISECONDS)
    return (BarChart("Where a request's time goes", axis, bars, names, "limit of the stage"),)
