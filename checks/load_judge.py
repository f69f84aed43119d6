"""Decides what a phase's figures mean: is the run valid, is the error rate high, do errors need concurrency."""

from __future__ import annotations

import math

from checks.load_gen.job import LOCAL, Summary
from infdiag_tui.model import Verdict

LATENESS_MS = 1.0
LATENESS_SHARE = 0.05
"""What this machine may add to a quantile: 1 ms, or this share of it. Agreement with other clients is held to it."""
CPU_SHARE = 0.8
ENOUGH_FOR_P99 = 500
"""Below this the rank interval of p99 is open upwards or spans most of the tail."""
RISK = 0.05
_Z = 1.959963984540054
"""The 97.5 % point of the normal distribution: a two-sided 95 % interval."""


def invalid_reasons(summary: Summary) -> tuple[str, ...]:
    """Why the figures say more about this machine than about the server; empty for a valid run.

    Limits: the generator's lateness p99 above 1 ms and above 5 % of p50 (in an open loop), more than 80 % of a
    core, its mean wait for a core above what lateness may be (a closed loop has no schedule to be late on), replies
    that may have waited in it so long that p50 is wrong by more than 1 ms and more than 5 %, arrivals dropped, or
    failures of this machine's own.
    """
    reasons: list[str] = []
    late_ms, wait_ms = summary.lateness_p99_ms, summary.core_wait_ms
    limit_ms = LATENESS_MS
    if summary.latency_ms is not None:
        limit_ms = max(limit_ms, LATENESS_SHARE * summary.latency_ms["p50"].value)
    if late_ms is not None and late_ms > limit_ms:
        reasons.append(f"the generator sent late (p99 {late_ms:.2f} ms, allowed {limit_ms:.2f} ms)")
    if wait_ms is not None and wait_ms > limit_ms:
        reasons.append(f"this machine is busy: the generator waited {wait_ms:.2f} ms for a core on average")
    own_ms = own_beyond_limit_ms(summary, "p50")
    if own_ms is not None:
        reasons.append(f"replies waited in the generator: up to {own_ms:.2f} ms of p50 (allowed {limit_ms:.2f} ms)")
    if summary.cpu_share > CPU_SHARE:
        reasons.append(
            f"the generator used {summary.cpu_share:.0%} of a core (allowed {CPU_SHARE:.0%}), and measured itself"
        )
    if summary.dropped:
        reasons.append(f"{summary.dropped} arrivals were not sent: too many requests were unanswered")
    if summary.errors.get(LOCAL):
        reasons.append(f"{summary.errors[LOCAL]} requests failed on this machine ({summary.examples[LOCAL]})")
    return tuple(reasons)


def own_beyond_limit_ms(summary: Summary, name: str) -> float | None:
    """How much of a quantile may be the generator's own, where that is more than 1 ms and more than 5 %; else None."""
    if summary.latency_ms is None or summary.own_ms is None:
        return None
    own_ms = summary.own_ms[name]
    return own_ms if own_ms > max(LATENESS_MS, LATENESS_SHARE * summary.latency_ms[name].value) else None


def wilson(failed: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927).

    Raises:
        ValueError: `total` is not positive.
    """
    if total < 1:
        raise ValueError("a share needs at least one observation")
    share = failed / total
    middle = share + _Z * _Z / (2 * total)
    spread = _Z * math.sqrt(share * (1 - share) / total + _Z * _Z / (4 * total * total))
    scale = 1 + _Z * _Z / total
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def error_verdict(failed: int, total: int, allowed: float) -> Verdict:
    """`FAIL` when the share is above what is allowed beyond doubt, `WARN` when only its estimate is."""
    if not total:
        return Verdict.UNKNOWN
    if failed / total <= allowed:
        return Verdict.OK
    return Verdict.FAIL if wilson(failed, total)[0] > allowed else Verdict.WARN


def chance_of_none_alone(alone: int, together: int, failed: int) -> float:
    """The probability that none of `failed` failures falls on the `alone` requests if concurrency makes no difference.

    Fisher's exact test, one-sided, for a table with an empty cell: C(together, failed) / C(alone + together, failed).
    """
    if failed > together:
        return 0.0
    chance = 1.0
    for drawn in range(failed):
        chance *= (together - drawn) / (alone + together - drawn)
    return chance
