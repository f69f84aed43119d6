"""What is started under a token is found again and ended, by whatever shell a container has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from infdiag_tui.remote import scripts
from tests.support import eventually_blocking

SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"], "mksh": ["mksh"]}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    words = SHELLS[request.param]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return words


def test_a_command_keeps_its_words_its_input_and_its_exit_code(shell: list[str]) -> None:
    code = "import sys; print(sys.argv[1:], sys.stdin.read()); sys.exit(7)"
    words = scripts.start((sys.executable, "-c", code, "a b", "$HOME;*", "ü\n'"), "0123abcd")

    done = subprocess.run([*shell, *words[1:]], input=b"given", capture_output=True, check=False)

    head, _, rest = done.stdout.partition(b"\n")
    assert head + b"\n" == scripts.begins("0123abcd")
    assert rest.decode() == f"{['a b', '$HOME;*', 'ü' + chr(10) + chr(39)]} given\n"
    assert done.returncode == 7


def test_a_program_that_is_not_there_is_exit_code_127(shell: list[str]) -> None:
    done = subprocess.run([*shell, *scripts.start(("no-such-program",), "x1")[1:]], capture_output=True, check=False)

    assert done.returncode == 127
    assert b"no-such-program" in done.stderr
    assert b"x1" not in done.stderr


def test_everything_that_was_started_is_ended_and_nothing_else(shell: list[str], tmp_path: Path) -> None:
    # One child in the group, one that has left it for a session of its own.
    script = f"sleep 600 & setsid sleep 601 & touch {tmp_path}/started; sleep 602"
    ours = subprocess.Popen([*shell, *scripts.start(("sh", "-c", script), "f00d")[1:]], stdout=subprocess.DEVNULL)
    other = subprocess.Popen([*shell, *scripts.start(("sleep", "603"), "f00e")[1:]])
    try:
        eventually_blocking(lambda: len(psutil.Process(ours.pid).children()) == 3)
        children = psutil.Process(ours.pid).children()

        done = subprocess.run([*shell, *scripts.end("f00d")[1:]], capture_output=True, check=False)

        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"yes", b"")
        assert ours.wait(10) == -9
        eventually_blocking(lambda: not any(psutil.pid_exists(child.pid) and _lives(child) for child in children))
        assert other.poll() is None
        again = subprocess.run([*shell, *scripts.end("f00d")[1:]], capture_output=True, check=False)
        assert again.stdout.strip() == b"none"
    finally:
        other.kill()
        other.wait()


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
