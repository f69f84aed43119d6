"""Samples the stacks of a running Python process with py-spy, here or in the model's container."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from checks.base import CheckError, Remote
from infdiag_tui.model import Progress
from infdiag_tui.text import clean, one_line

RATE_PER_S = 100
"""py-spy's own default."""

GRACE_S = 15.0
_MAX_FUNCTIONS = 50


def find() -> str:
    """The py-spy program: beside our Python or on the path; empty when there is none."""
    beside = Path(sys.executable).with_name("py-spy")
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("py-spy") or ""


def record_command(program: str, pid: int, seconds: float) -> tuple[str, ...]:
    """Records collapsed stacks to standard output; the process is not paused for it."""
    options = ("--format", "raw", "--output", "/dev/stdout", "--nonblocking", "--rate", str(RATE_PER_S))
    return (program, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds))), *options)


async def record(
    pid: int, seconds: float, remote: Remote | None, report: Callable[[Progress], None]
) -> tuple[dict[str, Any], str]:
    """The functions by their share of samples, and the collapsed stacks as text.

    Raises:
        CheckError: py-spy is missing, may not read that process, or saw no stack.
    """
    report(Progress(f"sampling process {pid} for {seconds:g} s"))
    if remote is not None:
        words = record_command("py-spy", pid, seconds)
        code, stdout, stderr = await remote.run(words, timeout_s=seconds + GRACE_S)
        if code in (126, 127):
            raise CheckError(f"py-spy is not installed {remote.where}; add it there (pip install py-spy)")
    else:
        program = find()
        if not program:
            raise CheckError("py-spy is not installed here: pip install py-spy, or infdiag-tui[pyspy]")
        code, stdout, stderr = await _run(record_command(program, pid, seconds), seconds + GRACE_S)
    text = stdout.decode("utf-8", "replace")
    stacks = parse(text)
    if not stacks:
        raise CheckError(_why(pid, code, stderr.decode("utf-8", "replace")))
    return summarise(stacks), "\n".join(f"{stack} {count}" for stack, count in stacks.items()) + "\n"


async def _run(words: tuple[str, ...], timeout_s: float) -> tuple[int, bytes, bytes]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, stdout=pipe, stderr=pipe, start_new_session=True)
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await process.communicate()
    except TimeoutError as error:
        raise CheckError(f"py-spy did not end within {timeout_s:g} s") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(process.wait())
    return process.returncode or 0, stdout, stderr


def parse(text: str) -> dict[str, int]:
    """Collapsed stacks (`outer;inner 12`) by their counts; py-spy's own words among them are left out."""
    stacks: Counter[str] = Counter()
    for line in text.splitlines():
        stack, _, count = line.rpartition(" ")
        if stack and count.isdecimal() and not line.startswith("py-spy>"):
            stacks[one_line(clean(stack), 4_000)] += int(count)
    return dict(stacks)


def summarise(stacks: dict[str, int]) -> dict[str, Any]:
    """Functions with the share of samples in which each was running (`self_share`) or on the stack (`total_share`)."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, count in stacks.items():
        frames = stack.split(";")
        own[frames[-1]] += count
        for frame in set(frames):
            whole[frame] += count
    samples = sum(stacks.values())
    rows: list[dict[str, Any]] = [
        {"name": name, "self_share": own[name] / samples, "total_share": count / samples, "samples": own[name]}
        for name, count in whole.items()
    ]
    rows.sort(key=lambda row: (-row["self_share"], -row["total_share"]))
    return {"samples": samples, "rate_per_s": RATE_PER_S, "functions": rows[:_MAX_FUNCTIONS]}


def _why(pid: int, code: int, stderr: str) -> str:
    lowered = stderr.lower()
    if "permission" in lowered or "operation not permitted" in lowered or "eperm" in lowered:
        return (
            f"py-spy may not read process {pid}: it needs the same user and ptrace allowed "
            "(run as root, or SYS_PTRACE in the container)"
        )
    if "no such process" in lowered or "no such file" in lowered:
        return f"there is no process {pid}"
    last = one_line(clean(stderr.strip().rpartition("\n")[2]), 300)
    return f"py-spy saw no Python stack in process {pid} (exit code {code})" + (f": {last}" if last else "")
