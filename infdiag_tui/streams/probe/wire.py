"""HTTP/1.1 over httpx with the name lookup timed apart; imports httpx, so it is itself imported late."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import anyio._backends._asyncio  # noqa: F401 - httpcore's locks would import it during the first request
import h11  # noqa: F401 - httpcore would import it during the first connection
import httpcore
import httpx

from infdiag_tui.streams.probe.phases import CURRENT_WIRE, Stage
from infdiag_tui.streams.probe.resolver import Resolver, literal_address
from infdiag_tui.streams.probe.sockets import SocketStream

_NEXT_ADDRESS_AFTER_S = 0.25
"""RFC 8305 section 5: the recommended delay before the next address is tried beside the first."""


class TimedBackend(httpcore.AsyncNetworkBackend):
    """Sockets for httpcore: resolves the name itself, notes the time, and races the addresses.

    Because the name stays httpcore's own, Host header, SNI and the certificate check are those of an ordinary client.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - httpcore's signature
        local_address: str | None = None,  # noqa: ARG002 - never given here
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - never given here
    ) -> httpcore.AsyncNetworkStream:
        """A connected stream; raises `OSError` (`socket.gaierror` for the name)."""

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await SocketStream.open(address, port)

        return await race(await self._addresses(host, port), connect)

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[str]:
        address = literal_address(host)
        if address is not None:
            return [address]
        wire = CURRENT_WIRE.get()
        if wire is not None:
            wire.stage = Stage.DNS
        loop = asyncio.get_running_loop()
        begin = loop.time()
        addresses = await self._resolver.resolve(host, port)
        if wire is not None:
            wire.resolved(loop.time() - begin)
        return addresses


async def race(
    addresses: list[str],
    connect: Callable[[str], Awaitable[httpcore.AsyncNetworkStream]],
) -> httpcore.AsyncNetworkStream:
    """The first stream that connects ("happy eyeballs", RFC 8305).

    Each address starts 250 ms after the one before, or at once when that one failed. Raises the first address's error
    when all fail.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    waiting = list(addresses)
    running: list[asyncio.Task[httpcore.AsyncNetworkStream]] = []
    errors: dict[int, BaseException] = {}
    winner: httpcore.AsyncNetworkStream | None = None
    try:
        while winner is None and (waiting or len(errors) < len(running)):
            if waiting:
                running.append(asyncio.ensure_future(connect(waiting.pop(0))))
            pending = [task for task in running if not task.done()]
            if pending:
                delay = _NEXT_ADDRESS_AFTER_S if waiting else None
                await asyncio.wait(pending, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for number, task in enumerate(running):
                if task.done() and number not in errors:
                    error = task.exception()
                    if error is None:
                        winner = task.result()
                        break
                    errors[number] = error
    finally:
        await _close_losers(running, winner)
    if winner is None:
        raise errors[min(errors)]
    return winner


async def _close_losers(
    running: list[asyncio.Task[httpcore.AsyncNetworkStream]],
    winner: httpcore.AsyncNetworkStream | None,
) -> None:
    for task in running:
        task.cancel()
    for stream in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(stream, httpcore.AsyncNetworkStream) and stream is not winner:
            await stream.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, parts: Any) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._parts:
            yield part

    async def aclose(self) -> None:
        await self._parts.aclose()


class TimedTransport(httpx.AsyncBaseTransport):
    """An httpx transport on httpcore's pool over `backend`. httpcore's errors pass through unchanged."""

    def __init__(
        self,
        tls: ssl.SSLContext | None,
        *,
        connections: int,
        keepalive_s: float,
        backend: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """`backend` makes the connections; default: `TimedBackend`."""
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=keepalive_s,
            network_backend=backend or TimedBackend(Resolver()),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The reply with its body still to be read; close it."""
        url = request.url
        reply = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            ),
        )
        return httpx.Response(
            reply.status, headers=reply.headers, stream=_Body(reply.stream), extensions=reply.extensions
        )

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._pool.aclose()


def open_transport(
    tls: ssl.SSLContext | None,
    proxy: str | None,
    *,
    connections: int,
    keepalive_s: float,
) -> httpx.AsyncBaseTransport:
    """The direct transport, or httpx's own through `proxy` (where the lookup is part of connecting to the proxy).

    Raises `ValueError` or `ImportError` for a proxy URL that httpx cannot use.
    """
    if proxy is None:
        return TimedTransport(tls, connections=connections, keepalive_s=keepalive_s)
    limits = httpx.Limits(
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=keepalive_s,
    )
    return httpx.AsyncHTTPTransport(verify=tls or True, limits=limits, proxy=proxy, trust_env=False)
