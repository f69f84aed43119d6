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
from http import HTTPStatus

from infdiag_tui.lab.http1 import Head, HttpError, read_body, read_head
from infdiag_tui.lab.manifests import PodPlan

_log = logging.getLogger("gateway")
_CONNECT_S = 1.0
_REPORT_S = 2.0
_LIMIT_BYTES = 256 * 1024
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_BAD_GATEWAY = (
    b'HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n{"error":"bad gateway"}'
)


class _Backend:
    """A ready replica with the idle connections to it."""

    def __init__(self, plan: PodPlan) -> None:
        self.plan = plan
        self.idle: list[_Connection] = []

    async def connect(self) -> tuple[_Connection, bool]:
        """A connection, and True when it has been used before."""
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return (reader, writer), True
            writer.close()
        opening = asyncio.open_connection(self.plan.ip, self.plan.port, limit=_LIMIT_BYTES)
        return await asyncio.wait_for(opening, _CONNECT_S), False

    def close(self) -> None:
        """Closes the idle connections."""
        for _reader, writer in self.idle:
            writer.close()
        self.idle.clear()


class Front:
    """An HTTP/1.1 proxy on loopback. `requests` counts answered requests by pod."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._backends: dict[str, _Backend] = {}
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._wanted = True
        self._statuses: Counter[int] = Counter()
        self._durations_s: list[float] = []
        self._changed = asyncio.Event()
        self.requests: Counter[str] = Counter()
        self.listening = asyncio.Event()
        self.url = f"http://{host}:{port}"

    def set_backends(self, plans: list[PodPlan]) -> None:
        """Takes the ready replicas; `follow` opens or closes the port accordingly."""
        names = {plan.name for plan in plans}
        for name in [name for name in self._backends if name not in names]:
            backend = self._backends.pop(name)
            _log.warning("upstream %s (%s:%d) removed: not ready", name, backend.plan.ip, backend.plan.port)
            backend.close()
        for plan in plans:
            if plan.name not in self._backends:
                _log.info("upstream %s (%s:%d) added", plan.name, plan.ip, plan.port)
                self._backends[plan.name] = _Backend(plan)
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
            _log.error("no upstream is ready: refusing connections")
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
            _log.info(
                "%.0fs window: requests=%d ok=%d 5xx=%d upstreams=%d p50=%.1fms max=%.1fms",
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
            reply = await self._forward(backend, request, body, method, writer)
        except (HttpError, OSError, TimeoutError) as error:
            _log.error("upstream %s: %s while serving %s", backend.plan.name, error or "timeout", _line(request))
            self._statuses[502] += 1
            writer.write(_BAD_GATEWAY)
            await writer.drain()
            return
        self._statuses[reply.status] += 1
        self._durations_s.append(time.perf_counter() - started)
        self.requests[backend.plan.name] += 1

    async def _forward(
        self,
        backend: _Backend,
        request: Head,
        body: bytes,
        method: bytes,
        writer: asyncio.StreamWriter,
    ) -> Head:
        connection, used = await backend.connect()
        try:
            reply = await _exchange(connection, request, body)
            if reply is None and used:
                # The replica closed an idle connection just as it was taken; it has not seen the request.
                connection[1].close()
                connection = await asyncio.open_connection(backend.plan.ip, backend.plan.port, limit=_LIMIT_BYTES)
                reply = await _exchange(connection, request, body)
            reply, answer = await _whole(connection, reply, method)
        except BaseException:
            connection[1].close()
            raise
        if reply.keep_alive and backend.plan.name in self._backends:
            backend.idle.append(connection)
        else:
            connection[1].close()
        writer.write(reply.raw + answer)
        await writer.drain()
        return reply

    def _choose(self) -> _Backend | None:
        """Any ready replica, whatever its load, as behind an ordinary Service."""
        return random.choice(list(self._backends.values())) if self._backends else None


async def _exchange(connection: _Connection, request: Head, body: bytes) -> Head | None:
    reader, writer = connection
    with contextlib.suppress(ConnectionError):
        writer.write(request.raw + body)
        await writer.drain()
        while (reply := await read_head(reader)) is not None and reply.status == HTTPStatus.CONTINUE:
            pass
        return reply
    return None


async def _whole(connection: _Connection, reply: Head | None, method: bytes) -> tuple[Head, bytes]:
    if reply is None:
        raise HttpError("connection closed before a reply")
    if not reply.has_body(method):
        return reply, b""
    return reply, await read_body(connection[0], reply, until_close=not reply.keep_alive)


def _line(request: Head) -> str:
    return b" ".join(request.first[:2]).decode("latin-1")
