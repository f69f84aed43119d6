"""The one line that stands for a whole log entry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infdiag_tui.model import LogLine, Severity
from infdiag_tui.model.log_headline import exception_line, first_line

FRAMES = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n'
GROUP = """  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in f
  | ExceptionGroup: errors (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "a.py", line 2, in g
    | ValueError: bad
    +------------------------------------"""


def line(text: str, header_start: int = 0, message_start: int = 0) -> LogLine:
    return LogLine("a", text, Severity.ERROR, 0.0, header_start=header_start, message_start=message_start)


@pytest.mark.parametrize(
    ("text", "exception"),
    [
        (f"{FRAMES}ValueError: bad", "ValueError: bad"),
        (f"ERROR failed\n{FRAMES}ValueError: bad\nnote", "ValueError: bad"),
        (
            f"{FRAMES}RuntimeError: CUDA error\nCUDA kernel errors\nSomeError: in the message",
            "RuntimeError: CUDA error",
        ),
        (f"{FRAMES}Timeout\n", "Timeout"),
        (f"{FRAMES}ValueError: a | b", "ValueError: a | b"),
        (f"{FRAMES}KeyError: 1\n\nDuring handling of it:\n\n{FRAMES}ValueError: 2", "ValueError: 2"),
        (f"{FRAMES}KeyError: 1\n\nDuring handling of it:\n\nTraceback (most recent call last):\n  File", "KeyError: 1"),
        (f"[rank0]: {FRAMES}ValueError: bad", "ValueError: bad"),
        (GROUP, "ValueError: bad"),
        (FRAMES, None),
        ("Traceback (most recent call last):", None),
        ("first\nValueError: not of a traceback", None),
        ("", None),
    ],
)
def test_the_exception_of_a_traceback_is_the_last_one(text: str, exception: str | None) -> None:
    assert exception_line(text) == exception


def test_without_a_traceback_the_first_line_that_is_not_blank_counts() -> None:
    assert first_line("\n  \n  first  \nsecond") == "first"
    assert first_line("only") == "only"
    assert first_line(" \n ") == ""


def test_a_message_is_the_text_without_its_own_time_and_level() -> None:
    entry = line("(pid=7) 12:00 ERROR died\nmore", 8, 20)
    assert entry.message == "(pid=7) died\nmore"
    assert entry.headline == "(pid=7) died"
    assert line("as it is").message == "as it is"


@given(
    st.lists(
        st.sampled_from(
            ["Traceback (most recent call last):", "  File", "ValueError: x", "", " ", "  | E: x", "+-+", "a"]
        )
        | st.text(max_size=20),
        max_size=12,
    ).map("\n".join),
)
def test_any_text_has_a_headline_of_one_line_that_stands_in_it(text: str) -> None:
    headline = line(text).headline
    assert "\n" not in headline
    assert headline in text
    assert headline or not text.strip() or "Traceback" in text
