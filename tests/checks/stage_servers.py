"""Small model servers on loopback that tell of their stages as real ones do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from checks.base import CheckContext, Replica
from infdiag_tui.check_ports import open_sender
from infdiag_tui.config import ModelConfig
from infdiag_tui.model import Progress


@dataclass
class StageServer:
    """A server whose predict call takes `stages_ms`; `render` makes the metrics text from what it counted."""

    render: Callable[[StageServer], str] | None = None
    stages_ms: dict[str, float] = field(default_factory=dict)
    stats: bool = False
    server_timing: bool = False
    fail: bool = False
    forbidden: str = ""
    predict_path: str = "/v2/models/tiny/infer"
    metrics_path: str = "/metrics"
    count: int = 0
    sums_s: dict[str, float] = field(default_factory=dict)
    last_s: dict[str, float] = field(default_factory=dict)
    base: str = ""

    async def predict(self, request: web.Request) -> web.Response:
        await request.read()
        if self.fail:
            return web.Response(status=500, text="broken")
        spent = {}
        for stage, ms in self.stages_ms.items():
            began = time.perf_counter()
            await asyncio.sleep(ms / 1000)
            spent[stage] = time.perf_counter() - began
        self.count += 1
        self.last_s = spent
        for stage, seconds in spent.items():
            self.sums_s[stage] = self.sums_s.get(stage, 0.0) + seconds
        headers = {}
        if self.server_timing:
            headers["Server-Timing"] = ", ".join(f'{name};desc="x, y";dur={s * 1000:.3f}' for name, s in spent.items())
        return web.json_response({"y": 1}, headers=headers)

    async def metrics(self, request: web.Request) -> web.Response:
        assert self.render is not None
        return web.Response(text=self.render(self))

    async def statistics(self, request: web.Request) -> web.Response:
        if self.forbidden:
            return web.Response(status=403, text=self.forbidden)
        stats = {
            name: {"count": self.count, "ns": int(seconds * 1e9)}
            for name, seconds in {**self.sums_s, "success": sum(self.sums_s.values())}.items()
        }
        return web.json_response({"model_stats": [{"name": "tiny", "version": "1", "inference_stats": stats}]})

    @property
    def url(self) -> str:
        return self.base + self.predict_path


@asynccontextmanager
async def running(server: StageServer) -> AsyncIterator[StageServer]:
    """Runs it on a free port."""
    app = web.Application()
    app.router.add_post(server.predict_path, server.predict)
    if server.render is not None:
        app.router.add_get(server.metrics_path, server.metrics)
    if server.stats:
        app.router.add_get("/v2/models/tiny/stats", server.statistics)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@asynccontextmanager
async def context_for(
    folder: Path,
    url: str = "",
    *,
    baseline: Path | None = None,
    body: Any = None,
    replicas: tuple[Replica, ...] = (),
    reported: list[Progress] | None = None,
) -> AsyncIterator[CheckContext]:
    """A context for a model whose endpoint is `url`; without one, a model of which nothing is known."""
    model = ModelConfig.model_validate({"endpoint": {"url": url, "body": body or {"x": 1}}} if url else {})
    async with AsyncExitStack() as stack:
        yield CheckContext(
            "tiny",
            model,
            folder,
            time.time,
            (reported if reported is not None else []).append,
            sender=await stack.enter_async_context(open_sender(model.endpoint)) if model.endpoint else None,
            baseline=baseline,
            replicas=replicas,
        )


def histograms(names: dict[str, str], labels: str = "", unit: float = 1.0) -> Callable[[StageServer], str]:
    """Renders `_sum` and `_count` of each metric (by stage), values times `unit`; "total" is the sum of all stages."""

    def render(server: StageServer) -> str:
        lines = []
        for stage, metric in names.items():
            spent = sum(server.sums_s.values()) if stage == "total" else server.sums_s.get(stage, 0.0)
            lines += [
                f"# TYPE {metric} histogram",
                f'{metric}_bucket{{{labels},le="+Inf"}} {server.count}' if labels else "",
                f"{metric}_sum{{{labels}}} {spent * unit}",
                f"{metric}_count{{{labels}}} {server.count}",
            ]
        return "\n".join(lines)

    return render
