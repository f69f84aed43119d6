"""A context, a container made of a process, and a profiling model server for the profile tests."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from checks.base import Answer, CheckContext, CheckError
from checks.profile import CHECK, ProfileParams
from checks.running import run_check
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import CheckResult, Progress
from tests.checks.beside import Beside


def context_in(folder: Path, **fields: Any) -> CheckContext:
    model = fields.pop("model", ModelConfig())
    report = fields.pop("report", lambda _progress: None)
    return CheckContext("fraud-scorer", model, folder, time.time, report, confirmed=True, **fields)


async def profile(context: CheckContext, **params: Any) -> CheckResult:
    return await run_check(CHECK, ProfileParams(**params), context)


def verdicts(result: CheckResult) -> dict[str, str]:
    return {one.id: str(one.verdict) for one in result.evidence}


@dataclass
class Progressed:
    """Keeps what a check reported."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, progress: Progress) -> None:
        self.texts.append(progress.text)


@dataclass
class Container(Beside):
    """Runs commands as a container's runtime does.

    Standard input never ends, as over the v4 exec protocol, and a command outlives the connection that asked for it.
    """

    home: Path
    commands: list[tuple[str, ...]] = field(default_factory=list)
    running: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def run(self, command: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        self.commands.append(command)
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self.home, stdin=pipe, stdout=pipe, stderr=pipe, limit=2**28
            )
        except FileNotFoundError:
            return 127, b"", f"exec: {command[0]}: executable file not found in $PATH".encode()
        self.running.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with asyncio.timeout(timeout_s):
                process.stdin.write(stdin)
                await process.stdin.drain()
                stdout, stderr = await asyncio.gather(process.stdout.read(), process.stderr.read())
                return await process.wait(), stdout, stderr
        except TimeoutError as error:
            raise CheckError(f"no answer within {timeout_s:g} s") from error

    async def close(self) -> None:
        for process in self.running:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


@dataclass
class ProfilingServer:
    """A model server with vLLM's profiler endpoints, and a sender for it."""

    has_endpoints: bool = True
    stop_status: int = 200
    profiling: bool = False
    calls: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None
    url: str = ""
    session: aiohttp.ClientSession | None = None

    async def _start(self, _request: web.Request) -> web.Response:
        self.calls.append("start")
        self.profiling = True
        return web.Response()

    async def _stop(self, _request: web.Request) -> web.Response:
        self.calls.append("stop")
        if self.stop_status == 200:
            self.profiling = False
        return web.Response(status=self.stop_status)

    async def _predict(self, _request: web.Request) -> web.Response:
        self.calls.append("profiled" if self.profiling else "plain")
        if self.profiling and self.hold is not None:
            await self.hold.wait()
        return web.json_response({"score": 0.5})

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[ProfilingServer]:
        app = web.Application()
        app.router.add_post("/predict", self._predict)
        if self.has_endpoints:
            app.router.add_post("/start_profile", self._start)
            app.router.add_post("/stop_profile", self._stop)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            async with aiohttp.ClientSession() as self.session:
                yield self
        finally:
            if self.hold is not None:
                self.hold.set()
            await runner.cleanup()

    async def predict(self, body: Any, *, base_url: str = "", timeout_s: float | None = None) -> Answer:
        return await self.post(f"{base_url or self.url}/predict", body=body, timeout_s=timeout_s)

    async def get(self, url: str, *, timeout_s: float | None = None, limit_bytes: int = 8_000_000) -> Answer:
        raise NotImplementedError

    async def post(self, url: str, *, body: Any = None, timeout_s: float | None = None) -> Answer:
        assert self.session is not None
        began = time.perf_counter()
        timeout = aiohttp.ClientTimeout(total=timeout_s or 10)
        async with self.session.post(url, json=body, timeout=timeout) as reply:
            text = await reply.text()
            return Answer(reply.ok, reply.status, None, text, (time.perf_counter() - began) * 1_000)
