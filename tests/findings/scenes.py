"""Snapshots for findings, put together from series and replies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from infdiag_tui.config import Endpoint, Thresholds
from infdiag_tui.findings import assess
from infdiag_tui.findings.known import Known
from infdiag_tui.hub.replies import ReplyLog
from infdiag_tui.model import (
    Container,
    ErrorKind,
    Evidence,
    IncidentInfo,
    LatencyView,
    Phases,
    Pod,
    Reply,
    SeriesKey,
    SeriesView,
    Snapshot,
    Verdict,
)

NOW = 1_700_000_000.0
TARGET = "http://m/predict"
MIB = 2**20
BAD = (Verdict.WARN, Verdict.FAIL)


def series(values: Sequence[float], *, every_s: float = 5.0, end: float = NOW) -> SeriesView:
    """A series that ends now."""
    times = tuple(end - every_s * (len(values) - 1 - n) for n in range(len(values)))
    held = tuple(float(value) for value in values)
    return SeriesView(times, held, held, held)


def scene(
    metrics: Mapping[str | tuple[str, str], SeriesView] | None = None,
    replies: Iterable[Reply] = (),
    **fields: Any,
) -> Snapshot:
    """A snapshot of now; a metric without an entity is that of the whole."""
    found = {
        SeriesKey(name, "") if isinstance(name, str) else SeriesKey(*name): view
        for name, view in (metrics or {}).items()
    }
    latency: tuple[LatencyView, ...] = ()
    held = list(replies)
    if held:
        log = ReplyLog(TARGET)
        for reply in held:
            log.add(reply)
        latency = (log.view(NOW),)
    info = IncidentInfo("m", "", NOW - 3600)
    return Snapshot(at=NOW, number=1, incident=info, series=found, **{"latency": latency, **fields})


def replies(
    totals: Sequence[float], *, every_s: float = 1.0, end: float = NOW, phases: Phases | None = None, **fields: Any
) -> list[Reply]:
    """Answered replies of these times in ms, the last sent now."""
    made = []
    for n, ms in enumerate(totals):
        at = end - every_s * (len(totals) - 1 - n)
        made.append(Reply(TARGET, at, at + ms / 1000, float(ms), status=200, phases=phases or Phases(), **fields))
    return made


def failed(count: int, error: ErrorKind, *, every_s: float = 1.0, end: float = NOW, **fields: Any) -> list[Reply]:
    return [Reply(TARGET, at := end - every_s * n, at, 1.0, error=error, **fields) for n in range(count - 1, -1, -1)]


def in_order(*parts: Iterable[Reply]) -> list[Reply]:
    return sorted((reply for part in parts for reply in part), key=lambda reply: reply.at)


def found(snapshot: Snapshot, *, endpoint: Endpoint | None = None, known: Known | None = None) -> list[Evidence]:
    return list(assess(snapshot, Thresholds(), endpoint, known))


def of(snapshot: Snapshot, id_: str, **options: Any) -> list[Evidence]:
    return [one for one in found(snapshot, **options) if one.id == id_]


def one(snapshot: Snapshot, id_: str, **options: Any) -> Evidence:
    (only,) = of(snapshot, id_, **options)
    return only


def verdict(snapshot: Snapshot, id_: str, **options: Any) -> Verdict | None:
    """The only evidence's verdict, None without any."""
    told = of(snapshot, id_, **options)
    assert len(told) <= 1, told
    return told[0].verdict if told else None


def noisy(level: float, size: int, *, seed: int = 1, spread: float = 0.2) -> list[float]:
    """Log-normal values around a level."""
    return [float(value) for value in level * np.random.default_rng(seed).lognormal(0.0, spread, size)]


def pod(name: str = "m-1", **changes: Any) -> Pod:
    container = Container(
        "server",
        image="m:1",
        digest="sha256:1",
        started_at=NOW - 7200,
        memory_limit_bytes=1024 * MIB,
        cpu_limit_cores=2.0,
    )
    plain = Pod(
        "prod",
        name,
        f"u-{name}",
        "Running",
        NOW,
        node="n1",
        ready=True,
        created_at=NOW - 7200,
        ready_at=NOW - 7100,
        containers=(container,),
    )
    return dataclasses.replace(plain, **changes)
