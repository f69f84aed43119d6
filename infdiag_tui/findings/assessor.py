"""Assesses one incident again and again: what was computed is kept while its data stays, and verdicts do not flap."""

from __future__ import annotations

from collections.abc import Mapping

from infdiag_tui.config import ModelConfig, Thresholds
from infdiag_tui.findings.assess import assess, worst_first
from infdiag_tui.findings.hysteresis import Steady
from infdiag_tui.findings.known import Known
from infdiag_tui.findings.memo import Memo
from infdiag_tui.model import Evidence, Snapshot
from infdiag_tui.servers.stages import limits_by

HEAVY_PER_ROUND = 4
"""Regressions of memory made anew in one assessment, a few milliseconds each: with hundreds of pods they take turns, so
that the loop that probes and reads is never held up for long."""


class Assessor:
    """The assessments of one incident; belongs to one thread.

    Args:
        model: the model's config; its section `checks.stages` holds limits of stage times.
        thresholds: the config's.
    """

    def __init__(self, model: ModelConfig, thresholds: Thresholds) -> None:
        self._model = model
        self._thresholds = thresholds
        self._steady = Steady()
        self._memo = Memo(HEAVY_PER_ROUND)
        self._known = Known()
        self.compare_with({}, {})

    def compare_with(self, stages_ms: Mapping[str, float], latency_ms: Mapping[str, Mapping[str, float]]) -> None:
        """From now on measurements are held against this baseline: stage times and latency quantiles by target."""
        limits = limits_by(self._model.checks.get("stages", {}), stages_ms)
        self._known = Known(limits, latency_ms, self._memo)

    def assess(self, snapshot: Snapshot) -> tuple[Evidence, ...]:
        """All evidence in a snapshot, findings first, each verdict only once it is there to stay."""
        found = assess(snapshot, self._thresholds, self._model.endpoint, self._known)
        return worst_first(self._steady.settle(found, snapshot.at))
