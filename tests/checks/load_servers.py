"""Real HTTP servers on loopback for the load check: healthy, slow, failing together, dying, hanging."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from checks.base import CheckContext
from infdiag_tui.config import Endpoint, ModelConfig
from infdiag_tui.model import Progress

GOOD = {"prediction": 0.5}


@dataclass
class Model:
    """How the server behaves, and what it saw."""

    delay_s: float = 0.0
    places: int = 10_000
    """Requests at a time; those beyond are answered with 503."""
    workers: int | None = None
    """Requests that are computed at a time; others queue. None: all of them."""
    fails_after: int | None = None
    """From this many requests on every one is answered with 500."""
    reply: Any = field(default_factory=lambda: GOOD)
    stall: tuple[int, float] | None = None
    """At this request (from 0) everything stands still for so many seconds."""
    seen: int = 0
    busy: int = 0
    most_busy: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    hangs_after: int | None = None
    """From this many requests on none is answered."""
    _free_at: float = 0.0
    _slots: asyncio.Semaphore | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        number, self.seen = self.seen, self.seen + 1
        self.requests.append((request.method, dict(request.headers), await request.read()))
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            return await self._answer(number)
        finally:
            self.busy -= 1

    async def _answer(self, number: int) -> web.StreamResponse:
        if self.hangs_after is not None and number >= self.hangs_after:
            await asyncio.Event().wait()
        if self.fails_after is not None and number >= self.fails_after:
            return web.json_response({"error": "worker died"}, status=500)
        if self.busy > self.places:
            return web.json_response({"error": "no free connection in the pool"}, status=503)
        if self.stall is not None and number == self.stall[0]:
            self._free_at = asyncio.get_running_loop().time() + self.stall[1]
        pause_s = self._free_at - asyncio.get_running_loop().time()
        if pause_s > 0:
            await asyncio.sleep(pause_s)
        if self.workers is None:
            await asyncio.sleep(self.delay_s)
        else:
            if self._slots is None:
                self._slots = asyncio.Semaphore(self.workers)
            async with self._slots:
                await asyncio.sleep(self.delay_s)
        return self.reply() if callable(self.reply) else web.json_response(self.reply)


@asynccontextmanager
async def serving(model: Model, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL of the predict call."""
    app = web.Application()
    app.router.add_route("*", "/predict", model.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/predict"
    finally:
        await runner.cleanup()


def context(
    folder: Path,
    url: str,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    confirmed: bool = True,
    **endpoint: Any,
) -> CheckContext:
    """A context as the composer makes it, for an endpoint that is posted a small body."""
    settings: dict[str, Any] = {"url": url, "body": {"x": [1, 2, 3]}, "timeout_s": 2.0, **endpoint}
    return CheckContext(
        model_name="scorer",
        model=ModelConfig(endpoint=Endpoint(**settings)),
        folder=folder,
        now=lambda: 1_700_000_000.5,
        report=report,
        confirmed=confirmed,
        user_agent="infdiag/test",
    )
