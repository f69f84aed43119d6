"""The data worker: its answers, its errors in words, its limits, and that nothing of it stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from checks.base import CheckError
from checks.data_worker import Report, in_child
from infdiag_tui.model import Progress

HERE = "tests.checks.test_data_worker"


def talkative(word: str, report: Report) -> dict[str, Any]:
    report("half", 0.5)
    print("a library prints this")
    return {"word": word, "large": "x" * 1_000_000}


def refusing(report: Report) -> None:
    raise CheckError("There is no such thing; try another.")


def broken(report: Report) -> None:
    raise RuntimeError("a defect")


def exhausted(report: Report) -> None:
    raise MemoryError


def stuck(report: Report) -> None:
    report("stuck", None)
    signal.pause()


def niceness(report: Report) -> int:
    return os.nice(0)


async def test_it_gives_way_to_the_console_on_a_busy_machine() -> None:
    assert await in_child(f"{HERE}:niceness", {}, lambda _: None) == min(19, os.nice(0) + 10)


async def test_the_result_and_progress_arrive_whatever_a_library_prints() -> None:
    reports: list[Progress] = []
    result = await in_child(f"{HERE}:talkative", {"word": "ü"}, reports.append)
    assert result["word"] == "ü"
    assert len(result["large"]) == 1_000_000
    assert reports == [Progress("half", 0.5)]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("refusing", "no such thing"),
        ("broken", "ended with code 1: RuntimeError: a defect"),
        ("exhausted", "not enough memory"),
    ],
)
async def test_errors_come_back_in_words(function: str, says: str) -> None:
    with pytest.raises(CheckError, match=says):
        await in_child(f"{HERE}:{function}", {}, lambda _: None)


async def test_a_worker_that_takes_too_long_is_ended() -> None:
    before = set(psutil.Process().children())
    with pytest.raises(CheckError, match="longer than 2 s"):
        await in_child(f"{HERE}:stuck", {}, lambda _: None, limit_s=2)
    assert set(psutil.Process().children()) <= before


async def test_a_worker_ends_itself_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio, os
from checks.data_worker import in_child
import psutil
def heard(_):
    print(psutil.Process().children()[0].pid, flush=True)
asyncio.run(in_child("{HERE}:stuck", {{}}, heard))
"""
    root = Path(__file__).resolve().parents[2]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    async with asyncio.timeout(30):
        assert parent.stdout is not None
        worker = psutil.Process(int(await parent.stdout.readline()))
        parent.kill()
        await parent.wait()
    gone, _ = await asyncio.to_thread(psutil.wait_procs, [worker], 20)
    assert gone
