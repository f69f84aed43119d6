"""Lays the service out by the RED method: rate, errors and duration, as the probe sees them."""

from __future__ import annotations

from typing import Any

from infdiag_tui.model import LatencyView, LatencyWindow, Quantile, Snapshot

_NEWEST = 300.0
"""The window that stands for now: long enough for quantiles at a request per second."""


def red_rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    """One row per probed target. The rate is the probe's own: what other clients send is not seen here."""
    return [_row(view, snapshot) for view in snapshot.latency]


def _window(view: LatencyView) -> LatencyWindow | None:
    known = [window for window in view.windows if window.requests]
    short = [window for window in known if window.window_s is not None and window.window_s <= _NEWEST]
    return max(short, key=lambda one: one.window_s or 0.0, default=None) or (known[-1] if known else None)


def _row(view: LatencyView, snapshot: Snapshot) -> dict[str, Any]:
    window = _window(view)
    last = view.last.at if view.last is not None else None
    age_s = None if last is None else max(0.0, snapshot.at - last)
    if window is None:
        why = "no request was answered or failed yet"
        missing = {"rate": why, "errors": why, "duration": why}
        return {"service": view.target, "rate": None, "errors": None, "duration": None, "missing": missing}
    watched_s = window.window_s
    if watched_s is None or watched_s > snapshot.at - snapshot.incident.started_at > 0:
        watched_s = max(1.0, snapshot.at - snapshot.incident.started_at)
    base = {"source": "latency", "age_s": age_s, "window_s": window.window_s, "sample_size": window.requests}
    missing = {}
    errors = None
    if window.error_rate is None:
        missing["errors"] = "no request was sent"
    else:
        kinds = {str(kind): count for kind, count in window.errors}
        errors = {**base, "value": window.error_rate, "unit": "share", "kinds": kinds}
    quantiles = {name: _quantile(getattr(window, name)) for name in ("p50", "p95", "p99")}
    duration: dict[str, Any] | None = {**base, "unit": "ms", **quantiles}
    if all(one is None for one in quantiles.values()):
        duration, missing["duration"] = None, "no request was answered"
    rate = {**base, "value": window.requests / watched_s, "unit": "probe requests/s"}
    return {"service": view.target, "rate": rate, "errors": errors, "duration": duration, "missing": missing}


def _quantile(found: Quantile | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"value": found.value_ms, "low": found.low_ms, "high": found.high_ms, "at_least": found.censored}
