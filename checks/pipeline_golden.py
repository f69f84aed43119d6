"""Runs golden preprocessing vectors through the pipeline in a child process and compares the features."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from checks.base import CheckError
from checks.cases import Case
from infdiag_tui.text import clean, one_line

_CHILD = Path(__file__).with_name("pipeline_child.py")
_ANSWER_BYTES = 64 * 1024 * 1024
_STDERR_BYTES = 64 * 1024


async def run_golden(
    target: str, cases: Sequence[Case], *, python: str, folder: Path, timeout_s: float
) -> list[dict[str, Any]]:
    """For each case what the function made of its input: `output`, or `error` with what it raised.

    The child is a process group of its own and does not outlive this call.

    Raises:
        CheckError: it cannot be started or imported, died, said nothing, or took too long.
    """
    program = python or sys.executable
    try:
        child = await asyncio.create_subprocess_exec(
            *_command(program, target, folder),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # The pipeline's folder is the operator's: no bytecode is left in it.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
        )
    except OSError as error:
        raise CheckError(one_line(clean(f"{program} cannot be started: {error.strerror}; correct --python"))) from error
    try:
        async with asyncio.timeout(timeout_s):
            inputs = json.dumps([case.input for case in cases]).encode()
            out, said = await _talk(child, inputs)
            code = await child.wait()
    except TimeoutError:
        raise CheckError(
            f"{target} took longer than {timeout_s:g} s; raise --timeout-s or look where it hangs"
        ) from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        await child.wait()
    return _answer(target, out, said, code, len(cases))


def _command(program: str, target: str, folder: Path) -> tuple[str, ...]:
    return (program, str(_CHILD), target, str(folder.expanduser().absolute()))


async def _talk(child: asyncio.subprocess.Process, inputs: bytes) -> tuple[bytes, bytes]:
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    async with asyncio.TaskGroup() as group:
        group.create_task(_feed(child.stdin, inputs))
        out = group.create_task(_read(child.stdout, _ANSWER_BYTES))
        said = group.create_task(_read(child.stderr, _STDERR_BYTES))
    return out.result(), said.result()


async def _feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(ConnectionError):  # the child has ended already; its answer says why
        pipe.write(data)
        await pipe.drain()
    pipe.close()


async def _read(pipe: asyncio.StreamReader, limit_bytes: int) -> bytes:
    """All that comes, the first `limit_bytes` of it kept."""
    kept = bytearray()
    while chunk := await pipe.read(64 * 1024):
        kept += chunk[: max(0, limit_bytes - len(kept))]
    return bytes(kept)


def _answer(target: str, out: bytes, said: bytes, code: int, count: int) -> list[dict[str, Any]]:
    try:
        document: Any = json.loads(out)
    except (ValueError, RecursionError):
        last = one_line(clean(said.decode("utf-8", "replace").strip().rpartition("\n")[2]))
        reason = f"{target} ended without an answer (exit code {code})"
        raise CheckError(one_line(f"{reason}: {last}" if last else reason)) from None
    if "error" in document:
        reason = f"{target} cannot be loaded: {document['error']}; correct --pipeline, --workdir or --python"
        raise CheckError(one_line(clean(reason)))
    outputs = document.get("outputs")
    if not isinstance(outputs, list) or len(outputs) != count:
        raise CheckError(f"{target} answered for another number of inputs")
    return outputs
