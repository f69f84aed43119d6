"""A triage without a screen: its outcome survives readers that leave, signals and its own defects."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infdiag_tui import exit_codes
from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Config, ModelConfig
from infdiag_tui.headless import exit_code, run, summary
from infdiag_tui.model import (
    Evidence,
    IncidentInfo,
    LatencyView,
    LatencyWindow,
    Pod,
    Snapshot,
    SourceHealth,
    SourceState,
    Verdict,
)
from infdiag_tui.report.document import document
from infdiag_tui.session import Session
from infdiag_tui.targets import Target
from tests.support import eventually_blocking
from tests.test_cli import environment

NOW = 1_700_000_000.0
POD = Pod("prod", "m-1", "u", "Running", NOW, ready=True)


def seen(source: str, state: SourceState, evidence: tuple[Evidence, ...], *, answered: int = 0) -> Snapshot:
    window = LatencyWindow(None, answered, answered, (), None, None)
    return Snapshot(
        at=NOW,
        number=1,
        incident=IncidentInfo("m", "", NOW - 60),
        sources={source: SourceHealth(source, state, NOW - 30, last_data_at=NOW - 31)},
        latency=(LatencyView("t", (window,), None, None),) if answered else (),
        evidence=evidence,
    )


def found(id_: str, **changes: Any) -> Evidence:
    return Evidence(id_, "words", Verdict.FAIL, id_.partition(".")[0], NOW, **changes)


def test_a_server_that_never_answered_is_out_of_reach_and_one_that_stopped_is_a_problem() -> None:
    unreachable = (found("latency.reachable"), found("latency.error_rate"))
    assert exit_code(seen("latency", SourceState.UNAVAILABLE, unreachable)) == exit_codes.UNREACHABLE
    assert exit_code(seen("latency", SourceState.UNAVAILABLE, unreachable, answered=9)) == exit_codes.PROBLEM_FOUND


def test_what_an_api_told_before_it_went_is_a_problem_found() -> None:
    killed = (found("pods.oom_killed"),)
    assert exit_code(seen("pods", SourceState.UNAVAILABLE, killed)) == exit_codes.PROBLEM_FOUND
    assert exit_code(seen("pods", SourceState.FORBIDDEN, ())) == exit_codes.UNREACHABLE


def test_a_selector_that_matches_no_pod_is_a_target_not_found() -> None:
    snapshot = seen("pods", SourceState.DEGRADED, ())
    assert exit_code(snapshot) == exit_codes.UNREACHABLE
    assert exit_code(replace(snapshot, pods=(POD,))) == exit_codes.OK


def test_the_summary_names_what_could_not_be_watched_and_why() -> None:
    snapshot = seen("pods", SourceState.DEGRADED, ())
    health = replace(snapshot.sources["pods"], reason="no pods match app=x", remedy="check the selector")
    text = summary(
        replace(snapshot, sources={"pods": health, "latency": SourceHealth("latency", SourceState.STARTING, 0)})
    )
    assert "nothing over a threshold, but not everything could be watched" in text
    assert "degraded: pods: no pods match app=x" in text
    assert "remedy: check the selector" in text
    assert "starting: latency: nothing came from it in this time" in text


def test_a_value_that_is_no_number_is_null_in_json() -> None:
    snapshot = seen("latency", SourceState.LIVE, (found("x.y", value=float("nan"), high=float("inf")),))
    text = json.dumps(document(snapshot), allow_nan=False)
    assert json.loads(text)["evidence"][0]["value"] is None


def test_a_defect_of_infdiag_is_one_sentence_and_no_verdict_on_the_model(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Session):
        async def run(self) -> None:
            raise ZeroDivisionError("planted")

    session = Broken(Target("m", "", ModelConfig(), Config()), (), tmp_path, SystemClock())
    assert run(session, 5.0, as_json=True) == exit_codes.DEFECT
    out, err = capsys.readouterr()
    assert out == ""
    assert "ZeroDivisionError: planted" in err
    assert "Traceback" not in err


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    (tmp_path / "missing").mkdir()
    (tmp_path / "app.log").write_text("INFO fine\n")
    return tmp_path


def start(home: Path, *words: str, ignored: int | None = None, **streams: Any) -> subprocess.Popen[bytes]:
    program = "import signal, sys; from infdiag_tui.cli import main; sys.exit(main())"
    if ignored is not None:
        program = program.replace("; from", f"; signal.signal({ignored}, signal.SIG_IGN); from")
    return subprocess.Popen(
        [sys.executable, "-c", program, "triage", "--out", "o", *words],
        cwd=home,
        env=environment(home),
        **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **streams},
    )


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_left_changes_neither_course_nor_exit_code(home: Path, closed: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = ("--json", "--log", "missing/app.log", "--for", "1500ms")
    process = start(home, *words, **{"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, closed: writer})
    os.close(writer)
    out, err = process.communicate(timeout=60)
    assert process.returncode == exit_codes.UNREACHABLE, err
    assert b"Traceback" not in (err or b"")
    assert b"Exception ignored" not in (err or b"")
    if closed == "stderr":
        assert json.loads(out)["report"] == str(home / "o/report.md")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_result_that_cannot_be_written_is_told(home: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = start(home, "--log", "app.log", "--for", "500ms", stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=60)
    assert b"could not be written to standard output: No space left on device" in err
    assert b"Traceback" not in err


def test_a_closed_standard_output_is_told(home: Path) -> None:
    command = f"exec {sys.executable} -m infdiag_tui triage --log app.log --for 500ms >&-"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=home, env=environment(home), stderr=subprocess.PIPE, check=False
    )
    assert done.returncode in (exit_codes.OK, exit_codes.PROBLEM_FOUND)  # this machine may be busy
    assert b"standard output is closed" in done.stderr
    assert b"Traceback" not in done.stderr


def test_under_nohup_the_end_of_the_login_does_not_end_a_triage(home: Path) -> None:
    process = start(home, "--log", "app.log", "--for", "60s", ignored=signal.SIGHUP)
    eventually_blocking((home / "o/report.md").exists, timeout_s=30)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1.0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == exit_codes.INTERRUPTED


def test_a_second_interrupt_ends_a_triage_that_waits_for_a_dead_disk(home: Path) -> None:
    program = (
        "import sys, time; from infdiag_tui.cli import main; from infdiag_tui.report.writer import DraftFile;"
        "DraftFile.save = lambda *_: print('hung') or time.sleep(99);"
        "sys.exit(main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program, "triage", "--log", "app.log", "--for", "60s", "--out", "o"],
        cwd=home,
        env=environment(home),
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"hung\n"  # the autosave
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == b"hung\n"  # the save at the end
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == -signal.SIGINT
    process.stdout.close()
