"""What measurements are held against besides the config's thresholds: the protocol's times and the saved baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infdiag_tui.findings.memo import Memo
from infdiag_tui.servers.stages import Limits


@dataclass(frozen=True, slots=True)
class Known:
    """`stages` are the limits of stage times, the baseline's among them.

    `latency_ms` holds the baseline's quantiles by target and name (`p50`), in milliseconds. `memo` is where results are
    kept between assessments; without one of its own each assessment begins afresh.
    """

    stages: Limits = field(default_factory=Limits)
    latency_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    memo: Memo = field(default_factory=Memo)
