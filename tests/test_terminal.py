"""Terminal checks: what is refused, in which words, and what SSH changes."""

from __future__ import annotations

import os
import pty
import select
import termios

import pytest

from infdiag_tui.terminal import NoTerminalError, TerminalState, few_colours, prepare_environment, require_terminal


class Stream:
    def __init__(self, tty: bool) -> None:
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


TTY, FILE = Stream(tty=True), Stream(tty=False)


def test_a_terminal_is_accepted() -> None:
    require_terminal({"TERM": "xterm-256color"}, stdin=TTY, stdout=TTY, stderr=TTY)


@pytest.mark.parametrize(
    ("stdin", "stdout", "stderr", "words"),
    [
        (FILE, TTY, TTY, "standard input is no terminal"),
        (TTY, FILE, TTY, "standard output is no terminal"),
        (TTY, TTY, FILE, "standard error is no terminal"),
        (FILE, FILE, TTY, "standard input and standard output are no terminals"),
    ],
)
def test_a_redirected_stream_is_named_with_what_to_do_instead(
    stdin: Stream, stdout: Stream, stderr: Stream, words: str
) -> None:
    with pytest.raises(NoTerminalError) as caught:
        require_terminal({"TERM": "xterm"}, stdin=stdin, stdout=stdout, stderr=stderr)
    assert words in str(caught.value)
    assert "infdiag triage --json" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_place_a_cursor_is_refused(term: str) -> None:
    with pytest.raises(NoTerminalError, match="TERM") as caught:
        require_terminal({"TERM": term}, stdin=TTY, stdout=TTY, stderr=TTY)
    assert caught.value.exit_code == 2


def test_over_ssh_animations_go_and_frames_are_few_unless_the_operator_said_otherwise() -> None:
    environ = {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22", "TEXTUAL_FPS": "30"}
    prepare_environment(environ)
    assert environ["TEXTUAL_ANIMATIONS"] == "none"
    assert environ["TEXTUAL_SMOOTH_SCROLL"] == "0"
    assert environ["TEXTUAL_FPS"] == "30"
    local: dict[str, str] = {}
    prepare_environment(local)
    assert local == {}


@pytest.mark.parametrize(
    ("environ", "few"),
    [
        ({"TERM": "linux"}, True),
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm-256color"}, False),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, False),
    ],
)
def test_terminals_with_16_colours_are_known(environ: dict[str, str], few: bool) -> None:
    assert few_colours(environ) is few


def fill(terminal: int) -> None:
    while True:
        os.write(terminal, b"x" * 4096)


def test_settings_are_put_back_without_waiting_for_a_terminal_that_reads_nothing() -> None:
    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        state = TerminalState(slave, slave)
        changed = termios.tcgetattr(slave)
        changed[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, changed)
        os.set_blocking(slave, False)
        with pytest.raises(BlockingIOError):
            fill(slave)
        state.restore("ended", leave_screen=True)
        assert termios.tcgetattr(slave) == before
        left = b""
        while not left.endswith(b"ended\r\n") and select.select([master], [], [], 5.0)[0]:
            left += os.read(master, 65536)
        assert b"\x1b[?1049l" in left
        assert left.endswith(b"ended\r\n")
    finally:
        os.close(master)
        os.close(slave)


def test_a_terminal_that_is_gone_is_left_alone() -> None:
    master, slave = pty.openpty()
    state = TerminalState(slave, slave)
    os.close(master)
    state.restore("ended", leave_screen=True)
    os.close(slave)
    state.restore("ended", leave_screen=True)
