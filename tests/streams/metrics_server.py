"""A metrics endpoint on loopback whose page a test can change, and a stream reading it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Endpoint, Metrics
from infdiag_tui.hub.hub import Hub
from infdiag_tui.model import Container, Observation, Pod, Sample, SeriesKey, SourceHealth, SourceState
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.server_metrics import ServerMetricsStream
from infdiag_tui.supervisor import Backoff, Supervisor

INTERVAL_S = 0.05


class MetricsServer:
    """Answers GET of any path; `pages` by path, anything else is 404."""

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[], str] | str] = {}
        self.headers: list[Mapping[str, str]] = []
        self.asked: list[str] = []
        self.status = 200
        self.hang: asyncio.Event | None = None
        self.redirects: dict[str, str] = {}
        self.port = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.hang is not None:
            await self.hang.wait()
        if request.path in self.redirects:
            raise web.HTTPFound(self.redirects[request.path])
        page = self.pages.get(request.path)
        if page is None:
            return web.Response(status=404, text="no such page")
        return web.Response(status=self.status, text=page if isinstance(page, str) else page())


@asynccontextmanager
async def served(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[MetricsServer]:
    server = MetricsServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        if server.hang is not None:
            server.hang.set()
        await runner.cleanup()


class Pods:
    """A roster that a test changes."""

    def __init__(self, *pods: Pod) -> None:
        self.pods = {pod.key: pod for pod in pods}

    def current(self) -> Mapping[str, Pod]:
        return self.pods

    async def changed(self) -> None:
        await asyncio.Event().wait()


def pod(name: str, ip: str, port: int, *, ready: bool = True, metrics_at: str = "") -> Pod:
    container = Container("server", ports=(port,))
    return Pod(
        "ml",
        name,
        f"uid-{name}",
        "Running",
        0.0,
        pod_ip=ip,
        ready=ready,
        containers=(container,),
        metrics_at=metrics_at,
    )


class Watched:
    """A stream at work under the real supervisor, and all that it told."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.told: list[Observation] = []
        self.supervisor: Supervisor
        self._arrived = asyncio.Event()

    def put(self, observation: Observation) -> None:
        self.told.append(observation)
        self.hub.put(observation)
        self._arrived.set()

    @property
    def health(self) -> SourceHealth:
        return self.supervisor.health(SystemClock().now())["server_metrics"]

    def last(self, metric: str, entity: str = "") -> float | None:
        view = self.hub.series().get(SeriesKey(metric, entity))
        return view.values[-1] if view is not None and view.values else None

    def values(self, metric: str, entity: str = "") -> list[float]:
        return [one.value for one in self.told if isinstance(one, Sample) and one.key == SeriesKey(metric, entity)]

    def entities(self) -> set[str]:
        return {one.key.entity for one in self.told if isinstance(one, Sample)}

    async def until(self, condition: Callable[[], Any], what: str = "", deadline_s: float = 20.0) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                while not condition():
                    self._arrived.clear()
                    try:
                        async with asyncio.timeout(0.05):
                            await self._arrived.wait()
                    except TimeoutError:
                        continue
        except TimeoutError:
            raise AssertionError(f"never: {what}; health {self.health}; entities {self.entities()}") from None

    async def until_state(self, state: SourceState, reason: str = "") -> SourceHealth:
        await self.until(lambda: self.health.state is state and reason in self.health.reason, f"{state} {reason!r}")
        return self.health


@asynccontextmanager
async def watching(
    endpoint: Endpoint | None = None, roster: Pods | None = None, **settings: Any
) -> AsyncIterator[Watched]:
    section = Metrics.model_validate(settings).model_copy(update={"interval_s": INTERVAL_S})
    stream = ServerMetricsStream(endpoint, section, StreamContext(user_agent="infdiag-test", roster=roster))
    watched = Watched()
    watched.supervisor = Supervisor([stream], watched.put, SystemClock(), backoff=Backoff(first_s=0.05, most_s=0.2))
    task = asyncio.create_task(watched.supervisor.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
