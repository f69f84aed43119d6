"""A listening site that lets in only so many connections at a time."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from aiohttp import web

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.server.metrics import Metrics

_SAY_EVERY = 50


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


class LimitedSite(web.BaseSite):
    """Listens on one address; connections beyond the limit are closed as soon as they are made."""

    def __init__(
        self, runner: web.AppRunner, host: str, port: int, limit: int, dialect: Dialect, metrics: Metrics
    ) -> None:
        super().__init__(runner)
        self._host = host
        self._port = port
        self._limit = limit
        self._words = dialect.words["connections"]
        self._log = logging.getLogger(f"{dialect.logger}.server")
        self._metrics = metrics
        self._refused = 0
        metrics.connections_limit.set(limit)
        metrics.connections.set_function(lambda: float(len(self._open)))

    @property
    def name(self) -> str:
        """The address."""
        return f"http://{self._host}:{self._port}"

    @property
    def _open(self) -> list[object]:
        server = self._runner.server
        return [] if server is None else list(server.connections)

    async def start(self) -> None:
        """Binds the port."""
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, self._host, self._port, backlog=128)

    def _protocol(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is not None and len(self._open) < self._limit:
            return server()
        self._metrics.connections_rejected.inc()
        if self._refused % _SAY_EVERY == 0:
            self._log.warning(self._words, self._limit)
        self._refused += 1
        return _Refused()
