"""Starts the generator process, speaks with it, and makes sure that it ends."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable
from typing import Any, Self

import orjson

from checks.base import CheckError
from checks.load_gen.job import LINE_LIMIT_BYTES, Phase, Setup, Summary, summary_from
from infdiag_tui.text import clean, one_line

_START_S = 30.0
"""From its start to its first message a generator may take this long on a busy machine."""
_END_S = 5.0


class Generator:
    """A generator process. Use as an async context manager: leaving it, in whatever way, kills the process at once."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process, None before it was started."""
        return None if self._process is None else self._process.pid

    async def __aenter__(self) -> Self:
        try:
            # -P: a file in the operator's current folder must not stand in for a module. A session of its own: keys of
            # the terminal are the console's, which ends the process by itself.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "checks.load_gen"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT_BYTES,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        except OSError as error:
            raise CheckError(f"the load generator cannot be started: {error.strerror}") from error
        try:
            await self._send(dataclasses.asdict(self._setup))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def phase(self, phase: Phase, progress: Callable[[int, int], None]) -> Summary:
        """Runs one phase; `progress` is told the finished and the failed requests now and then.

        Raises:
            CheckError: the generator refused, died or fell silent.
        """
        await self._send(dataclasses.asdict(phase))
        try:
            async with asyncio.timeout(_START_S + phase.time_limit_s):
                while True:
                    message = await self._message()
                    if message["kind"] == "progress":
                        progress(message["finished"], message["failed"])
                    elif message["kind"] == "summary":
                        return summary_from(message["summary"])
                    else:
                        raise CheckError(one_line(clean(message["text"])))
        except TimeoutError:
            raise CheckError("the load generator fell silent: is this machine overloaded?") from None

    async def _send(self, message: dict[str, Any]) -> None:
        process = self._started()
        if process.stdin is None:
            raise RuntimeError("started without a pipe")
        # A generator that died is noticed, with its own words, when its answer is read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(orjson.dumps(message) + b"\n")
            async with asyncio.timeout(_START_S):
                await process.stdin.drain()

    async def _message(self) -> dict[str, Any]:
        process = self._started()
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("started without pipes")
        line = await process.stdout.readline()
        if line.endswith(b"\n"):
            message: dict[str, Any] = orjson.loads(line)
            return message
        words = (await process.stderr.read()).decode("utf-8", "replace").strip().splitlines()
        code = await process.wait()
        last = f": {one_line(clean(words[-1]), 200)}" if words else ""
        raise CheckError(f"the load generator ended by itself with code {code}{last}")

    async def _end(self) -> None:
        """Kills the process and waits until it is gone: its sockets close with it."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if process.stdin is not None:
            process.stdin.close()
        async with asyncio.timeout(_END_S):
            await asyncio.gather(*(pipe.read() for pipe in (process.stdout, process.stderr) if pipe is not None))
            await process.wait()

    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("used outside of the context manager")
        return self._process
