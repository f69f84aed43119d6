"""Failures that come only with many requests at once: found, told from failures at any load, silent on too little."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from infdiag_tui.model import SeriesView, Verdict
from tests.findings.scenes import of, one, scene, series, verdict

ID = "server.errors_when_busy"


def told(rates: Sequence[float], shares: Sequence[float]) -> dict[str, SeriesView]:
    return {"server.request_rate": series(rates), "server.error_share": series(shares)}


def bursts(share_quiet: float, share_busy: float, readings: int = 24) -> dict[str, SeriesView]:
    busy = [number % 3 == 2 for number in range(readings)]
    return told([7.0 if one else 1.0 for one in busy], [share_busy if one else share_quiet for one in busy])


def test_failures_in_bursts_alone() -> None:
    evidence = one(scene(bursts(0.0, 0.4)), ID)
    assert evidence.verdict is Verdict.FAIL
    assert evidence.statement.startswith("112 of 280 requests failed while many came at once, 0 of 75 ")
    assert evidence.low is not None
    assert evidence.threshold is not None
    assert evidence.low > evidence.threshold


def test_failures_at_any_load() -> None:
    assert verdict(scene(bursts(0.4, 0.4)), ID) is Verdict.OK
    assert verdict(scene(bursts(0.2, 0.4)), ID) is Verdict.UNKNOWN, "more with load, and not only with it"


@pytest.mark.parametrize(
    "what",
    [
        bursts(0.0, 0.4, readings=6),
        bursts(0.0, 0.005),
        told([5.0] * 24, [0.3] * 24),
        told([], []),
    ],
)
def test_too_little_or_nothing_to_tell_apart(what: dict[str, SeriesView]) -> None:
    assert of(scene(what), ID) == []


def test_chance_alone_does_not_fail() -> None:
    draw = np.random.default_rng(3)
    fails = 0
    for _ in range(200):
        rates = draw.poisson(20, 24) / 5.0 + np.where(np.arange(24) % 3 == 2, 8.0, 0.0)
        shares = draw.binomial(np.maximum(1, (rates * 5).astype(int)), 0.1) / np.maximum(1, (rates * 5).astype(int))
        fails += verdict(scene(told(rates.tolist(), shares.tolist())), ID) is Verdict.FAIL
    assert fails == 0
