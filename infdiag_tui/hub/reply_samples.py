"""The ordered samples behind a latency window, and the window made of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from infdiag_tui.hub.quantiles import interpolated, quantile
from infdiag_tui.hub.reply_table import FRESH, KINDS, OK, PHASES, REUSED, TIMEOUT, UNKNOWN_REUSE, UNSENT, Columns
from infdiag_tui.hub.sorted_sample import SortedSample
from infdiag_tui.model import LatencyWindow, Phases, Quantile

FloatArray = npt.NDArray[np.floating[Any]]

_SAMPLES = ("total", "fresh", "reused", "first_token", "lateness", *PHASES)
_EXACT = frozenset({"total", "fresh", "reused", "first_token"})
"""Kept in 64 bits, as they came; the others in 32, which is a ten-millionth."""


class ReplySamples:
    """What a window's figures are computed from: each measure's values in order, and a few sums."""

    def __init__(self) -> None:
        self._ordered = {name: SortedSample(np.float64 if name in _EXACT else np.float32) for name in _SAMPLES}
        self._timeout_from_ms = math.inf
        self._token_timeout_from_ms = math.inf
        self._tokens = 0
        self._reuse_known = 0
        self._reused = 0

    def take(self, rows: Columns) -> None:
        """Adds rows."""
        for name, values in _measures(rows).items():
            self._ordered[name].extend(values)
        self._count(rows, +1)
        self._bound(rows)

    def drop(self, rows: Columns, left: Columns) -> None:
        """Removes `rows`, which were taken before; `left` is what remains."""
        for name, values in _measures(rows).items():
            self._ordered[name].discard(values)
        self._count(rows, -1)
        self._timeout_from_ms = self._token_timeout_from_ms = math.inf
        self._bound(left)

    def window(self, window_s: float | None, kinds: Mapping[int, int]) -> LatencyWindow:
        """The window of these samples. `kinds` counts its replies by kind (`OK` or an index into `KINDS`)."""
        requests = sum(kinds.values())
        answered = kinds.get(OK, 0)
        sent = requests - sum(kinds.get(kind, 0) for kind in UNSENT)
        # In the order of ErrorKind, which is the order of a request's life.
        errors = tuple((kind, kinds[number]) for number, kind in enumerate(KINDS) if kinds.get(number))
        failed = sent - answered
        p50, p95, p99 = (self._quantile(q) if answered else None for q in (0.50, 0.95, 0.99))
        total = self._ordered["total"]
        lateness, tunnel = self._ordered["lateness"], self._ordered["tunnel_ms"]
        return LatencyWindow(
            window_s=window_s,
            requests=requests,
            answered=answered,
            errors=errors,
            error_rate=failed / sent if sent else None,
            timeout_rate=kinds.get(TIMEOUT, 0) / sent if sent else None,
            p50=p50,
            p95=p95,
            p99=p99,
            max_ms=float(total[len(total) - 1]) if answered and len(total) else None,
            jitter=p99.value_ms / p50.value_ms if p50 and p99 and p50.value_ms > 0 else None,
            reused_share=self._reused / self._reuse_known if self._reuse_known else None,
            median_phases=Phases(**{name: self._median(name) for name in PHASES}),
            fresh_p50_ms=self._median("fresh"),
            reused_p50_ms=self._median("reused"),
            first_token_p50=self._first_token(0.50),
            first_token_p99=self._first_token(0.99),
            lateness_p99_ms=interpolated(lateness, 0.99) if len(lateness) else None,
            tunnel_p99_ms=interpolated(tunnel, 0.99) if len(tunnel) else None,
        )

    def _quantile(self, q: float) -> Quantile | None:
        return quantile(self._ordered["total"], q, self._timeout_from_ms)

    def _first_token(self, q: float) -> Quantile | None:
        # Without any first token the protocol has none: timeouts alone say nothing about it.
        return quantile(self._ordered["first_token"], q, self._token_timeout_from_ms) if self._tokens else None

    def _median(self, name: str) -> float | None:
        sample = self._ordered[name]
        return interpolated(sample, 0.5) if len(sample) else None

    def _count(self, rows: Columns, sign: int) -> None:
        reuse = rows["reuse"]
        self._reuse_known += sign * int(np.count_nonzero(reuse != UNKNOWN_REUSE))
        self._reused += sign * int(np.count_nonzero(reuse == REUSED))
        tokens = (rows["kind"] == OK) & ~np.isnan(rows["first_token_ms"])
        self._tokens += sign * int(np.count_nonzero(tokens))

    def _bound(self, rows: Columns) -> None:
        """Notes the smallest values that are only lower bounds."""
        timed_out = rows["kind"] == TIMEOUT
        if not timed_out.any():
            return
        totals = rows["total_ms"][timed_out]
        self._timeout_from_ms = min(self._timeout_from_ms, float(totals.min()))
        waiting = totals[np.isnan(rows["first_token_ms"][timed_out])]
        if len(waiting):
            self._token_timeout_from_ms = min(self._token_timeout_from_ms, float(waiting.min()))


def _measures(rows: Columns) -> dict[str, FloatArray]:
    """The values of each sample that `rows` bring, in no order."""
    kind, total, reuse, token = rows["kind"], rows["total_ms"], rows["reuse"], rows["first_token_ms"]
    answered = kind == OK
    timed_out = kind == TIMEOUT
    # A timed-out stream without a token would have brought its first one later than it was given up.
    first_token = np.where(timed_out & np.isnan(token), total, token)
    measures: dict[str, FloatArray] = {
        "total": total[answered | timed_out],
        "fresh": total[answered & (reuse == FRESH)],
        "reused": total[answered & (reuse == REUSED)],
        "first_token": first_token[(answered & ~np.isnan(token)) | timed_out],
        "lateness": rows["lateness_ms"],
    }
    for name in PHASES:
        values = rows[name][answered]
        measures[name] = values[~np.isnan(values)]
    return measures
