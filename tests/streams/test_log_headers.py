"""Where the message of a log line begins: behind its own time and level, and behind nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from infdiag_tui.model import LogLine, Severity
from infdiag_tui.streams.log_assembler import MAX_LINE_CHARACTERS, LineAssembler
from infdiag_tui.streams.log_headers import Header, find_header

NOW = datetime(2026, 1, 2, 16, tzinfo=UTC).timestamp()
TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: bad'


def assemble(text: str, *, at: float | None = None) -> list[LogLine]:
    assembler = LineAssembler("app.log")
    done = [entry for line in text.split("\n") for entry in assembler.feed(line, NOW, at=at)]
    return done + assembler.flush()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('2026-01-01T12:00:00.488Z INFO app.access: 1.2.3.4 - "POST /"', 'app.access: 1.2.3.4 - "POST /"'),
        ("2026-01-01 12:00:00,123 ERROR foo", "foo"),
        ("2026/01/01 12:00:00 [error] 7#7: *1 upstream timed out", "7#7: *1 upstream timed out"),
        ("2026-01-01 12:00:00.123 | ERROR    | mod:fn:1 - msg", "mod:fn:1 - msg"),
        ("2026-01-01T12:00:00.000Z\terror\tmsg\tx", "msg    x"),
        ("2026-01-01T12:00:00,123 [INFO ] W-9000-stdout MODEL_LOG - x", "W-9000-stdout MODEL_LOG - x"),
        ("2026-01-01 12:00:00.000000: E tensorflow/core/x.cc:12] msg", "tensorflow/core/x.cc:12] msg"),
        ("2026-01-01T12:00:00Z I 1 server.cc:674] loaded", "server.cc:674] loaded"),
        ("[2026-01-01 12:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT", "WORKER TIMEOUT"),
        ("2026-01-01T12:00:00.123456Z 0 [ERROR] [MY-1] x", "[MY-1] x"),
        ("INFO 2026-01-01 12:00:00,123 serve 12 -- msg", "serve 12 -- msg"),
        ("E0102 15:04:05.000000 1 file.go:1] msg", "file.go:1] msg"),
        ("INFO 01-02 15:04:05 [api_server.py:100] started", "[api_server.py:100] started"),
        ("Jan  2 15:04:05 host app[12]: x", "host app[12]: x"),
        ('time="2026-01-01T12:00:00Z" level=error msg=x', "msg=x"),
        ("2026-01-01T12:00:00Z level=error msg=x", "msg=x"),
        ('INFO:     127.0.0.1:1 - "POST / HTTP/1.1" 200 OK', '127.0.0.1:1 - "POST / HTTP/1.1" 200 OK'),
        ('INFO:     ::1:80 - "GET / HTTP/1.1" 200', '::1:80 - "GET / HTTP/1.1" 200'),
        ("ERROR:root:msg", "root:msg"),
        ("[ERROR] -5 degrees", "-5 degrees"),
        ('{"log":"2026-01-01 12:00:00 ERROR boom","id":3}', "boom id=3"),
    ],
)
def test_time_and_level_are_left_out(line: str, message: str) -> None:
    (entry,) = assemble(line)
    assert entry.message == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2026-01-01 12:00:00,123 - root - ERROR - msg", "root - ERROR - msg"),
        ("2026-01-01 12:00:00.123  INFO 1 --- [main] c.e.Foo : msg", "1 --- [main] c.e.Foo : msg"),
        (
            "(EngineCore_DP0 pid=78) ERROR 01-02 15:04:05 [core.py:710] died",
            "(EngineCore_DP0 pid=78) [core.py:710] died",
        ),
        ("[2026-01-01 12:00:00 TP0] Decode batch", "[TP0] Decode batch"),
        ('1.2.3.4 - - [01/Jan/2026:12:00:00 +0000] "GET / HTTP/1.1" 502 1', '1.2.3.4 - - "GET / HTTP/1.1" 502 1'),
    ],
)
def test_logger_process_and_rank_stay(line: str, message: str) -> None:
    (entry,) = assemble(line)
    assert entry.message == message


@pytest.mark.parametrize(
    "line",
    [
        "panic: runtime error",
        "success: yes",
        "config: loaded",
        "level=panic msg=x",
        "plain words",
        "time=12345.678s spent",
        "INFO",
        "2026-01-01 12:00:00",
        "2026-99-01 12:00:00 no such month",
        "[rank0]: ValueError: bad",
        '{"level":"error","msg":"boom"}',
    ],
)
def test_what_says_more_than_time_and_level_stays(line: str) -> None:
    (entry,) = assemble(line)
    assert (entry.header_start, entry.message_start) == (0, 0)
    assert entry.message == entry.text


def test_a_time_that_is_not_believed_stays_in_view() -> None:
    (entry,) = assemble("2026-01-05 12:00:00 ERROR of the future")
    assert entry.at is None
    assert entry.message == entry.text


def test_the_place_holds_where_colours_and_secrets_went() -> None:
    (entry,) = assemble("\x1b[31m2026-01-01 12:00:00\x1b[0m\tERROR\tlogin password=hunter2")
    assert entry.message == "login password=[redacted]"
    (entry,) = assemble("(token=hunter2x) 2026-01-01 12:00:00 ERROR login")  # no label any more: nothing is left out
    assert entry.message == entry.text == "(token=[redacted]) 2026-01-01 12:00:00 ERROR login"


def test_the_place_holds_in_a_line_that_was_cut() -> None:
    (entry,) = assemble("2026-01-01 12:00:00 ERROR " + "x" * 20_000)
    assert entry.message == "x" * (MAX_LINE_CHARACTERS - 26)


def test_an_entry_of_several_lines_loses_only_the_time_of_its_first() -> None:
    (entry,) = assemble(f"2026-01-01 12:00:00 ERROR it failed\n{TRACEBACK}")
    assert entry.message == f"it failed\n{TRACEBACK}"
    assert entry.headline == "ValueError: bad"


def test_a_header_with_nothing_behind_it_stays() -> None:
    (entry,) = assemble(f"2026-01-01 12:00:00 ERROR\n{TRACEBACK}")
    assert entry.message == entry.text


def test_no_header_is_empty() -> None:
    assert find_header("") == Header(0, 0, timed=False, levelled=False)


PIECES = st.sampled_from(
    [
        "2026-01-01 12:00:00", "2026-01-01T12:00:00.5Z", " ERROR ", "INFO:", "[error] ", "[2026-01-01 12:00:00 TP0]",
        "(a pid=1) ", "[rank0]: ", "E0102 15:04:05.000000 1 a.go:1] ", "Jan  2 15:04:05 h a: ", "level=info ", "\t",
        "ts=2026-01-01T12:00:00Z ", '{"msg":"', '"}', "password=x ", "\x1b[31m", " - ", ": ", "|", "x", "日本 ", "\n",
        "1.2.3.4 - - [01/Jan/2026:12:00:00 +0000] ", "Traceback (most recent call last):", "INFO 01-02 15:04:05 [a:1] ",
    ],
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join) | st.text(max_size=120), st.none() | st.just(NOW))
@example('{"msg":"\\n2026-01-01 12:00:00 ERROR x"}', None)
def test_the_message_begins_within_the_first_line_and_is_never_empty(text: str, at: float | None) -> None:
    for entry in assemble(text, at=at):
        first = entry.text.partition("\n")[0]
        assert 0 <= entry.header_start <= entry.message_start <= len(first) <= len(entry.text)
        assert entry.message.strip()
        assert entry.headline.strip()
        if entry.severity is Severity.UNKNOWN:
            assert "ERROR" not in entry.text[entry.header_start : entry.message_start]


@pytest.mark.parametrize("piece", ["(a) ", "2026-01-01 12:00:00 ", "level=info ", "- ", " ", ": ", "[1]", "INFO "])
def test_repeated_headers_end(piece: str) -> None:
    header = find_header(piece * (MAX_LINE_CHARACTERS // len(piece)))
    assert 0 <= header.start <= header.end
