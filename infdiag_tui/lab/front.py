"""The service in front of the replicas: one port that spreads requests over those that are ready.

Without a ready replica nothing listens, and connections are refused, as with a Service without endpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.http1 import Head, HttpError, read_body, read_head
from infdiag_tui.lab.manifests import PodPlan

_CONNECT_S = 1.0
_REPORT_S = 2.0
_LIMIT_BYTES = 32 * 1024 * 1024
_PIECES_PER_S = 20
_BAD_GATEWAY = (
    b'HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n{"error":"bad gateway"}'
)


@dataclass(frozen=True, slots=True)
class Line:
    """What the line between clients and the gateway adds: a delay before each reply, and a rate at which it comes."""

    delay_s: float = 0.0
    bytes_per_s: float = 0.0
    """0: as fast as it goes."""


class Front:
    """An HTTP/1.1 proxy on loopback, with a connection of its own to the replica for every request."""

    def __init__(self, host: str, port: int, dialect: Dialect) -> None:
        self._host = host
        self._port = port
        self._words = dialect.words
        self._log = logging.getLogger(dialect.gateway)
        self._backends: dict[str, PodPlan] = {}
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._wanted = True
        self._statuses: Counter[int] = Counter()
        self._durations_s: list[float] = []
        self._changed = asyncio.Event()
        self.line = Line()
        self.listening = asyncio.Event()
        self.url = f"http://{host}:{port}"

    def set_backends(self, plans: list[PodPlan]) -> None:
        """Takes the ready replicas; `follow` opens or closes the port accordingly."""
        names = {plan.name for plan in plans}
        for name in [name for name in self._backends if name not in names]:
            gone = self._backends.pop(name)
            self._log.warning(self._words["upstream_removed"], name, gone.ip, gone.port)
        for plan in plans:
            if plan.name not in self._backends:
                self._log.info(self._words["upstream_added"], plan.name, plan.ip, plan.port)
                self._backends[plan.name] = plan
        self._changed.set()

    async def follow(self) -> None:
        """Listens whenever there is a ready replica and nobody stopped the service, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._settle()

    async def _settle(self) -> None:
        wanted = self._wanted and bool(self._backends)
        if wanted and self._server is None:
            self._server = await asyncio.start_server(self._serve, self._host, self._port, limit=_LIMIT_BYTES)
        elif not wanted and self._server is not None:
            self._log.error(self._words["refusing"])
            await self._stop_listening()
        if self._server is not None:
            self.listening.set()

    async def start(self) -> None:
        """Takes requests (again)."""
        self._wanted = True
        await self._settle()

    async def stop(self) -> None:
        """Stops listening and cuts every connection, as when the gateway is killed."""
        self._wanted = False
        await self._stop_listening()

    async def report(self) -> None:
        """Writes a line of figures every few seconds, for ever."""
        while True:
            await asyncio.sleep(_REPORT_S)
            statuses, self._statuses = self._statuses, Counter()
            durations, self._durations_s = sorted(self._durations_s), []
            good = sum(count for status, count in statuses.items() if status < 400)
            failed = sum(count for status, count in statuses.items() if status >= 500)
            middle_ms = durations[len(durations) // 2] * 1000 if durations else 0.0
            self._log.info(
                self._words["report"],
                _REPORT_S,
                statuses.total(),
                good,
                failed,
                len(self._backends),
                middle_ms,
                durations[-1] * 1000 if durations else 0.0,
            )

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        self.listening.clear()
        if server is not None:
            server.close()
        clients = list(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is served by a task")
        self._clients.add(task)
        try:
            while (request := await read_head(reader)) is not None:
                if request.expects_continue:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await read_body(reader, request)
                await self._answer(request, body, writer)
                if not request.keep_alive:
                    break
        except (HttpError, ConnectionError):
            # The client left or speaks no HTTP; there is nobody to answer.
            writer.transport.abort()
        except asyncio.CancelledError:
            # Only `_stop_listening` cancels: the connection is reset, and asyncio's callback wants no cancelled task.
            writer.transport.abort()
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, request: Head, body: bytes, writer: asyncio.StreamWriter) -> None:
        started = time.perf_counter()
        method = request.first[0]
        backend = self._choose()
        if backend is None:
            raise ConnectionAbortedError("no upstream")
        try:
            reply, answer = await _forward(backend, request, body, method)
        except (HttpError, OSError, TimeoutError) as error:
            self._log.error(self._words["bad_gateway"], backend.name, error or "timeout", _line(request))
            self._statuses[502] += 1
            writer.write(_BAD_GATEWAY)
            await writer.drain()
            return
        self._statuses[reply.status] += 1
        await self._send(writer, reply.raw + answer)
        self._durations_s.append(time.perf_counter() - started)

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        line = self.line
        if line.delay_s:
            await asyncio.sleep(line.delay_s)
        if not line.bytes_per_s:
            writer.write(data)
            await writer.drain()
            return
        piece = max(1, round(line.bytes_per_s / _PIECES_PER_S))
        for start in range(0, len(data), piece):
            writer.write(data[start : start + piece])
            await writer.drain()
            await asyncio.sleep(1 / _PIECES_PER_S)

    def _choose(self) -> PodPlan | None:
        """Any ready replica, whatever its load, as behind an ordinary Service."""
        return random.choice(list(self._backends.values())) if self._backends else None


async def _forward(backend: PodPlan, request: Head, body: bytes, method: bytes) -> tuple[Head, bytes]:
    """The replica's reply: its head and its body."""
    opening = asyncio.open_connection(backend.ip, backend.port, limit=_LIMIT_BYTES)
    reader, writer = await asyncio.wait_for(opening, _CONNECT_S)
    try:
        with contextlib.suppress(ConnectionError):
            writer.write(request.raw + body)
            await writer.drain()
        while (reply := await read_head(reader)) is not None and reply.status == HTTPStatus.CONTINUE:
            pass
        if reply is None:
            raise HttpError("connection closed before a reply")
        if not reply.has_body(method):
            return reply, b""
        return reply, await read_body(reader, reply, until_close=not reply.keep_alive)
    finally:
        writer.close()


def _line(request: Head) -> str:
    return b" ".join(request.first[:2]).decode("latin-1")
