"""Lines put together to entries: nothing lost, tracebacks whole, nothing unprintable."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infdiag_tui.model import LogLine, Severity
from infdiag_tui.streams.log_assembler import MAX_ENTRY_LINES, MAX_LINE_CHARACTERS, LineAssembler

NOW = 1_767_369_600.0


def assemble(text: str, source: str = "app.log") -> list[LogLine]:
    assembler = LineAssembler(source)
    done = [entry for line in text.split("\n") for entry in assembler.feed(line, NOW)]
    return done + assembler.flush()


def shapes(text: str) -> list[tuple[str, str, int]]:
    return [(entry.severity.value, entry.headline, entry.text.count("\n") + 1) for entry in assemble(text)]


TRACEBACK = """Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
ValueError: bad"""


def test_each_ordinary_line_is_one_entry_in_order() -> None:
    assert [entry.text for entry in assemble("INFO a\nINFO b\nplain c\n\nplain d")] == [
        "INFO a", "INFO b", "plain c", "plain d",
    ]  # fmt: skip


def test_the_last_entry_is_held_until_the_next_line_or_a_flush() -> None:
    assembler = LineAssembler("x", previous=True)
    assert assembler.feed("INFO a", NOW) == []
    assert assembler.holds
    (first,) = assembler.feed("INFO b", NOW + 1)
    (second,) = assembler.flush()
    assert (first.text, first.received_at, first.previous, first.source) == ("INFO a", NOW, True, "x")
    assert (second.text, second.received_at) == ("INFO b", NOW + 1)
    assert assembler.flush() == []
    assert not assembler.holds


def test_a_traceback_is_one_error_whose_exception_is_its_headline() -> None:
    assert shapes(f"INFO before\n{TRACEBACK}\nINFO after") == [
        ("info", "before", 1),
        ("error", "ValueError: bad", 4),
        ("info", "after", 1),
    ]


def test_a_logged_exception_is_one_entry_with_its_traceback() -> None:
    assert shapes(f"ERROR:root:it failed\n{TRACEBACK}\nINFO:root:after") == [
        ("error", "ValueError: bad", 5),
        ("info", "root:after", 1),
    ]


def test_a_traceback_after_a_warning_makes_the_entry_an_error() -> None:
    assert shapes(f"WARNING:root:retrying\n{TRACEBACK}") == [("error", "ValueError: bad", 5)]


def test_a_python_warning_before_a_traceback_is_an_entry_of_its_own() -> None:
    assert shapes(f"a.py:3: UserWarning: careful\n{TRACEBACK}") == [
        ("warning", "a.py:3: UserWarning: careful", 1),
        ("error", "ValueError: bad", 4),
    ]


def test_the_word_before_a_threads_traceback_goes_with_it() -> None:
    assert shapes(f"Exception in thread Thread-1 (f):\n{TRACEBACK}") == [("error", "ValueError: bad", 5)]


def test_a_failed_request_and_the_traceback_below_it_are_two_entries() -> None:
    access = 'INFO:     127.0.0.1:1 - "POST /predict HTTP/1.1" 500 Internal Server Error'
    assert [shape[0] for shape in shapes(f"{access}\nERROR:    Exception in ASGI application\n{TRACEBACK}")] == [
        "error"
    ] * 2


@pytest.mark.parametrize(
    "link",
    ["During handling of the above exception, another exception occurred:",
     "The above exception was the direct cause of the following exception:"],
)  # fmt: skip
def test_chained_exceptions_are_one_entry(link: str) -> None:
    second = TRACEBACK.replace("ValueError: bad", "RuntimeError: worse")
    assert shapes(f"{TRACEBACK}\n\n{link}\n\n{second}\nINFO after") == [
        ("error", "RuntimeError: worse", 9),
        ("info", "after", 1),
    ]


def test_two_tracebacks_that_are_not_chained_are_two_entries() -> None:
    assert shapes(f"{TRACEBACK}\n{TRACEBACK}") == [("error", "ValueError: bad", 4)] * 2


def test_a_message_of_several_lines_stays_with_its_exception() -> None:
    text = TRACEBACK.replace("ValueError: bad", "RuntimeError: CUDA error: device-side assert triggered")
    text += "\nCUDA kernel errors might be asynchronously reported\nCompile with `TORCH_USE_CUDA_DSA`\n\nINFO after"
    assert [shape[2] for shape in shapes(text)] == [6, 1]


def test_a_traceback_whose_every_line_bears_the_header_is_one_entry() -> None:
    header = "(EngineCore_DP0 pid=7) ERROR 01-02 15:04:0{} [core.py:710] "
    lines = ["EngineCore encountered a fatal error.", *TRACEBACK.split("\n")]
    text = "\n".join(header.format(number // 3) + line for number, line in enumerate(lines))
    ((severity, head, count),) = shapes(text)
    assert (severity, head, count) == ("error", "ValueError: bad", 5)


def test_a_labelled_traceback_of_one_rank_is_one_entry() -> None:
    text = "\n".join(f"[rank0]: {line}" for line in TRACEBACK.split("\n"))
    assert shapes(f"{text}\nINFO after") == [("error", "ValueError: bad", 4), ("info", "after", 1)]


def test_an_exception_group_is_one_error() -> None:
    text = (
        "  + Exception Group Traceback (most recent call last):\n  |   File 'a.py', line 1, in f\n"
        "  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | ValueError: bad\n    +------------------------------------"
    )
    ((severity, _, count),) = shapes(text)
    assert (severity, count) == ("error", 6)


def test_a_go_panic_is_one_critical_entry() -> None:
    text = "panic: runtime error: index [3]\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/x.go:1 +0x1d\nINFO after"
    assert [(severity, count) for severity, _, count in shapes(text)] == [("critical", 4), ("info", 1)]


def test_a_java_stack_is_one_entry() -> None:
    stack = "java.io.IOException: no\n\tat a.b(C.java:1)\nCaused by: y\n\t... 3 more"
    text = f"2026-01-01 12:00:00 ERROR x failed\n{stack}\nINFO z"
    assert [shape[2] for shape in shapes(text)] == [1, 4, 1]


def test_a_flush_in_the_middle_of_a_traceback_keeps_the_rest_an_error() -> None:
    assembler = LineAssembler("x")
    head, tail = TRACEBACK.split("\n")[:2], TRACEBACK.split("\n")[2:]
    for line in head:
        assert assembler.feed(line, NOW) == []
    first = assembler.flush()
    for line in tail:
        assert assembler.feed(line, NOW) == []
    second = assembler.flush()
    assert [entry.severity for entry in first + second] == [Severity.ERROR, Severity.ERROR]
    assert second[0].text.endswith("ValueError: bad")


def test_an_endless_continuation_is_given_out_in_bounded_entries() -> None:
    entries = assemble(
        "Traceback (most recent call last):\n" + "\n".join("  frame" for _ in range(3 * MAX_ENTRY_LINES))
    )
    assert len(entries) == 4
    assert {entry.severity for entry in entries} == {Severity.ERROR}
    assert sum(entry.text.count("frame") for entry in entries) == 3 * MAX_ENTRY_LINES


def test_an_over_long_line_is_cut_and_counted() -> None:
    (entry,) = assemble("ERROR " + "é" * 20_000)
    assert len(entry.text) == MAX_LINE_CHARACTERS
    assert entry.cut_bytes == 2 * (20_006 - MAX_LINE_CHARACTERS)
    assert entry.severity is Severity.ERROR


def test_the_runtimes_time_outranks_the_lines_own() -> None:
    assembler = LineAssembler("x")
    assembler.feed("2026-01-01 12:00:00 ERROR foo", NOW, at=NOW - 5)
    (entry,) = assembler.flush()
    assert entry.at == NOW - 5


def test_lines_of_a_container_runtime_are_unwrapped_and_their_parts_joined() -> None:
    text = (
        "2026-01-02T15:04:05.5Z stderr P ERROR first \n2026-01-02T15:04:05.6Z stderr F half\n"
        '{"log":"WARN docker\\n","stream":"stdout","time":"2026-01-02T15:04:07.000000001Z"}'
    )
    entries = assemble(text)
    assert [(entry.text, entry.severity) for entry in entries] == [
        ("ERROR first half", Severity.ERROR),
        ("WARN docker", Severity.WARNING),
    ]
    assert entries[1].at == pytest.approx(1_767_366_247.0)


def test_colours_and_secrets_are_gone_and_the_level_behind_colours_is_seen() -> None:
    (entry,) = assemble("\x1b[31mERROR\x1b[0m login password=hunter2\r")
    assert (entry.text, entry.severity) == ("ERROR login password=[redacted]", Severity.ERROR)


def test_a_private_key_over_several_lines_is_redacted_whole() -> None:
    entries = assemble("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0\n-----END PRIVATE KEY-----\nINFO after")
    assert [entry.text for entry in entries] == ["[redacted]", "INFO after"]


LINES = st.lists(
    st.text(max_size=60)
    | st.sampled_from(
        [
            *TRACEBACK.split("\n"), "", "panic: x",
            "During handling of the above exception, another exception occurred:",
            "  indented", "}", "2026-01-01T12:00:00Z stdout P part", "2026-01-01T12:00:00Z stdout F", "Caused by: q",
            "[rank0]: Traceback (most recent call last):", "[rank0]:",
            "(E pid=1) ERROR 01-02 15:04:05 [c.py:7] ValueError: y", "\x0c",
            "(E pid=1) ERROR 01-02 15:04:05 [c.py:7] Traceback (most recent call last):", "\x00", "{", '{"a":1}',
        ],
    ),
    max_size=25,
)  # fmt: skip


@settings(deadline=None)
@given(LINES)
def test_no_input_fails_and_no_control_character_gets_through(lines: list[str]) -> None:
    assembler = LineAssembler("x")
    entries = [entry for line in lines for entry in assembler.feed(line, NOW)] + assembler.flush()
    for entry in entries:
        assert all(char == "\n" or unicodedata.category(char) not in ("Cc", "Cs") for char in entry.text)
    assert not assembler.holds


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_taken(data: bytes) -> None:
    for entry in assemble(data.decode("utf-8", "replace")):
        assert all(char == "\n" or unicodedata.category(char) != "Cc" for char in entry.text)


WORD = st.from_regex(r"[a-z]{1,8}[0-9]{0,3}", fullmatch=True)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "  ", "INFO ", "Traceback (most recent call last):", "}", "ValueError: "]), WORD)
    )
)
def test_all_text_is_accounted_for(parts: list[tuple[str, str]]) -> None:
    lines = [start + word for start, word in parts]
    shown = " ".join(entry.text for entry in assemble("\n".join(lines)))
    assert shown.split() == " ".join(lines).split()
