"""Runs a command for `exec` and joins its pipes to whatever protocol the client speaks."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from infdiag_tui.lab.api.node import ExecPlace
from infdiag_tui.lab.api.rooted import RootedChannels, outward
from infdiag_tui.lab.processes import tied_to_this_process

_CHUNK_BYTES = 32 * 1024
_GRACE_S = 1.0
_abandoned: set[asyncio.Task[None]] = set()
"""Commands whose client left; they end by themselves or with the lab."""


class ExecChannels(Protocol):
    """The client's side of an exec session."""

    def stdin(self) -> AsyncIterator[bytes]:
        """What the client types, until it closes its side."""
        ...

    async def send(self, stream: str, data: bytes) -> None:
        """Sends output of `stdout` or `stderr`."""
        ...


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """What to run, and which of its streams the client wants."""

    command: tuple[str, ...]
    stdin: bool
    tty: bool

    @classmethod
    def of(cls, query: list[tuple[str, str]]) -> ExecOptions:
        """The options in the pairs of a query string."""
        single: Mapping[str, str] = dict(query)
        command = tuple(value for key, value in query if key == "command")
        return cls(command, *(single.get(name, "").lower() in ("true", "1") for name in ("stdin", "tty")))


async def execute(options: ExecOptions, place: ExecPlace, channels: ExecChannels) -> dict[str, Any]:
    """Runs the command to its end and returns the Status that the error stream carries.

    When cancelled, because the client left, a command without a terminal runs on with nobody reading it, as it does
    under containerd.
    """
    program = options.command[0] if options.command else ""
    if not program or shutil.which(program, path=place.environment.get("PATH")) is None:
        return _failure(500, "InternalError", f'exec: "{program}": executable file not found in $PATH', None)
    rooted = RootedChannels(channels, place.folder)
    terminal, inner = pty.openpty() if options.tty else (-1, -1)
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *outward(options.command, place.folder),
            cwd=place.folder,
            env=place.environment,
            stdin=inner if options.tty else pipe if options.stdin else asyncio.subprocess.DEVNULL,
            stdout=inner if options.tty else pipe,
            stderr=inner if options.tty else pipe,
            start_new_session=True,
            preexec_fn=tied_to_this_process(),  # safe: one thread starts children here
        )
    except OSError as error:
        if options.tty:
            os.close(terminal)
        return _failure(500, "InternalError", f'exec: "{program}": {error.strerror}', None)
    finally:
        if options.tty:
            os.close(inner)
    try:
        if options.tty:
            await _join_terminal(process, terminal, rooted)
        else:
            await _join_pipes(process, rooted, wants_stdin=options.stdin)
        code = await process.wait()
        await rooted.flush()
    except BaseException:
        if options.tty and process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        elif process.returncode is None:
            task = asyncio.create_task(_abandon(process))
            _abandoned.add(task)
            task.add_done_callback(_abandoned.discard)
        raise
    return _status(code)


async def end_abandoned() -> None:
    """Kills the commands whose client left."""
    tasks = list(_abandoned)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _abandon(process: asyncio.subprocess.Process) -> None:
    """Keeps an abandoned command's pipes flowing until it ends; cancelling kills it."""
    if process.stdin is not None:
        process.stdin.close()

    async def drain(reader: asyncio.StreamReader | None) -> None:
        while reader is not None and await reader.read(_CHUNK_BYTES):
            pass

    try:
        await asyncio.gather(drain(process.stdout), drain(process.stderr))
        await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _join_pipes(process: asyncio.subprocess.Process, channels: ExecChannels, *, wants_stdin: bool) -> None:
    async def pump(stream: str, reader: asyncio.StreamReader | None) -> None:
        while reader is not None and (data := await reader.read(_CHUNK_BYTES)):
            await channels.send(stream, data)

    async def feed(writer: asyncio.StreamWriter) -> None:
        async for data in channels.stdin():
            writer.write(data)
            await writer.drain()
        writer.close()

    feeder = asyncio.create_task(feed(process.stdin)) if wants_stdin and process.stdin is not None else None
    try:
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(pump("stdout", process.stdout))
            pumps.create_task(pump("stderr", process.stderr))
        await process.wait()
    finally:
        await _end(feeder)


async def _join_terminal(process: asyncio.subprocess.Process, terminal: int, channels: ExecChannels) -> None:
    """A terminal has one stream for both outputs; its reader ends when the last process of it is gone."""
    loop = asyncio.get_running_loop()
    output: asyncio.Queue[bytes] = asyncio.Queue()

    def readable() -> None:
        try:
            data = os.read(terminal, _CHUNK_BYTES)
        except OSError:  # EIO: the other side of the terminal is closed
            data = b""
        output.put_nowait(data)
        if not data:
            loop.remove_reader(terminal)

    async def feed() -> None:
        async for data in channels.stdin():
            os.write(terminal, data)

    loop.add_reader(terminal, readable)
    feeder = asyncio.create_task(feed())
    try:
        while data := await output.get():
            await channels.send("stdout", data)
        await process.wait()
    finally:
        loop.remove_reader(terminal)
        await _end(feeder)
        os.close(terminal)


async def _end(task: asyncio.Task[None] | None) -> None:
    if task is None:
        return
    task.cancel()
    # A command that ends before it read all its input leaves a broken pipe; that is its own affair.
    await asyncio.wait([task], timeout=_GRACE_S)
    if task.done() and not task.cancelled() and not isinstance(task.exception(), OSError | None):
        task.result()


def _status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    shown = 128 - code if code < 0 else code
    message = f"command terminated with non-zero exit code: exit status {shown}"
    return _failure(500, "NonZeroExitCode", message, shown)


def _failure(code: int, reason: str, message: str, exit_code: int | None) -> dict[str, Any]:
    status: dict[str, Any] = {"metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}
    if exit_code is not None:
        status["details"] = {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]}
    return status
