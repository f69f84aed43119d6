"""The lab beside a console: started before it, ended after it."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

START_S = 45.0
END_S = 5.0
COULD_NOT_START = 3


def with_lab(scenario: str, seed: int, run: Callable[[Path], int]) -> int:
    """Calls `run` with the path of a config that points at a lab; the lab ends when it returns, or with this process.

    Returns:
        What `run` returned, or 3 when the lab could not be started.
    """
    folder = Path(tempfile.mkdtemp(prefix="infdiag-lab-"))
    log = folder / "lab.log"
    _say(f"starting the lab with {scenario} ...")
    # The lab's own words go to a file, because the console is about to own the terminal.
    with log.open("wb") as words:
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "infdiag_tui.lab",
                scenario,
                "--end-with-stdin",
                "--remove-folder",  # if this process is killed, the lab has to clean up after both
                "--folder",
                folder,
                "--seed",
                str(seed),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            start_new_session=True,
        )
    try:
        config = _ready(child)
        if config is None:
            _say(f"the lab did not start. Its last words: {_last_words(log)}")
            return COULD_NOT_START
        return run(config)
    finally:
        _end(child)
        shutil.rmtree(folder, ignore_errors=True)


def _ready(child: subprocess.Popen[bytes]) -> Path | None:
    if child.stdout is None or not select.select([child.stdout], [], [], START_S)[0]:
        return None
    line = child.stdout.readline()
    return Path(json.loads(line)["config_path"]) if line else None


def _end(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        child.kill()  # its servers die with it: the kernel sees to that
        child.wait()


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "none"


def _say(text: str) -> None:
    sys.stderr.write(f"infdiag: {text}\n")
