"""Severity, time and readable text of single lines in the formats that model servers write."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import Severity
from infdiag_tui.streams.log_formats import parse_line
from infdiag_tui.streams.log_times import Stamp, Zone, local_offset_s, parse_any

NOW = datetime(2026, 1, 2, 16, tzinfo=UTC).timestamp()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
KLOG_TIME = datetime(2026, 1, 2, 15, 4, 5, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("severity", "at", "line"),
    [
        ("error", NOON + 0.123, "2026-01-01 12:00:00,123 ERROR foo"),
        ("error", NOON, "2026/01/01 12:00:00 [error] 7#7: *1 upstream timed out"),
        ("error", NOON, "2026-01-01 12:00:00.123 | ERROR    | mod:fn:1 - msg"),
        ("error", NOON, "2026-01-01 12:00:00,123 - root - ERROR - msg"),
        ("error", NOON, "2026-01-01 12:00:00,100 uvicorn.error ERROR x"),
        ("error", NOON, "2026-01-01T12:00:00.123456Z 0 [ERROR] [MY-1] x"),
        ("debug", NOON, "2026-01-01 12:00:00,123 [mlserver.parallel] DEBUG - x"),
        ("info", NOON, "2026-01-01 12:00:00.123 1 kserve INFO [model_server.py:start():100] x"),
        ("info", NOON, "2026-01-01 12:00:00.123  INFO 1 --- [main] c.e.Foo : msg"),
        ("info", NOON, "2026-01-01T12:00:00.000Z\tINFO\tmsg"),
        ("error", NOON, "2026-01-01T12:00:00.000Z\terror\tmsg"),
        ("info", NOON, "2026-01-01T12:00:00.000000Z  INFO text_generation_router: msg"),
        ("info", NOON, "2026-01-01T12:00:00,123 [INFO ] W-9000-model_1.0-stdout MODEL_LOG - Error rate 0"),
        ("error", NOON, "2026-01-01 12:00:00.000000: E tensorflow/core/x.cc:12] msg"),
        ("error", NOON, "2026-01-01 12:00:00.1234567 [E:onnxruntime:, executor.cc:514 ExecuteKernel] msg"),
        ("info", NOON, "2026-01-01T12:00:00Z I 1 server.cc:674] loaded"),
        ("warning", NOON, "[2026-01-01 12:00:00.123][1][warning][config] [file] msg"),
        ("critical", NOON, "[2026-01-01 12:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:9)"),
        ("info", NOON, "INFO 2026-01-01 12:00:00,123 serve 12 -- msg"),
        ("unknown", NOON, "[2026-01-01 12:00:00 TP0] Decode batch. #running-req: 1"),
        ("error", None, "[ERROR] x"),
        ("error", None, "ERROR:root:msg"),
        ("warning", None, "WARN something"),
        ("error", KLOG_TIME, "E0102 15:04:05.000000 1 file.go:1] msg"),
        ("critical", KLOG_TIME, "F0102 15:04:05.000000  123 server.cc:1] dead"),
        ("info", KLOG_TIME, "I20260102 15:04:05.000000  123 server.cc:1] glog with a year"),
        ("info", KLOG_TIME, "INFO 01-02 15:04:05 [api_server.py:100] started"),
        ("error", KLOG_TIME, "(EngineCore_DP0 pid=78) ERROR 01-02 15:04:05 [core.py:710] died"),
        ("error", KLOG_TIME, "Jan  2 15:04:05 host app[12]: ERROR: x"),
        ("error", KLOG_TIME, "<3>Jan  2 15:04:05 host app[12]: x"),
        ("error", NOON, 'time="2026-01-01T12:00:00Z" level=error msg=x'),
        ("info", NOON, 'level=info ts=2026-01-01T12:00:00Z msg="0 errors error=none"'),
        ("error", NOON, '{"level":"error","ts":1767268800.5,"msg":"boom"}'),
        ("warning", NOON, '{"severity":"WARNING","time":1767268800123,"message":"ms"}'),
        ("info", NOON, '{"levelname":"INFO","timestamp":1767268800123456,"message":"us, error"}'),
        ("debug", NOON, '{"lvl":"dbug","level":"debug","@timestamp":1767268800123456789,"message":"ns"}'),
        ("info", NOON, '{"level":30,"time":1767268800000,"pid":1,"hostname":"h","msg":"pino"}'),
        ("error", NOON, '{"log.level":"error","@timestamp":"2026-01-01T12:00:00.123Z","message":"ecs"}'),
        ("info", None, 'INFO:     127.0.0.1:1234 - "POST /predict HTTP/1.1" 200 OK'),
        ("info", None, 'INFO:     127.0.0.1:1234 - "POST /predict HTTP/1.1" 404 Not Found'),
        ("error", None, 'INFO:     127.0.0.1:1234 - "POST /predict HTTP/1.1" 500 Internal Server Error'),
        ("error", NOON, '10.0.0.1 - - [01/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 502 12 "-" "curl"'),
        ("info", NOON, '10.0.0.1 - - [01/Jan/2026:13:00:00 +0100] "GET / HTTP/1.1" 200 12 "-" "curl"'),
        ("error", None, "error: unrecognized arguments"),
    ],
)
def test_severity_and_time_are_what_the_format_states(severity: str, at: float | None, line: str) -> None:
    found = parse_line(line, NOW)
    assert found.severity == severity
    assert found.headed
    if at is None:
        assert found.stamp is None
    else:
        assert found.stamp is not None
        assert found.stamp.seconds == pytest.approx(at, abs=0.99)


@pytest.mark.parametrize(
    "line",
    [
        "0 errors found",
        "error_rate=0",
        "error_count: 0",
        "Errors: 0",
        "2026-01-01 12:00:00 processed batch, 0 errors",
        "2026-01-01 12:00:00 error rate is 0",
        "2026-01-01 12:00:00 got ERROR from nobody",
        "no ERROR here",
        "Killed 3 workers gracefully",
        "all fine, no Traceback",
        '{"level":30,"msg":"a number of an unknown scale"}',
        '{"msg":"0 errors","error_rate":0}',
        "",
    ],
)
def test_words_of_the_message_are_no_level(line: str) -> None:
    assert parse_line(line, NOW).severity is Severity.UNKNOWN


@pytest.mark.parametrize(
    "line",
    ["INFO 0 errors, ERROR count 0", "2026-01-01 12:00:00 INFO ERROR count=0", '{"level":"info","error":"ERROR none"}',
     "I0102 15:04:05.000000 1 file.go:1] ERROR panic: fatal"],
)  # fmt: skip
def test_a_stated_level_outranks_the_words_of_the_message(line: str) -> None:
    assert parse_line(line, NOW).severity is Severity.INFO


@pytest.mark.parametrize(
    ("line", "severity"),
    [
        ("Traceback (most recent call last):", Severity.ERROR),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", Severity.ERROR),
        ("CUDA error: device-side assert triggered", Severity.ERROR),
        ("Segmentation fault (core dumped)", Severity.CRITICAL),
        ("Killed", Severity.CRITICAL),
        ("panic: runtime error: index out of range", Severity.CRITICAL),
        ("fatal: cannot load model", Severity.CRITICAL),
        ("/usr/lib/x.py:12: UserWarning: X does not have valid feature names", Severity.WARNING),
    ],
)
def test_lines_that_can_mean_only_one_thing_need_no_level(line: str, severity: Severity) -> None:
    assert parse_line(line, NOW).severity is severity


def test_json_is_shown_as_message_fields_and_traceback() -> None:
    line = '{"level":"error","ts":1767268800,"msg":"failed","id":"a b","n":3,"exc_info":"Traceback (x):\\n  f\\nE: y"}'
    assert parse_line(line, NOW).text == 'failed id="a b" n=3\nTraceback (x):\n  f\nE: y'


def test_a_json_line_cut_off_in_the_middle_still_states_its_level() -> None:
    found = parse_line('{"level":"error","msg":"aaaa', NOW)
    assert (found.severity, found.text) == (Severity.ERROR, '{"level":"error","msg":"aaaa')


def test_a_failed_request_in_json_is_an_error() -> None:
    assert parse_line('{"level":"info","method":"POST","path":"/predict","status":503}', NOW).severity is Severity.ERROR


def test_a_date_without_a_year_is_the_nearest_one() -> None:
    new_year = datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC).timestamp()
    found = parse_line("E1231 23:59:59.000000 1 file.go:1] msg", new_year)
    assert found.stamp is not None
    assert new_year - found.stamp.seconds == pytest.approx(6.0)


@pytest.mark.parametrize("value", [0, -1, 5, 1e40, float("nan"), float("inf"), True, None, "", "12", "soon enough", []])
def test_what_is_no_time_is_not_taken_for_one(value: object) -> None:
    assert parse_any(value) is None


def test_a_zone_is_learned_from_a_line_whose_writing_was_seen() -> None:
    zone = Zone(local_offset_s)
    zone.calibrate(Stamp(NOON + 7200.0, zoned=False), written_at=NOON + 1.0)
    assert zone.calibrated
    assert zone.unix_s(Stamp(NOON + 7200.0, zoned=False), NOW) == NOON


def test_a_zone_is_not_learned_from_a_line_that_fits_none() -> None:
    zone = Zone()
    zone.calibrate(Stamp(NOON + 7200.0 + 400.0, zoned=False), written_at=NOON)
    zone.calibrate(Stamp(NOON + 7200.0, zoned=True), written_at=NOON)
    assert not zone.calibrated


def test_a_time_in_the_future_is_not_believed() -> None:
    assert Zone().unix_s(Stamp(NOW + 3600.0, zoned=True), NOW) is None


HEADERS = [
    "(a) ",
    "[x] ",
    "2026-01-01 12:00:00",
    " ERROR ",
    "Jan  2 15:04:05 h a: ",
    "level=",
    '{"msg":',
    "HTTP/1.1 500",
]
PIECES = st.sampled_from([*HEADERS, "I0102 ", *'{}[]()<>":=,|'])


@settings(deadline=None)
@given(st.text(max_size=300) | st.lists(PIECES, max_size=30).map("".join))
def test_no_line_makes_the_parser_fail(line: str) -> None:
    found = parse_line(line, NOW)
    assert found.severity in Severity


@pytest.mark.parametrize(
    "piece", ["(a) ", "[", "2026-01-01 12:00:00 ", "a.", "a=", "Jan  2 15:04:05 h a: ", "[x]", "w ", '{"a":']
)
def test_nested_and_repeated_headers_end(piece: str) -> None:
    assert parse_line(piece * (16_000 // len(piece)), NOW).severity is Severity.UNKNOWN
