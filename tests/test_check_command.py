"""`infdiag check` as a shell sees it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def infdiag(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infdiag_tui", "check", *words],
        cwd=home,
        env={**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    def table(name: str, shift: float) -> None:
        rows = "".join(f"{shift + number % 97},{'ab'[number % 2]}\n" for number in range(400))
        (tmp_path / name).write_text("amount,country\n" + rows)

    table("before.csv", 0)
    table("same.csv", 0)
    table("moved.csv", 40)
    return tmp_path


def test_every_check_is_listed_with_its_step_and_impact(home: Path) -> None:
    done = infdiag(home, "--list")
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "step 4" in rows["drift"]
    assert "read-only" in rows["drift"]


@pytest.mark.parametrize(("production", "code", "status"), [("same.csv", 0, "ok"), ("moved.csv", 1, "fail")])
def test_a_checks_verdict_is_its_exit_code_and_one_json_document(
    home: Path,
    production: str,
    code: int,
    status: str,
) -> None:
    done = infdiag(home, "drift", "--json", "--reference", "before.csv", "--production", production)
    document = json.loads(done.stdout)
    assert done.returncode == code
    assert set(document) == {"check", "status", "evidence", "result", "artifacts"}
    assert (document["check"], document["status"]) == ("drift", status)
    amount = next(one for one in document["result"]["features"] if one["name"] == "amount")
    assert {"kind", "ks_statistic", "p_value", "p_adjusted", "psi", "drifted"} <= set(amount)
    assert amount["drifted"] is (status == "fail")


def test_parameters_come_from_the_config_of_the_model(home: Path) -> None:
    (home / "infdiag.toml").write_text('[models.m.checks.drift]\nreference = "before.csv"\nproduction = "moved.csv"\n')
    done = infdiag(home, "drift", "--json")
    assert done.returncode == 1
    assert infdiag(home, "drift", "--json", "--production", "same.csv").returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("drift",), "needs --reference FILE and --production FILE"),
        (("drift", "--reference", "nowhere.csv", "--production", "same.csv"), "nowhere.csv"),
        (("drift", "--threshold", "7"), "command line: threshold"),
        (("drifft",), "no check 'drifft'"),
        (("reproduce",), "endpoint"),
    ],
)
def test_each_mistake_is_exit_2_and_a_sentence(home: Path, words: tuple[str, ...], said: str) -> None:
    done = infdiag(home, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_check_with_an_unreachable_target_is_exit_3(home: Path) -> None:
    (home / "cases.json").write_text('[{"input": {"x": 1}, "expected": {"y": 1}}]')
    done = infdiag(home, "reproduce", "--json", "--endpoint", "http://127.0.0.1:9/predict", "--cases", "cases.json")
    assert json.loads(done.stdout)["status"] == "error"
    assert done.returncode == 3
