"""Real servers on loopback and small readers of the latency stream, for its tests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

from aiohttp import web

from infdiag_tui.config import Endpoint
from infdiag_tui.model import Observation, Reply, Status
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.streams.latency import LatencyStream

DEADLINE_S = 20.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def http_server(handler: Handler, *, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[str]:
    """An aiohttp server that gives every request to `handler`; yields its base URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True)
    await site.start()
    bound = runner.addresses[0][1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{bound}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(talk: Talk, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A server that hands each connection to `talk` and closes it afterwards; yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request with its body; raises `asyncio.IncompleteReadError` at the end of the connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + (await reader.readexactly(int(lengths[0])) if lengths else b"")


def json_reply(body: bytes = b"{}", extra: bytes = b"") -> bytes:
    """A whole HTTP reply with a JSON body."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return head + extra + b"\r\n" + body


def probe(url: str, **endpoint: Any) -> LatencyStream:
    """A stream that probes quickly, with a body."""
    settings: dict[str, Any] = {"body": {"x": [1]}, "rate_per_s": 40.0, "timeout_s": 3.0, **endpoint}
    return LatencyStream(Endpoint(url=url, **settings), StreamContext(user_agent="infdiag-test"))


async def observe_until(
    stream: LatencyStream,
    enough: Callable[[list[Observation]], bool],
) -> list[Observation]:
    """Observations until `enough` says so; the stream is closed then."""
    seen: list[Observation] = []
    async with asyncio.timeout(DEADLINE_S), aclosing(cast("Any", stream.observe())) as observations:
        async for observation in observations:
            seen.append(observation)
            if enough(seen):
                break
    return seen


async def replies_of(stream: LatencyStream, count: int) -> list[Reply]:
    """The first `count` replies, in order of completion."""
    seen = await observe_until(stream, lambda seen: len(replies_in(seen)) == count)
    return replies_in(seen)


async def first_status(stream: LatencyStream) -> tuple[Reply, Status]:
    """The first state that the stream declares, and the reply before it."""
    seen = await observe_until(stream, lambda seen: isinstance(seen[-1], Status))
    reply, status = seen[-2:]
    assert isinstance(reply, Reply)
    assert isinstance(status, Status)
    return reply, status


def replies_in(seen: list[Observation]) -> list[Reply]:
    """The replies among observations."""
    return [one for one in seen if isinstance(one, Reply)]


def statuses_in(seen: list[Observation]) -> list[Status]:
    """The states among observations."""
    return [one for one in seen if isinstance(one, Status)]
