"""The real program in a real terminal: sizes, keys, and a draft that outlives whatever happens to the link."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.console import Console
from tests.support import eventually_blocking

pytestmark = pytest.mark.e2e

ENDS_WITHIN_S = 2.0
QUIET = "[models.quiet.gpu]\nnvml = false\n"


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    (tmp_path / "infdiag.toml").write_text(QUIET)
    return tmp_path


@pytest.fixture(name="screen")
def _screen(home: Path) -> Iterator[Console]:
    with Console("--out", str(home / "incident"), home=home) as screen:
        screen.wait_for("Machine", "Report draft", "saved")
        yield screen


def draft(home: Path) -> str:
    return (home / "incident/report.md").read_text()


def write(screen: Console, words: str) -> None:
    """Types into the report."""
    screen.press("6")
    screen.wait_for("back to commands")
    screen.press(words)
    screen.wait_for(words)


@pytest.mark.parametrize(("columns", "rows"), [(120, 40), (200, 60)])
def test_a_wide_terminal_shows_every_panel(home: Path, columns: int, rows: int) -> None:
    with Console(home=home, columns=columns, rows=rows) as screen:
        screen.wait_for("quiet", "GPU", "Machine", "Pods", "Latency", "Logs", "Findings", "Report draft")


def test_the_terminals_own_size_counts_not_an_exported_one(home: Path) -> None:
    with Console(home=home, columns=120, rows=40, env={"COLUMNS": "80", "LINES": "24"}) as screen:
        screen.wait_for("Machine", "Report draft")


def test_a_narrow_terminal_shows_one_panel_and_tabs(home: Path) -> None:
    with Console(home=home, columns=80, rows=24) as screen:
        screen.wait_for("quiet", "Nothing over a threshold", "[5 Findings]")
        screen.press("1")
        screen.wait_for("Machine", "[1 GPU]")
        screen.press("6")
        screen.wait_for("Timeline and notes:", "[6 Report]")


def test_too_small_a_terminal_says_so_until_it_grows(home: Path) -> None:
    with Console(home=home, columns=40, rows=10) as screen:
        screen.wait_for("40x10")
        screen.resize(120, 40)
        screen.wait_for("Machine")


def test_help_opens_and_closes(screen: Console) -> None:
    screen.press("?")
    screen.wait_for("Pause or resume the view")
    screen.press("\x1b")
    eventually_blocking(lambda: not screen.shows("Pause or resume the view"))


def test_quitting_leaves_the_terminal_as_it_was_and_says_where_the_draft_is(screen: Console, home: Path) -> None:
    screen.press("q")
    assert screen.process.wait(10) == 0
    eventually_blocking(lambda: screen.shows("The report draft is in"))
    assert not screen.shows("Report draft")
    assert "Inference Diagnostic Report" in draft(home)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_ends_it_in_time_with_the_last_words_on_disk(screen: Console, home: Path, number: int) -> None:
    write(screen, "my last words")
    time_of_last_key = time.monotonic()
    eventually_blocking(lambda: time.monotonic() - time_of_last_key > 1.0)
    began = time.monotonic()
    screen.process.send_signal(number)
    screen.process.wait(10)
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert "my last words" in draft(home)


def test_a_hang_up_while_nobody_reads_the_terminal_saves_and_ends_in_time(screen: Console, home: Path) -> None:
    write(screen, "typed before the link died")
    screen.stop_reading()
    time_of_stall = time.monotonic()
    eventually_blocking(lambda: time.monotonic() - time_of_stall > 15.0, 20)
    assert "typed before the link died" in draft(home)
    began = time.monotonic()
    screen.process.send_signal(signal.SIGHUP)
    screen.process.wait(10)
    assert time.monotonic() - began < ENDS_WITHIN_S
    assert "typed before the link died" in draft(home)


def test_while_the_terminal_is_stalled_observing_and_saving_go_on(home: Path) -> None:
    log = home / "app.log"
    log.write_text("2026-01-01 00:00:00,000 INFO before\n")
    with Console("--log", "app.log", "--out", "incident", home=home) as screen:
        screen.wait_for("before")
        screen.stop_reading()
        stalled_at = time.monotonic()
        eventually_blocking(lambda: time.monotonic() - stalled_at > 15.0, 20)
        with log.open("a") as file:
            file.write("2026-01-01 00:00:01,000 ERROR while nobody looked\n" * 30)
        eventually_blocking(lambda: "30 error lines" in draft(home), 10)


def test_a_terminal_that_goes_away_ends_the_program(screen: Console, home: Path) -> None:
    screen.hang_up()
    screen.process.wait(10)
    assert "Inference Diagnostic Report" in draft(home)


def test_a_wrong_config_is_one_clear_message_on_the_restored_terminal(home: Path) -> None:
    (home / "infdiag.toml").write_text("[models.m.gpu]\nnvm = false\n")
    with Console(home=home, columns=200) as screen:
        assert screen.process.wait(20) == 2
        eventually_blocking(lambda: screen.shows("unknown key. Did you mean 'nvml'?"))
        assert not screen.shows("Traceback")


def test_no_colour_keeps_every_word(home: Path) -> None:
    with Console(home=home, env={"NO_COLOR": "1", "TERM": "linux", "COLORTERM": ""}) as screen:
        screen.wait_for("Machine", "GPU", "Findings", "live")
