"""Spans from files, Server-Timing headers and the names of stages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checks.running import run_check
from checks.stages import CHECK, StagesParams
from checks.stages_parts.server_timing import parse_server_timing
from infdiag_tui.model import CheckResult, CheckStatus
from infdiag_tui.servers.stages import stage_of
from tests.checks.stage_servers import context_for


async def run_on(folder: Path, text: str, **params: object) -> CheckResult:
    path = folder / "spans.jsonl"
    path.write_text(text)
    async with context_for(folder) as context:
        return await run_check(CHECK, StagesParams.model_validate({"spans_file": path, **params}), context)


def ms(result: CheckResult) -> dict[str, float | None]:
    return {stage: of["ms"] for stage, of in result.result["stages"].items() if of["ms"] is not None}


def span(name: str, trace: str, ms: float, span_id: str = "", parent: str = "") -> dict[str, object]:
    start = 1_700_000_000_000_000_000
    times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + int(ms * 1e6))}
    return {"name": name, "traceId": trace, "spanId": span_id, "parentSpanId": parent, **times}


async def test_otlp_spans_are_summed_by_request_and_nested_ones_counted_once(tmp_path: Path) -> None:
    lines = []
    for request in range(5):
        trace = f"t{request}"
        spans = [
            {**span("POST /predict", trace, 100, "root"), "kind": 2},
            span("preprocess", trace, 30, "p", "root"),
            span("tokenize", trace, 25, "q", "p"),
            span("model.predict", trace, 40, "m", "root"),
            span("model.predict", trace, 10, "n", "root"),
            span("postprocess", trace, 2, "o", "root"),
        ]
        lines.append(json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}))
    result = await run_on(tmp_path, "\n".join(lines))
    assert ms(result) == {"preprocess": 30, "inference": 50, "postprocess": 2}
    assert result.status is CheckStatus.WARN
    assert result.result["stages"]["preprocess"]["n"] == 5


async def test_a_consoles_pretty_printed_spans_are_read(tmp_path: Path) -> None:
    raw = {
        "name": "preprocess",
        "context": {"trace_id": "0xa", "span_id": "0x1", "trace_state": "[]"},
        "kind": "SpanKind.INTERNAL",
        "parent_id": None,
        "start_time": "2026-01-01T00:00:00.000000Z",
        "end_time": "2026-01-01T00:00:00.012500Z",
    }
    text = "".join(json.dumps({**raw, "context": {"trace_id": f"0x{i}"}}, indent=4) + "\n" for i in range(4))
    assert ms(await run_on(tmp_path, text)) == {"preprocess": 12.5}


async def test_log_lines_with_durations_are_read_behind_their_prefix(tmp_path: Path) -> None:
    line = '2026-01-01 INFO app {"span": "inference", "duration_ms": 250}\nplain text {not json}\n'
    result = await run_on(tmp_path, line * 6 + '{"queue_ms": 3, "postprocess_ms": 1}\n' * 6)
    assert ms(result) == {"inference": 250, "queue": 3, "postprocess": 1}
    assert result.status is CheckStatus.WARN


async def test_a_name_that_does_not_say_its_stage_is_given_by_hand(tmp_path: Path) -> None:
    result = await run_on(tmp_path, '{"name": "step7", "ms": 4}\n' * 4, span=("preprocess=step7",))
    assert ms(result) == {"preprocess": 4}


async def test_too_few_spans_are_shown_and_not_judged(tmp_path: Path) -> None:
    result = await run_on(tmp_path, '{"span": "inference", "duration_ms": 900}\n')
    assert result.status is CheckStatus.WARN
    assert "Too little was counted" in result.summary


@pytest.mark.parametrize(
    "text", ["", "no json\n", '{"a": 1}\n', '{"name": "x", "duration_ms": "NaN"}\n', "[[[[" * 5000]
)
async def test_a_file_without_spans_is_an_error_in_words(tmp_path: Path, text: str) -> None:
    result = await run_on(tmp_path, text)
    assert result.status is CheckStatus.ERROR
    assert "has no spans" in result.summary


async def test_a_missing_file_is_an_error_in_words(tmp_path: Path) -> None:
    async with context_for(tmp_path) as context:
        result = await run_check(CHECK, StagesParams(spans_file=tmp_path / "none"), context)
    assert result.status is CheckStatus.ERROR
    assert "cannot be read: No such file" in result.summary


@pytest.mark.parametrize(
    ("header", "times"),
    [
        ("db;dur=53.2, app;dur=47", {"db": 53.2, "app": 47.0}),
        ('cache;desc="Read, \\"x\\"";dur=23.2', {"cache": 23.2}),
        ('a;dur="5", a;dur=6', {"a": 11.0}),
        ("miss, , ;;, b;dur=-1, c;dur=x, d;dur=nan, e ; dur = 1", {"e": 1.0}),
        ("", {}),
    ],
)
def test_server_timing_headers_are_read(header: str, times: dict[str, float]) -> None:
    assert parse_server_timing(header) == pytest.approx(times)


@given(st.text(max_size=300))
def test_no_header_breaks_the_parser(header: str) -> None:
    assert all(ms >= 0 for ms in parse_server_timing(header).values())


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("pre_process", "preprocess"),
        ("Tokenizer.encode", "preprocess"),
        ("detokenize", "postprocess"),
        ("model.forward", "inference"),
        ("POST /v2/models/x/infer", "total"),
        ("queue_wait", "queue"),
        ("database", ""),
    ],
)
def test_a_names_stage(name: str, stage: str) -> None:
    assert stage_of(name) == stage
