"""Evidence from the latency probe: level, tail, jitter, errors, reachability."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from infdiag_tui.config import Endpoint, Thresholds
from infdiag_tui.findings.known import Known
from infdiag_tui.findings.tunnel import TunnelShare, share_of_tunnel
from infdiag_tui.model import (
    NOT_SENT,
    ErrorKind,
    Evidence,
    LatencyView,
    LatencyWindow,
    Quantile,
    Snapshot,
    SourceState,
    Verdict,
)
from infdiag_tui.text import one_line

Limits = dict[str, tuple[float | None, str]]

TYPICAL_TOTAL_MS = 125.0
"""The specification's typical stage times, summed: preprocessing 10, inference 100, postprocessing 10, network 5."""

_QUOTED = 120

MIN_REQUESTS = 5
"""Fewer requests than this give no verdict."""


def assess(snapshot: Snapshot, thresholds: Thresholds, endpoint: Endpoint | None, known: Known) -> Iterator[Evidence]:
    """Evidence of every probed target over its shortest window that has enough requests."""
    health = snapshot.source("latency")
    for view in snapshot.latency:
        window = _window(view)
        if window is None:
            continue
        # A window of a minute that was watched for ten seconds is one of ten seconds.
        watched_s = max(0.0, snapshot.at - snapshot.incident.started_at)
        window = dataclasses.replace(window, window_s=min(window.window_s or watched_s, watched_s))
        yield from _levels(view, window, snapshot.at, _limits(view.target, endpoint, known))
        yield from _jitter(view, window, snapshot.at, thresholds)
        yield from _rates(view, window, snapshot.at, thresholds)
    # A probe that has no usable config has asked nobody, which says nothing of the server.
    last = next((view.last for view in snapshot.latency if view.last is not None and not view.last.ok), None)
    if health.state is SourceState.UNAVAILABLE and last is not None:
        # A request that was written and never answered did reach somebody.
        taken = last.error is ErrorKind.TIMEOUT and last.phases.send_ms is not None
        trouble = "takes requests and answers none" if taken else "cannot be reached"
        verdict = Verdict.WARN if taken else Verdict.FAIL
        if last.error is ErrorKind.TUNNEL:
            trouble, verdict = "may answer or not: the way to it does not lead there", Verdict.UNKNOWN
        yield Evidence(
            id="latency.reachable",
            statement=f"The model server {trouble}: {health.reason}",
            verdict=verdict,
            source="latency",
            at=snapshot.at,
            value=None if verdict is Verdict.UNKNOWN else False,
        )


def _window(view: LatencyView) -> LatencyWindow | None:
    """The shortest window with enough requests, else the longest that has any."""
    used = [window for window in view.windows if window.requests]
    enough = [window for window in used if window.requests >= MIN_REQUESTS]
    return enough[0] if enough else (used[-1] if used else None)


def _limits(target: str, endpoint: Endpoint | None, known: Known) -> Limits:
    """By quantile: its limit in ms and where that comes from. A promised p99 comes before what was usual."""
    limits: Limits = {
        "p50": (TYPICAL_TOTAL_MS, "sum of the typical stage times"),
        "p95": (None, ""),
        "p99": (None, ""),
    }
    ratio = known.stages.baseline_ratio
    for name, usual_ms in known.latency_ms.get(target, {}).items():
        limits[name] = (usual_ms * ratio, f"baseline ({usual_ms:.3g} ms) times {ratio:g}")
    if endpoint is not None and endpoint.objective_p99_ms is not None:
        limits["p99"] = (endpoint.objective_p99_ms, "configured objective")
    return limits


def _levels(view: LatencyView, window: LatencyWindow, at: float, limits: Limits) -> Iterator[Evidence]:
    for name, (limit, source) in limits.items():
        quantile: Quantile | None = getattr(window, name)
        if quantile is None:
            continue
        verdict = _against(quantile, limit, window)
        tunnel = share_of_tunnel(view.through, name, window)
        if verdict in (Verdict.WARN, Verdict.FAIL) and limit is not None and view.through:
            verdict = _without(tunnel, quantile, limit, verdict)
        yield Evidence(
            id=f"latency.{name}",
            statement=_sentence(name, quantile, window, limit) + tunnel.words,
            verdict=verdict,
            source="latency",
            at=at,
            value=quantile.value_ms,
            unit="ms",
            subject=view.target,
            window_s=window.window_s,
            sample_size=window.timed,
            low=quantile.low_ms,
            high=quantile.high_ms,
            threshold=limit,
            threshold_source=source,
        )
    if window.max_ms is not None:
        unanswered = window.timed - window.answered
        among = f"{window.timed} answers and timeouts" if unanswered else f"{window.answered} answers"
        yield Evidence(
            id="latency.max",
            statement=f"The slowest of {among} took {window.max_ms:.1f} ms" + (" or more" if unanswered else ""),
            verdict=Verdict.OK,
            source="latency",
            at=at,
            value=window.max_ms,
            unit="ms",
            subject=view.target,
            window_s=window.window_s,
            sample_size=window.timed,
        )


def _sentence(name: str, quantile: Quantile, window: LatencyWindow, limit: float | None) -> str:
    count = f"{window.timed} replies"
    if quantile.censored:
        text = f"{name} is at least {quantile.value_ms:.0f} ms: it falls among timeouts"
    elif quantile.is_figure:
        text = f"{name} is {quantile.value_ms:.1f} ms (95 % interval {quantile.low_ms:.1f} to {quantile.high_ms:.1f})"
    elif quantile.low_ms is not None:
        text = f"{name} is somewhere above {quantile.low_ms:.1f} ms: {count} do not bound it from above"
    elif quantile.high_ms is not None:
        text = f"{name} is somewhere below {quantile.high_ms:.1f} ms: {count} do not bound it from below"
    else:
        text = f"{name} is near {quantile.value_ms:.1f} ms, but {count} are too few to bound it"
    return text + (f"; limit {limit:.0f} ms" if limit is not None else "")


def _against(quantile: Quantile, limit: float | None, window: LatencyWindow) -> Verdict:
    """Fails when even the interval's lower end is over the limit, warns when only the estimate is."""
    if limit is None:
        return Verdict.OK
    if window.timed < MIN_REQUESTS:
        return Verdict.UNKNOWN
    if quantile.low_ms is not None and quantile.low_ms > limit:
        return Verdict.FAIL
    return Verdict.WARN if quantile.value_ms > limit else Verdict.OK


def _without(tunnel: TunnelShare, quantile: Quantile, limit: float, verdict: Verdict) -> Verdict:
    """The verdict on what is over the limit, once the way's share is taken off; withheld where that makes the odds."""
    if tunnel.ms is None or quantile.value_ms - tunnel.ms <= limit:
        return Verdict.UNKNOWN
    surely = quantile.low_ms is not None and quantile.low_ms - tunnel.ms > limit
    return verdict if surely else Verdict.WARN


def _jitter(view: LatencyView, window: LatencyWindow, at: float, thresholds: Thresholds) -> Iterator[Evidence]:
    p50, p99 = window.p50, window.p99
    if window.jitter is None or p50 is None or p99 is None:
        return
    # The ratio of interval ends holds for small samples too: the tail is at least this far from the middle.
    tunnel_ms = share_of_tunnel(view.through, "p99", window).ms or 0.0
    surely = max(0.0, p99.low_ms - tunnel_ms) / p50.high_ms if p99.low_ms is not None and p50.high_ms else None
    over = surely is not None and surely > thresholds.jitter_ratio
    few = window.timed < MIN_REQUESTS or bool(view.through and over and not tunnel_ms)
    if p50.is_figure and p99.is_figure:
        text = f"p99 is {window.jitter:.1f} times p50"
    elif surely is not None:
        text = f"p99 is at least {surely:.1f} times p50"
    else:
        text = f"p99 may be {window.jitter:.1f} times p50, but {window.timed} replies are too few to tell"
    yield Evidence(
        id="latency.jitter",
        statement=f"{text}; limit {thresholds.jitter_ratio:g}",
        verdict=Verdict.UNKNOWN if few else Verdict.WARN if over else Verdict.OK,
        source="latency",
        at=at,
        value=window.jitter,
        unit="ratio",
        subject=view.target,
        window_s=window.window_s,
        sample_size=window.timed,
        low=surely,
        threshold=thresholds.jitter_ratio,
        threshold_source="config thresholds.jitter_ratio",
    )


def _newest(view: LatencyView, window: LatencyWindow, at: float) -> str:
    """How the last failure within the window went, in the server's own words where it said any."""
    last = view.last_error
    if last is None or not last.error_text or at - last.at > (window.window_s or 0.0):
        return ""
    return f"; the last: {one_line(last.error_text, _QUOTED)}"


def _rates(view: LatencyView, window: LatencyWindow, at: float, thresholds: Thresholds) -> Iterator[Evidence]:
    if window.error_rate is None:
        return
    # As in the rate: a request that was never sent did not fail.
    unsent = window.unsent
    sent = window.requests - unsent
    failed = sent - window.answered
    kinds = ", ".join(f"{count} {kind}" for kind, count in window.errors if kind not in NOT_SENT)
    left_out = f"; {unsent} more were never sent" if unsent else ""
    over = window.error_rate > thresholds.error_rate
    if sent < MIN_REQUESTS:
        verdict = Verdict.UNKNOWN
    elif over:
        # One failure may be chance; several are not.
        verdict = Verdict.FAIL if failed > 1 else Verdict.WARN
    else:
        verdict = Verdict.OK
    yield Evidence(
        id="latency.error_rate",
        statement=f"{failed} of {sent} requests failed"
        + (f" ({kinds})" if kinds else "")
        + left_out
        + _newest(view, window, at),
        verdict=verdict,
        source="latency",
        at=at,
        value=window.error_rate,
        unit="share",
        subject=view.target,
        window_s=window.window_s,
        sample_size=sent,
        threshold=thresholds.error_rate,
        threshold_source="config thresholds.error_rate",
    )
    if window.timeout_rate is not None:
        yield Evidence(
            id="latency.timeout_rate",
            statement=f"{window.timeout_rate:.1%} of the requests timed out",
            verdict=Verdict.OK if window.timeout_rate <= thresholds.error_rate else verdict,
            source="latency",
            at=at,
            value=window.timeout_rate,
            unit="share",
            subject=view.target,
            window_s=window.window_s,
            sample_size=sent,
            threshold=thresholds.error_rate,
            threshold_source="config thresholds.error_rate",
        )
