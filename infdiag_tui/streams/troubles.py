"""Saying once, not at every reading, what keeps a stream or one aspect of it from being complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from infdiag_tui.model import SourceState, Status


@dataclass(frozen=True, slots=True)
class Trouble:
    """A state other than live, with its reason and remedy."""

    state: SourceState
    reason: str
    remedy: str


def changes(told: Mapping[str, Trouble], now: Mapping[str, Trouble], at: float) -> Iterator[Status]:
    """What to say at `at` of each aspect whose trouble came, changed or went since it was last told."""
    for aspect, trouble in now.items():
        if told.get(aspect) != trouble:
            yield Status(trouble.state, at, trouble.reason, trouble.remedy, aspect)
    for aspect in told:
        if aspect not in now:
            yield Status(SourceState.LIVE, at, aspect=aspect)
