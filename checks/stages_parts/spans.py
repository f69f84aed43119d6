"""Spans in a file of JSON logs: OpenTelemetry's exports, or log lines with a span's name and duration."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from checks.base import CheckError
from checks.stages_parts.figures import Split, figure_of
from infdiag_tui.servers.stages import STAGES, Stage, stage_of
from infdiag_tui.text import clean, one_line

MAX_BYTES = 32 * 1024 * 1024
"""Read from the file's end: the newest spans."""

MAX_SPANS = 100_000
_MAX_OBJECT = 1_000_000
_NAME_KEYS = ("span", "span_name", "spanName", "operation", "operationName", "stage", "name")
_MS_PER = {
    "duration_ms": 1.0,
    "durationMs": 1.0,
    "elapsed_ms": 1.0,
    "took_ms": 1.0,
    "ms": 1.0,
    "duration_us": 1e-3,
    "duration_ns": 1e-6,
    "duration_s": 1000.0,
    "duration_seconds": 1000.0,
    "elapsed_s": 1000.0,
}


@dataclass(frozen=True, slots=True)
class Span:
    """One timed piece of work; `trace`, `id` and `parent` are empty where the file has none."""

    name: str
    ms: float
    trace: str = ""
    id: str = ""
    parent: str = ""
    server: bool = False
    """True for the span that covers the whole request (OpenTelemetry's kind SERVER)."""


def read_spans(path: Path, named: dict[str, Stage]) -> Split:
    """The stages' times over the file's newest spans. Blocking.

    Raises:
        CheckError: the file cannot be read or has no span.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MAX_BYTES))
            text = file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise CheckError(one_line(clean(f"The span file {path} cannot be read: {error.strerror}."))) from error
    spans: list[Span] = []
    for value in _objects(text):
        spans.extend(_spans_in(value))
        if len(spans) >= MAX_SPANS:
            break
    if not spans:
        raise CheckError(
            one_line(
                clean(f"{path} has no spans: lines of OTLP JSON, or JSON with a span's name and duration_ms."),
            )
        )
    return split_of(spans, named, path.name)


def split_of(spans: Iterable[Span], named: dict[str, Stage], source: str) -> Split:
    """Figures by stage: a request's spans of a stage are summed, but not one inside another of its stage."""
    spans = list(spans)
    stages = {(span.trace, span.id): _stage(span, named) for span in spans if span.id}
    by_request: dict[tuple[str, Stage], float] = {}
    loose: dict[tuple[str, Stage], list[float]] = {}
    names: dict[Stage, set[str]] = {}
    for span in spans:
        stage = _stage(span, named)
        if stage == "" or stages.get((span.trace, span.parent)) == stage:
            continue
        names.setdefault(stage, set()).add(span.name)
        if span.trace:
            by_request[span.trace, stage] = by_request.get((span.trace, stage), 0.0) + span.ms
        else:
            loose.setdefault((span.name, stage), []).append(span.ms)
    figures = []
    for stage in names:
        values = [ms for (_, of), ms in by_request.items() if of == stage]
        if values:
            figures.append(figure_of(", ".join(sorted(names[stage])[:4]), stage, values, f"spans of {source}"))
    figures.extend(figure_of(name, stage, values, f"spans of {source}") for (name, stage), values in loose.items())
    absent = tuple(
        (stage, f"no span of {source} is named like it; --span {stage}=NAME names one")
        for stage in STAGES
        if stage not in names and stage != "queue"
    )
    return Split("spans", tuple(figures), absent)


def _stage(span: Span, named: dict[str, Stage]) -> Stage:
    if span.name in named:
        return named[span.name]
    return "total" if span.server else stage_of(span.name)


def _objects(text: str) -> Iterator[Any]:
    """JSON values: one per line, behind a log prefix, or pretty-printed over several lines."""
    pending: list[str] = []
    held = 0
    for line in text.splitlines():
        if pending:
            pending.append(line)
            held += len(line)
            if line.rstrip() in ("}", "},", "]") or held > _MAX_OBJECT:
                value = _json("\n".join(pending).rstrip().rstrip(","))
                pending, held = [], 0
                if value is not None:
                    yield value
            continue
        if line.rstrip() == "{":
            pending, held = [line], len(line)
            continue
        start = line.find("{")
        value = _json(line[start:].rstrip().rstrip(",")) if start >= 0 else None
        if value is not None:
            yield value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _spans_in(value: Any) -> Iterator[Span]:
    if not isinstance(value, dict):
        return
    if "resourceSpans" in value:
        yield from _otlp(value)
        return
    span = _span(value)
    if span is not None:
        yield span
        return
    # One line per request: {"preprocess_ms": 3.1, "inference_ms": 42.0}
    for key, ms in value.items():
        if isinstance(key, str) and key.endswith("_ms") and key not in _MS_PER:
            number = _number(ms)
            if number is not None:
                yield Span(key.removesuffix("_ms"), number)


def _otlp(value: Mapping[str, Any]) -> Iterator[Span]:
    for resource in _dicts(value.get("resourceSpans")):
        for scope in _dicts(resource.get("scopeSpans") or resource.get("instrumentationLibrarySpans")):
            for raw in _dicts(scope.get("spans")):
                span = _span(raw)
                if span is not None:
                    yield span


def _span(raw: Mapping[str, Any]) -> Span | None:
    name = next((raw[key] for key in _NAME_KEYS if isinstance(raw.get(key), str)), None)
    ms = _duration_ms(raw)
    if not name or ms is None:
        return None
    inner = raw.get("context")
    context: Mapping[str, Any] = inner if isinstance(inner, dict) else {}

    def text(*keys: str) -> str:
        return next((str(of[key]) for key in keys for of in (raw, context) if of.get(key)), "")

    return Span(
        one_line(clean(name), 120),
        ms,
        trace=text("traceId", "trace_id"),
        id=text("spanId", "span_id"),
        parent=text("parentSpanId", "parent_id", "parent_span_id"),
        server=str(raw.get("kind", "")) in ("2", "SPAN_KIND_SERVER", "SpanKind.SERVER"),
    )


def _duration_ms(raw: Mapping[str, Any]) -> float | None:
    for key, factor in _MS_PER.items():
        if key in raw:
            value = _number(raw[key])
            return None if value is None else value * factor
    try:
        # As integers: a float of today's nanoseconds is 256 ns coarse.
        elapsed_ns = int(raw["endTimeUnixNano"]) - int(raw["startTimeUnixNano"])
    except (KeyError, ValueError, TypeError, OverflowError):
        pass
    else:
        return elapsed_ns / 1e6 if elapsed_ns >= 0 else None
    try:
        began, ended = (datetime.fromisoformat(str(raw[key])) for key in ("start_time", "end_time"))
        ms = (ended - began).total_seconds() * 1000
    except (KeyError, ValueError, TypeError):
        return None
    return ms if ms >= 0 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
