"""The command line as a shell sees it: exit codes, one sentence per mistake, data and talk on their own streams."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from infdiag_tui.cli import duration_s, main
from tests.support import eventually_blocking


class Model(BaseHTTPRequestHandler):
    """A model server that answers at once, or fails as its server's `status` says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"prediction": 1}' if self.server.status == 200 else b"<html>broken</html>"  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server:
    def __init__(self, status: int) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Model)
        self.http.daemon_threads = True
        self.http.status = status  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.http.server_port}/predict"
        Thread(target=self.http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    (tmp_path / "body.json").write_text('{"features": [1, 2]}')
    return tmp_path


def infdiag(home: Path, *words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infdiag_tui", *words],
        cwd=home,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def environment(home: Path) -> dict[str, str]:
    root = str(Path(__file__).parents[1])
    kept = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST")}
    return {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": root,
        "TERM": "xterm-256color",
    }


def triage(home: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = infdiag(home, "triage", "--json", *words)
    return done.returncode, json.loads(done.stdout)


def test_a_healthy_server_is_exit_0_and_one_json_document(home: Path) -> None:
    # What a busy test machine does to the tail and to its own CPU is not what is tested here.
    (home / "infdiag.toml").write_text("[thresholds]\njitter_ratio = 1000\ncpu_share = 1.0\nmemory_share = 1.0\n")
    server = Server(200)
    try:
        code, document = triage(
            home, "--endpoint", server.url, "--body-file", "body.json", "--rate", "5", "--for", "4s"
        )
    finally:
        server.close()
    assert code == 0, document
    assert {one["status"] for one in document["hypotheses"]} <= {"untested", "refuted"}
    assert document["root_cause"] is None
    assert document["severity"] is None
    evidence = {one["id"]: one for one in document["evidence"]}
    p50 = evidence["latency.p50"]
    assert 0 < p50["value"] < 1000
    assert p50["unit"] == "ms"
    assert 10 <= p50["sample_size"] <= 21
    assert 0 < p50["window_s"] < 10
    assert p50["verdict"] == "ok"
    report = Path(document["report"])
    assert report.stat().st_mode & 0o777 == 0o600
    assert "Latency p50/p95/p99: n/a" not in report.read_text()
    assert document["sources"]["latency"]["state"] == "live"


def test_a_failing_server_is_exit_1_and_named(home: Path) -> None:
    server = Server(500)
    try:
        code, document = triage(
            home, "--endpoint", server.url, "--body-file", "body.json", "--rate", "5", "--for", "4s"
        )
    finally:
        server.close()
    assert code == 1
    assert document["severity"] == "Critical"
    errors = next(one for one in document["evidence"] if one["id"] == "latency.error_rate")
    assert errors["value"] == 1.0
    assert "http-status" in errors["statement"]


def test_a_server_that_is_not_there_is_exit_3_with_the_reason_on_standard_error(home: Path) -> None:
    done = infdiag(home, "triage", "--json", "--endpoint", "http://127.0.0.1:9/predict", "--for", "8s")
    assert done.returncode == 3
    assert json.loads(done.stdout)["sources"]["latency"]["state"] == "unavailable"
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_out_names_the_folder_and_a_log_file_is_watched(home: Path) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
    (home / "app.log").write_text(f"{now},000Z ERROR model exploded\n" * 30)
    code, document = triage(home, "--log", "app.log", "--for", "3s", "--out", "here")
    assert code == 1
    assert document["report"] == str(home / "here/report.md")
    assert "30 error lines" in (home / "here/report.md").read_text()


def test_two_runs_do_not_share_a_folder(home: Path) -> None:
    (home / "app.log").write_text("INFO fine\n")
    words = [sys.executable, "-m", "infdiag_tui", "triage", "--log", "app.log", "--for", "60s", "--out", "o"]
    first = subprocess.Popen(words, cwd=home, env=environment(home), stdout=subprocess.DEVNULL)
    try:
        eventually_blocking((home / "o/report.md").exists, timeout_s=30)
        second = infdiag(home, "triage", "--log", "app.log", "--for", "1s", "--out", "o")
        assert second.returncode == 2
        assert "o: another infdiag is at work in this folder. End that one, or name another" in second.stderr
    finally:
        first.kill()
        first.wait()
    assert infdiag(home, "triage", "--log", "app.log", "--for", "500ms", "--out", "o").returncode in (0, 1)


def test_a_triage_for_human_eyes(home: Path) -> None:
    (home / "app.log").write_text("INFO fine\n")
    done = infdiag(home, "triage", "--log", "app.log", "--for", "1s")
    assert done.returncode == 0
    assert "nothing over a threshold" in done.stdout
    assert "report: " in done.stdout


def test_an_interrupted_triage_still_prints_and_saves(home: Path) -> None:
    (home / "app.log").write_text("INFO fine\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "infdiag_tui", "triage", "--json", "--log", "app.log", "--for", "60s", "--out", "o"],
        cwd=home,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    eventually_blocking((home / "o/report.md").exists, timeout_s=30)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(stdout)["report"] == str(home / "o/report.md")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("triage",), "nothing to watch: no config was found"),
        (("triage", "--for", "soon"), "is no duration such as 30s"),
        (("triage", "--config", "nowhere.toml"), "nowhere.toml: no such config file"),
        (("triage", "slow-inferense"), "Did you mean 'slow-inference'?"),
        (("triage", "--endpoint", "model:8000"), "endpoint.url"),
        (("triage", "--endpoint", "http://m/", "--rate", "1000"), "less than or equal to 50"),
        (("triage", "--log", "a.log", "--out", "/proc/nowhere"), "folder cannot be made"),
        (("triage", "--endpoint", ""), "--endpoint: is empty"),
        (("triage", "--log", " "), "--log: is empty"),
        (("triage", "--config", "."), "is no file"),
        (("triage", "--namespace", "A B/../x"), "is no namespace"),
        (("demo", "nonsense"), "no scenario 'nonsense'"),
        ((), "needs a terminal"),
        (("--frobnicate",), "unrecognized arguments: --frobnicate"),
    ],
)
def test_each_mistake_is_exit_2_and_a_sentence_on_standard_error(home: Path, words: tuple[str, ...], said: str) -> None:
    done = infdiag(home, *words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_config_names_file_key_and_remedy(home: Path) -> None:
    (home / "infdiag.toml").write_text('[models.m.endpoint]\nurll = "http://m/"\n')
    done = infdiag(home, "triage")
    assert done.returncode == 2
    assert "infdiag.toml: models.m.endpoint.urll: unknown key. Did you mean 'url'?" in done.stderr


def test_a_folder_that_is_gone_is_a_sentence(home: Path) -> None:
    program = "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')"
    program += "; from infdiag_tui.cli import main; sys.exit(main(['triage', '--log', 'a.log']))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=home, env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "infdiag: the current folder no longer exists. Change to another with cd.\n"


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"healthy", "memory-leak", "preprocessing-slow", "cold-start"} <= set(names)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("2m", 120), ("1h", 3600), ("500ms", 0.5), ("7", 7)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["0s", "-1s", "25h", "1d", "", "s", "1e3"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        duration_s(text)
