"""No check holds up the event loop, whose thread also keeps the sources, the probe's schedule and the draft."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from checks.registry import all_checks

ROOT = Path(__file__).parents[2]
MOST_CPU_S = 0.05
"""Of one callback, on the loop's thread: half of the 100 ms in which a key is to be answered. CPU time, which a busy
machine does not stretch; the worst callback of all checks takes 8 ms."""


@pytest.mark.parametrize("name", sorted(all_checks()))
def test_a_check_leaves_the_event_loop_free(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.checks.loop_watch", name, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)

    assert told["status"] in ("ok", "warn", "fail"), told["summary"]
    assert told["worst_s"] < MOST_CPU_S, told["what"]
    assert told["opened"] == []
