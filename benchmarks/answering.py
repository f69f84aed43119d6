"""How soon a key is answered while checks run: from the press to the painted frame, in the real program on a pty."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.terminal import TerminalRun

PRESSES = 60
GOAL_MS = 100
ROWS = 3_000_000
"""Of the files that drift compares: enough to keep it busy for longer than is measured."""
_DOWN, _UP, _HOME = "\x1b[B", "\x1b[A", "\x1b[H"
_WAIT_S = 30.0
# What the details of a check say of it, in one style on one line.
_ABOUT = {
    "reproduce": "does the fault show with",
    "load": "Load in a process of its own",
    "drift": "KS and PSI per numeric feature",
}
_CHECKS = """
[models.{model}.checks.load]
rate = 100
duration = 600
time_limit = 600

[models.{model}.checks.drift]
reference = "before.csv"
production = "now.csv"
"""
SCENES: dict[str, tuple[str, ...]] = {
    "no check": (),
    "load (open loop, 100 requests/s)": ("load",),
    f"drift ({ROWS:,} rows a side)": ("drift",),
    "load and drift": ("load", "drift"),
}


def measure() -> list[str]:
    """The healthy lab with every panel live; the cursor goes up and down in the list of checks."""
    rows = []
    others = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "XDG_STATE_HOME": home, "XDG_CONFIG_HOME": home, "KUBECONFIG": ""}
        config = Path(home) / "infdiag.toml"
        lab = subprocess.Popen(
            [sys.executable, "-m", "infdiag_tui", "lab", "healthy", "--config-out", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **env},
        )
        try:
            _wait_for(config, lab)
            text = config.read_text(encoding="utf-8")
            model = text.split(".")[1]  # [models.NAME.endpoint]
            config.write_text(_without(text, "drift") + _CHECKS.format(model=model), encoding="utf-8")
            _write_data(Path(home))
            rows = [_row(title, checks, config, env) for title, checks in SCENES.items()]
        finally:
            lab.terminate()
            lab.wait(30)
    return [
        f"### From a key press to the frame that answers it ({PRESSES} presses each, 120x40, all panels live)",
        "",
        f"The model servers ran on the same machine; its load average beforehand was {others:.1f}.",
        "",
        f"| while this runs | median ms | p95 ms | slowest ms (goal: below {GOAL_MS}) |",
        "|---|---|---|---|",
        *rows,
    ]


def _wait_for(config: Path, lab: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not config.exists():
        if time.monotonic() > deadline or lab.poll() is not None:
            raise TimeoutError("the lab did not start")
        time.sleep(0.1)


def _without(text: str, check: str) -> str:
    """The config without what the lab says of a check."""
    head, *sections = text.split("\n[")
    return "\n[".join([head, *(one for one in sections if not one.split("]")[0].endswith(f".checks.{check}"))])


def _write_data(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for name, shift in (("before.csv", 0.0), ("now.csv", 0.2)):
        columns = np.round(rng.normal(shift, 1.0, (ROWS, 6)), 4)
        with (folder / name).open("w", encoding="ascii") as file:
            file.write("a,b,c,d,e,f\n")
            for start in range(0, ROWS, 50_000):
                part = columns[start : start + 50_000].tolist()
                file.write("".join(",".join(map(str, row)) + "\n" for row in part))


def _row(title: str, checks: Sequence[str], config: Path, env: dict[str, str]) -> str:
    with TerminalRun([sys.executable, "-m", "infdiag_tui", "--config", str(config)], 120, 40, env) as run:
        run.first_frame_s()
        run.read_for(5.0)
        run.press("c")
        _painted(run, _ABOUT["reproduce"])
        for name in checks:
            _start(run, name)
        run.press(_HOME)
        run.read_for(3.0)
        times_ms = _answers_ms(run)
        for name in checks:
            _still_running(run, name)
    ordered = sorted(times_ms)
    p95 = ordered[int(0.95 * (len(ordered) - 1))]
    return f"| {title} | {statistics.median(ordered):.0f} | {p95:.0f} | {ordered[-1]:.0f} |"


def _answers_ms(run: TerminalRun) -> list[float]:
    """Alternately to the second check of the list and back; with pauses of many lengths, to meet every phase."""
    pauses = random.Random(1)
    times_ms = []
    for number in range(PRESSES):
        run.read_for(pauses.uniform(0.1, 0.35))
        run.press(_UP if number % 2 else _DOWN)
        times_ms.append(1000 * _painted(run, _ABOUT["reproduce" if number % 2 else "load"]))
    return times_ms


def _start(run: TerminalRun, name: str) -> None:
    """Through the list, the form and, where it asks, the consent."""
    run.press(_HOME)
    run.read_for(0.5)
    for _ in range(20):
        run.press(_DOWN)
        if run.painted_s(_ABOUT[name], 1.0) is not None:
            break
    run.press("\r")
    _painted(run, "next field")
    run.press("\r")
    if name == "load":
        _painted(run, "run it")
        run.press("y")
    _painted(run, "running")
    run.press("\t\t")  # from the runs over the details back to the list
    run.read_for(1.0)


def _still_running(run: TerminalRun, name: str) -> None:
    """A check that had ended would have troubled nobody."""
    for _ in range(5):
        run.press("\t")
        if run.painted_s("running", 3.0) is not None:
            return
    raise RuntimeError(f"{name} had ended before the keys were pressed: give it more to do")


def _painted(run: TerminalRun, words: str) -> float:
    found = run.painted_s(words, _WAIT_S)
    if found is None:
        raise TimeoutError(f"{words!r} did not appear within {_WAIT_S:.0f} s")
    return found
