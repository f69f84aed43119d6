"""Runs a profile job in a child process here or beside the model, and leaves nothing behind however it ends."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from checks.base import CheckError, Remote
from checks.profile_parts.bundle import command, pack, sweep
from infdiag_tui.model import Progress
from infdiag_tui.text import clean, one_line

GRACE_S = 10.0
"""How much longer than its own deadline a child may take before it is ended from here."""

SWEEP_S = 10.0
_MAX_LINE_BYTES = 256 * 2**20
_MAX_STDERR_BYTES = 64 * 2**10

Report = Callable[[Progress], None]


async def run_here(entry: str, job: Mapping[str, Any], python: str, report: Report) -> dict[str, Any]:
    """The job's result from a child process of this machine; `job["out"]` receives its files.

    Raises:
        CheckError: the child cannot be started, fails, or takes longer than `job["timeout_s"]`.
    """
    token = secrets.token_hex(8)
    payload = pack(entry, {**job, "token": token})
    python = python or sys.executable
    words = command(python, payload, token)
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True, limit=_MAX_LINE_BYTES
        )
    except OSError as error:
        raise CheckError(f"{python} cannot be started: {error.strerror}; name a Python with --python") from error
    ended = False
    try:
        async with asyncio.timeout(float(job["timeout_s"]) + GRACE_S):
            answer = await _converse(process, payload, report)
        ended = True
    except TimeoutError as error:
        raise CheckError(f"the profile took longer than {job['timeout_s']:g} s; allow more with --timeout-s") from error
    finally:
        await _end(process)
        if not ended:
            # It was killed, and so could not remove its folder itself.
            await _sweep_here(python, token)
    return answer


async def run_beside(
    entry: str, job: Mapping[str, Any], python: str, remote: Remote, report: Report, out: Path
) -> dict[str, Any]:
    """The job's result from inside the model's container; its files come over into `out`.

    Raises:
        CheckError: the container cannot be entered, has no such Python, or the job fails there.
    """
    token = secrets.token_hex(8)
    payload = pack(entry, {**job, "token": token})
    python = python or "python3"
    report(Progress(f"profiling {remote.where}"))
    clean_end = False
    try:
        code, stdout, stderr = await remote.run(
            command(python, payload, token), timeout_s=float(job["timeout_s"]) + GRACE_S, stdin=payload
        )
        clean_end = True
    finally:
        if not clean_end:
            # The command outlives a connection that is cut: end it by a second one.
            with contextlib.suppress(CheckError, TimeoutError):
                await asyncio.shield(_sweep_beside(remote, python, token))
    answer: dict[str, Any] | None = None
    for line in stdout.splitlines():
        answer = _read(line, report) or answer
    if answer is None:
        raise CheckError(_silence(f"{python} {remote.where}", code, stderr))
    await asyncio.to_thread(_unpack, answer, out)
    return answer


async def _converse(process: asyncio.subprocess.Process, payload: bytes, report: Report) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stderr is not None
    complaint = asyncio.create_task(_tail(process.stderr), name="profile stderr")
    try:
        with contextlib.suppress(ConnectionError):
            process.stdin.write(payload)
            await process.stdin.drain()
            process.stdin.close()
        answer: dict[str, Any] | None = None
        async for line in _lines(process):
            answer = _read(line, report) or answer
        code = await process.wait()
        stderr = await complaint
    finally:
        complaint.cancel()
        await asyncio.wait([complaint])
    if answer is None:
        raise CheckError(_silence("the profiler's process", code, stderr))
    return answer


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        yield line


async def _tail(stream: asyncio.StreamReader) -> bytes:
    kept = b""
    while part := await stream.read(65_536):
        kept = (kept + part)[-_MAX_STDERR_BYTES:]
    return kept


def _read(line: bytes, report: Report) -> dict[str, Any] | None:
    """A result line's content; progress is passed on, anything else is no line of ours.

    Raises:
        CheckError: the child says why it could not finish.
    """
    try:
        document = json.loads(line)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    if "error" in document:
        raise CheckError(one_line(clean(str(document["error"])), 600))
    if "progress" in document:
        report(Progress(one_line(clean(str(document["progress"])), 100), float(document.get("share") or 0.0)))
    result = document.get("result")
    return result if isinstance(result, dict) else None


def _silence(who: str, code: int, stderr: bytes) -> str:
    if code in (126, 127):
        return f"{who} cannot be run (exit code {code}); name another with --python"
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return f"{who} was killed, most likely for memory: the model was loaded a second time"
    last = one_line(clean(stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]), 300)
    return f"{who} ended with exit code {code} and no result" + (f": {last}" if last else "")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kills the child's whole group and reaps it; the group also holds what the model's code started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Once killed it ends at once; a cancellation of ours may not leave a zombie behind.
    await asyncio.shield(process.wait())


async def _sweep_here(python: str, token: str) -> None:
    with contextlib.suppress(OSError):
        sweeper = await asyncio.create_subprocess_exec(*sweep(python, token))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_S):
                await sweeper.wait()


async def _sweep_beside(remote: Remote, python: str, token: str) -> None:
    await remote.run(sweep(python, token), timeout_s=SWEEP_S)


def _unpack(answer: dict[str, Any], out: Path) -> None:
    trace = answer.get("trace")
    if not isinstance(trace, dict) or "base64" not in trace:
        return
    # The name is ours, not the container's.
    target = out / "profile-trace.json.gz"
    target.write_bytes(base64.b64decode(trace.pop("base64")))
    trace["path"] = str(target)
