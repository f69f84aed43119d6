"""The ways out: signals, a stalled terminal, a terminal that is gone, a crash, on a real pseudo-terminal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infdiag_tui.app import SCREEN_FAILED
from tests.screens.pty_console import PtyConsole

WITHIN_S = 2.5
"""The promise is 2 s from the signal; the rest is this test's own measuring on a busy machine."""

Start = Callable[..., PtyConsole]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[PtyConsole] = []

    def begin(mode: str = "ok") -> PtyConsole:
        console = PtyConsole(tmp_path / f"calls-{len(running)}", mode)
        running.append(console)
        return console

    yield begin
    for console in running:
        console.close()


def drawn(console: PtyConsole) -> bool:
    return b"OOMKilled" in console.output and console.called("start")


def stalled(console: PtyConsole) -> Callable[[], bool]:
    """True once the terminal has taken nothing more for a while."""
    seen = [(0, 0.0)]

    def rests() -> bool:
        size = console.unread_bytes()
        if size != seen[0][0]:
            seen[0] = (size, time.monotonic())
        return size > 3000 and time.monotonic() - seen[0][1] > 1.0

    return rests


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_saves_leaves_the_screen_in_order_and_ends(start: Start, number: signal.Signals) -> None:
    console = start()
    console.read_until(lambda: drawn(console))
    sent = time.monotonic()
    console.process.send_signal(number)
    console.read_until(lambda: console.process.poll() is not None)
    assert time.monotonic() - sent < WITHIN_S
    assert console.process.returncode == 128 + number
    assert console.called("stop")
    assert console.settings() == console.before
    text = console.drain()
    assert text.count("\x1b[?1049l") == 1
    assert f"ended by {number.name}; the report draft is saved" in text


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_it_also_while_nobody_reads_the_terminal(start: Start, number: signal.Signals) -> None:
    console = start()
    console.read_until(lambda: drawn(console))
    console.wait_unread(stalled(console))
    sent = time.monotonic()
    console.process.send_signal(number)
    assert console.process.wait(WITHIN_S) == 128 + number
    assert time.monotonic() - sent < WITHIN_S
    assert console.called("stop")
    assert console.settings() == console.before
    assert "\x1b[?1049l" in console.drain()


def test_what_is_typed_while_nobody_reads_the_terminal_reaches_the_engine(start: Start) -> None:
    console = start()
    console.read_until(lambda: drawn(console))
    console.type("6")
    console.read_until(lambda: b"back to commands" in console.output)
    console.wait_unread(stalled(console))
    console.type("cause found")
    console.wait_unread(lambda: any(call.get("tail", "").endswith("cause found") for call in console.calls()))


def test_a_terminal_that_reads_again_shows_the_present_state(start: Start) -> None:
    console = start()
    console.read_until(lambda: drawn(console))
    console.wait_unread(stalled(console))
    console.output = b""
    console.type("2")
    console.read_until(lambda: b"RESTARTS" in console.output and b"OOMKilled" in console.output)


def test_an_engine_that_hangs_does_not_hold_up_the_end(start: Start) -> None:
    console = start("hang")
    console.read_until(lambda: drawn(console))
    sent = time.monotonic()
    console.process.send_signal(signal.SIGTERM)
    console.read_until(lambda: console.process.poll() is not None)
    assert time.monotonic() - sent < WITHIN_S
    assert console.process.returncode == 128 + signal.SIGTERM
    assert "the report draft may not be saved" in console.drain()


def test_a_terminal_that_is_gone_ends_the_process(start: Start) -> None:
    console = start()
    console.read_until(lambda: drawn(console))
    console.close_slave()
    os.close(console.master)
    console.master = -1
    assert console.process.wait(5.0) == 128 + signal.SIGHUP
    assert console.called("stop")


def test_a_terminal_that_is_gone_is_noticed_without_any_signal(start: Start) -> None:
    """A program that the terminal does not control gets no SIGHUP; the hang-up itself must be seen."""
    console = start("not-controlled")
    console.read_until(lambda: drawn(console))
    console.close_slave()
    os.close(console.master)
    console.master = -1
    assert console.process.wait(5.0) == 128 + signal.SIGHUP
    assert console.called("stop")


def test_a_crash_says_one_sentence_where_the_draft_is_and_saves(start: Start) -> None:
    console = start("crash")
    console.read_until(lambda: console.process.poll() is not None)
    text = console.drain()
    assert console.process.returncode == SCREEN_FAILED
    assert console.called("stop")
    assert "infdiag's screen failed (RuntimeError: the screen's [own] fault)." in text
    assert "report.md" in text
    assert "infdiag.log" in text
    assert "Traceback" not in text
    assert console.settings() == console.before


def test_no_session_ends_with_its_reason_and_exit_code(start: Start) -> None:
    console = start("no-config")
    console.read_until(lambda: console.process.poll() is not None)
    assert console.process.returncode == 2
    text = console.drain()
    assert text.index("\x1b[?1049l") < text.index("no model named x")


def test_neither_a_foreign_byte_nor_a_paste_of_coloured_text_ends_the_console(start: Start) -> None:
    console = start()
    console.read_until(lambda: drawn(console))
    os.write(console.master, b"\xff\xe9")  # letters of another encoding
    os.write(console.master, b"\x1b[200~\x1b[31mq q \x1b[0mq\r\x1b[201~")
    console.output = b""
    console.type("2")
    console.read_until(lambda: b"RESTARTS" in console.output)
    assert not console.called("stop")
    console.type("q")
    console.read_until(lambda: console.process.poll() is not None)
    assert console.process.returncode == 0
    assert "UnicodeDecodeError" not in console.drain()


def test_quitting_stops_the_engine_and_says_where_the_report_is(start: Start) -> None:
    console = start()
    console.read_until(lambda: drawn(console))
    console.type("q")
    console.read_until(lambda: console.process.poll() is not None)
    assert console.process.returncode == 0
    assert console.called("stop")
    text = console.drain()
    assert text.index("\x1b[?1049l") < text.rindex("The report draft is in")
    assert console.settings() == console.before
