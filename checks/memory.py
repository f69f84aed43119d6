"""The check `memory`: does memory leak, how fast, and until when does it last."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from checks.base import CONTAINER, Check, CheckContext, CheckError, Outcome, Params, no_way, place_of
from checks.memory_parts.charts import charts_of
from checks.memory_parts.python_lines import GrownLine, grown, lines_now
from checks.memory_parts.sources import (
    ContainerSource,
    DcgmSource,
    MetricsSource,
    ProcessSource,
    Reading,
    Source,
    find_process,
    read_file,
)
from checks.memory_parts.words import evidence_of, fragmentation_evidence, summary_of
from infdiag_tui.model import CheckStatus, Evidence, Impact, Progress, Verdict
from infdiag_tui.stats.growth import Growth, Judgement, Series, judge
from infdiag_tui.text import one_line

_METRIC = "process_resident_memory_bytes"


class MemoryParams(Params):
    """Whose memory to watch, for how long, and how near its limit is too near."""

    duration_s: float = Field(60, ge=1, le=86_400, description="Seconds to watch.")
    interval_s: float = Field(1.0, ge=0.02, le=600, description="Seconds between two readings.")
    pid: int | None = Field(None, gt=0, description="A process on this machine; empty: host.pid of the config.")
    process: str = Field("", description="The same by name.")
    port: int | None = Field(None, gt=0, le=65_535, description="The same by the TCP port that it listens on.")
    metrics_url: str = Field("", description="A metrics page with the server's memory.")
    metric: str = Field(_METRIC, description="The metric there, in bytes.")
    dcgm_url: str = Field("", description="A dcgm exporter's metrics; empty: gpu.dcgm_url of the config.")
    in_pod: bool = Field(
        False, description="Read the container's control group, by exec.", json_schema_extra={"needs": CONTAINER}
    )
    file: Path | None = Field(
        None, description="A CSV or JSONL file with time (seconds) and bytes, instead of watching."
    )
    limit_bytes: float | None = Field(None, gt=0, description="The limit, where the source does not tell it.")
    fail_within_h: float = Field(24, gt=0, description="A leak that reaches the limit within so many hours fails.")
    allocated_metric: str = Field("", description="The metric of bytes in use by tensors, for fragmentation.")
    reserved_metric: str = Field("", description="The metric of bytes reserved by the allocator.")
    fragmentation_max_share: float = Field(0.2, gt=0, lt=1, description="Share of the reserved that may lie idle.")
    tracemalloc_url: str = Field("", description="The server's tracemalloc hook: tells which lines grew.")


@dataclass(slots=True)
class _Watched:
    """What one source gave so far."""

    source: Source
    readings: dict[str, list[tuple[float, Reading]]] = field(default_factory=dict)
    error: CheckError | None = None


class MemoryCheck(Check[MemoryParams]):
    """Watches memory and fits a robust slope."""

    name = "memory"
    title = "Memory growth"
    step = 0
    impact = Impact.EXEC
    symptoms = ("oom",)
    params = MemoryParams

    def missing(self, params: MemoryParams, context: CheckContext) -> str:
        """Something must tell the memory."""
        if params.in_pod and (lacking := no_way(context, CONTAINER)):
            return lacking
        if bool(params.allocated_metric) != bool(params.reserved_metric):
            return "Fragmentation needs both --allocated-metric and --reserved-metric."
        host, gpu = context.model.host, context.model.gpu
        local = params.pid or params.process or params.port or host.pid or host.process_name or host.port
        by_url = params.metrics_url or params.dcgm_url or gpu.dcgm_url or context.model.endpoint
        if params.file is None and not params.in_pod and not local and not (by_url and context.sender):
            return "No memory to watch: --pid, --process, --metrics-url, --dcgm-url, --file, or host.pid in the config."
        return ""

    def impact_of(self, params: MemoryParams) -> Impact:
        """Only reading the control group enters the container."""
        return Impact.EXEC if params.in_pod else Impact.READ_ONLY

    def announce(self, params: MemoryParams, context: CheckContext) -> str:
        """What it will do."""
        return (
            f"Reads two small files of /sys/fs/cgroup with cat every {params.interval_s:g} s for {params.duration_s:g} "
            f"s, {place_of(context)}."
        )

    async def run(self, params: MemoryParams, context: CheckContext) -> Outcome:
        """Reads until the time is over, then judges each series."""
        lines: list[GrownLine] | None = None
        notes: tuple[str, ...] = ()
        if params.file is not None:
            series = await asyncio.to_thread(read_file, params.file, params.limit_bytes)
        else:
            sources = await _sources(params, context)
            before = await _lines(params, context)
            watched = await _watch(sources, params, context)
            series = [found for item in watched for found in _series(item, params)]
            notes = tuple(str(item.error) for item in watched if item.error is not None)
            after = await _lines(params, context)
            lines = grown(before, after) if before is not None and after is not None else None
        judged = [(found, await asyncio.to_thread(judge, found)) for found in series]
        at = context.now()
        evidence = [item for found, of in judged for item in evidence_of(found, of, params.fail_within_h * 3600, at)]
        evidence.extend(await _fragmentation(params, context, at))
        result = _result(judged, lines, notes)
        artifact = context.folder / "memory.json"
        await asyncio.to_thread(lambda: artifact.write_text(_with_points(result, series), encoding="utf-8"))
        summary = summary_of(judged, lines)
        charts = await asyncio.to_thread(charts_of, judged)
        return Outcome(_status(evidence, judged), summary, tuple(evidence), result, (artifact,), charts)


async def _sources(params: MemoryParams, context: CheckContext) -> list[Source]:
    """What the flags name, else what the config names, else the endpoint's own metrics page."""
    host, endpoint, sender = context.model.host, context.model.endpoint, context.sender
    found: list[Source] = []
    typed = params.pid, params.process, params.port
    named = typed if any(typed) else (host.pid, host.process_name, host.port)
    if params.in_pod and context.remote is not None:
        found.append(ContainerSource(context.remote))
    if any(named) and (any(typed) or not (params.in_pod or params.metrics_url)):
        found.append(ProcessSource(await asyncio.to_thread(find_process, *named)))
    if sender is not None:
        if params.metrics_url:
            found.append(MetricsSource(sender, params.metrics_url, params.metric))
        dcgm_url = params.dcgm_url or context.model.gpu.dcgm_url
        if dcgm_url:
            found.append(DcgmSource(sender, dcgm_url))
        if not found and endpoint is not None:
            found.append(MetricsSource(sender, _metrics_of(endpoint.url), params.metric))
    if not found:
        raise CheckError("Metrics are read over the endpoint's connection: give endpoint.url in the config.")
    return found


def _metrics_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/metrics"


async def _watch(sources: list[Source], params: MemoryParams, context: CheckContext) -> list[_Watched]:
    """Reads all sources on a fixed schedule; one that fails stops, and the rest go on.

    Raises:
        CheckError: none gave a reading.
    """
    watched = [_Watched(source) for source in sources]
    loop = asyncio.get_running_loop()
    began = loop.time()
    index = 0
    while True:
        living = [item for item in watched if item.error is None]
        if not living:
            break
        async with asyncio.TaskGroup() as group:
            for item in living:
                group.create_task(_read(item, loop, began))
        gone = loop.time() - began
        if gone >= params.duration_s:
            break
        context.report(Progress(f"watching memory, {gone:.0f} of {params.duration_s:g} s", gone / params.duration_s))
        # A reading that took longer than the interval skips what it missed.
        index = max(index + 1, int(gone / params.interval_s))
        await asyncio.sleep(max(0.0, min(index * params.interval_s, params.duration_s) - (loop.time() - began)))
    if not any(item.readings for item in watched):
        raise next(item.error for item in watched if item.error is not None)
    return watched


async def _read(item: _Watched, loop: asyncio.AbstractEventLoop, began: float) -> None:
    try:
        readings = await item.source.read()
    except CheckError as error:
        item.error = error
        return
    for reading in readings:
        item.readings.setdefault(reading.subject, []).append((loop.time() - began, reading))


def _series(item: _Watched, params: MemoryParams) -> list[Series]:
    found = []
    for subject, readings in item.readings.items():
        last = readings[-1][1]
        limit, source = (
            (params.limit_bytes, "--limit-bytes") if params.limit_bytes else (last.limit_bytes, last.limit_source)
        )
        at_s, of = zip(*readings, strict=True)
        found.append(Series(subject, at_s, tuple(reading.used_bytes for reading in of), limit, source if limit else ""))
    return found


async def _lines(params: MemoryParams, context: CheckContext) -> dict[str, tuple[int, int]] | None:
    if not params.tracemalloc_url or context.sender is None:
        return None
    return await lines_now(context.sender, params.tracemalloc_url)


async def _fragmentation(params: MemoryParams, context: CheckContext, at: float) -> list[Evidence]:
    """Reserved against allocated, where both metrics are named."""
    if not params.allocated_metric or context.sender is None:
        return []
    endpoint = context.model.endpoint
    url = params.metrics_url or (_metrics_of(endpoint.url) if endpoint is not None else "")
    both = [MetricsSource(context.sender, url, metric) for metric in (params.allocated_metric, params.reserved_metric)]
    allocated, reserved = [(await source.read())[0].used_bytes for source in both]
    return [fragmentation_evidence(allocated, reserved, params.fragmentation_max_share, at)]


def _status(evidence: list[Evidence], judged: list[tuple[Series, Judgement]]) -> CheckStatus:
    verdicts = {item.verdict for item in evidence}
    if Verdict.FAIL in verdicts:
        return CheckStatus.FAIL
    if Verdict.WARN in verdicts or all(of.growth is Growth.TOO_SHORT for _, of in judged):
        return CheckStatus.WARN
    return CheckStatus.OK


def _result(
    judged: list[tuple[Series, Judgement]], lines: list[GrownLine] | None, notes: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "series": [
            {
                "subject": series.subject,
                "growth": of.growth.value,
                "readings": len(series.used_bytes),
                "window_s": series.at_s[-1] - series.at_s[0],
                "first_bytes": series.used_bytes[0],
                "last_bytes": series.used_bytes[-1],
                "slope_bytes_per_s": of.slope.slope if of.slope else None,
                "slope_low": _finite(of.slope.low) if of.slope else None,
                "slope_high": _finite(of.slope.high) if of.slope else None,
                "limit_bytes": series.limit_bytes,
                "limit_source": series.limit_source,
                "time_to_limit_s": of.time_to_limit_s,
            }
            for series, of in judged
        ],
        "lines": None
        if lines is None
        else [{"where": line.where, "grown_bytes": line.grown_bytes, "size_bytes": line.size_bytes} for line in lines],
        "notes": [one_line(note) for note in notes],
    }


def _finite(value: float) -> float | None:
    """JSON has no NaN: an interval that is not known is missing."""
    return value if math.isfinite(value) else None


def _with_points(result: dict[str, Any], series: list[Series]) -> str:
    """The artifact: the result with every reading."""
    points = {found.subject: list(zip(found.at_s, found.used_bytes, strict=True)) for found in series}
    return json.dumps({**result, "points": points})


CHECK = MemoryCheck()
