"""A Python pipeline (`module:object` with preprocess, predict, postprocess) timed in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from checks.base import CheckError, Remote
from checks.stages_parts import pipeline_child
from checks.stages_parts.figures import Split, figure_of
from infdiag_tui.servers.stages import STAGES
from infdiag_tui.text import clean, one_line

_STDERR_BYTES = 4000
_CANNOT_RUN = (126, 127)
"""The shell's exit codes for a program that may not be run, or is not there."""


async def run_pipeline(
    pipeline: str,
    given: Any,
    *,
    runs: int,
    warmup: int,
    folder: Path,
    python: str,
    timeout_s: float,
    remote: Remote | None,
) -> Split:
    """The stages' times, here or (`remote`) beside the model. Cancelling ends the process.

    Raises:
        CheckError: it cannot be imported, it failed, or took too long.
    """
    path = "." if remote is not None else str(folder)
    request = {"pipeline": pipeline, "runs": runs, "warmup": warmup, "input": given, "path": path}
    source = Path(pipeline_child.__file__)
    if remote is not None:
        code = await asyncio.to_thread(source.read_text, encoding="utf-8")
        payload = json.dumps(request).encode()
        inside = (python or "python3", "-c", code, str(len(payload)))
        status, out, err = await remote.run(inside, timeout_s=timeout_s, stdin=payload)
        if status in _CANNOT_RUN:
            raise CheckError(f"There is no {inside[0]} {remote.where}; name the Python there with --python.")
    else:
        command = (python or sys.executable, str(source))
        status, out, err = await _here(command, json.dumps(request).encode(), folder, timeout_s)
    reply = _reply(out)
    if reply is None or "error" in reply:
        last = err[-_STDERR_BYTES:].decode("utf-8", "replace").strip().rpartition("\n")[2]
        reason = (reply or {}).get("error") or last or f"it ended with status {status}"
        raise CheckError(one_line(clean(f"The pipeline {pipeline} did not run: {reason}.")))
    times: dict[str, list[float]] = reply["times"]
    told = [stage for stage in STAGES if times.get(stage)]
    figures = await asyncio.to_thread(
        lambda: tuple(figure_of(stage, stage, times[stage], f"pipeline {pipeline}") for stage in told)
    )
    absent = tuple((stage, f"{pipeline} has no {stage}") for stage in STAGES if stage not in told and stage != "queue")
    return Split("pipeline", figures, absent)


async def _here(command: tuple[str, ...], given: bytes, folder: Path, timeout_s: float) -> tuple[int, bytes, bytes]:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise CheckError(one_line(clean(f"{command[0]} cannot be started in {folder}: {error.strerror}."))) from error
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate(given)
    except TimeoutError as error:
        raise CheckError(f"The pipeline took longer than {timeout_s:g} s; --pipeline-timeout-s allows more.") from error
    finally:
        # Its own group: workers that the pipeline started go along, also after it ended.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return process.returncode or 0, out, err


def _reply(out: bytes) -> dict[str, Any] | None:
    try:
        reply = json.loads(out)
    except ValueError:
        return None
    if not isinstance(reply, dict) or not isinstance(reply.get("error", ""), str):
        return None
    return reply if "error" in reply or isinstance(reply.get("times"), dict) else None
