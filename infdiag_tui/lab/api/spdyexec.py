"""`exec` over SPDY, as kubectl before 1.30 speaks it: the request's connection becomes a bundle of streams."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import orjson

from infdiag_tui.lab.api import spdy
from infdiag_tui.lab.api.execution import ExecOptions, execute
from infdiag_tui.lab.api.node import ExecPlace

_SETUP_S = 10.0
_LINGER_S = 2.0
_ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    b"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
)


class SpdyExec:
    """One exec session on a connection that has just been upgraded."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, query: list[tuple[str, str]]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._options = ExecOptions.of(query)
        self._headers = spdy.Headers()
        wanted = {
            key for key, value in query if key in ("stdin", "stdout", "stderr") and value.lower() in ("true", "1")
        }
        if self._options.tty:
            wanted.discard("stderr")
        self._wanted = {"error", *wanted}
        self._streams: dict[str, int] = {}
        self._complete = asyncio.Event()
        self._input: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)

    async def run(self, place: ExecPlace) -> None:
        """Runs the command, for as long as the client stays."""
        self._writer.write(_ACCEPTED)
        reading = asyncio.create_task(self._receive())
        running = asyncio.create_task(self._execute(place))
        try:
            await asyncio.wait([reading, running], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await self._finish(running.result())
                # The client closes once it has read everything; closing first could cost it the last frames.
                await asyncio.wait([reading], timeout=_LINGER_S)
        finally:
            reading.cancel()
            running.cancel()
            await asyncio.gather(reading, running, return_exceptions=True)
            self._writer.close()

    async def stdin(self) -> AsyncIterator[bytes]:
        """What the client sends on its stdin stream."""
        while data := await self._input.get():
            yield data

    async def send(self, stream: str, data: bytes) -> None:
        """Sends output on one of the client's streams."""
        if stream in self._streams:
            self._writer.write(spdy.data_frame(self._streams[stream], data))
            await self._writer.drain()

    async def _execute(self, place: ExecPlace) -> dict[str, Any]:
        await asyncio.wait_for(self._complete.wait(), _SETUP_S)
        return await execute(self._options, place, self)

    async def _finish(self, status: dict[str, Any]) -> None:
        await self.send("error", orjson.dumps(status))
        for number in self._streams.values():
            self._writer.write(spdy.data_frame(number, b"", spdy.FIN))
        await self._writer.drain()

    async def _receive(self) -> None:
        try:
            while True:
                frame = spdy.Frame.head(await self._reader.readexactly(8))
                payload = await self._reader.readexactly(frame.length)
                if frame.kind is None:
                    await self._data(frame, payload)
                elif frame.kind == spdy.SYN_STREAM:
                    self._open(payload)
                elif frame.kind == spdy.PING:
                    self._writer.write(spdy.control(spdy.PING, payload))
                elif frame.kind == spdy.GOAWAY:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return

    def _open(self, payload: bytes) -> None:
        (number,) = struct.unpack_from(">I", payload)
        kind = self._headers.read(payload[10:]).get("streamtype", "")
        self._streams[kind] = number
        self._writer.write(spdy.control(spdy.SYN_REPLY, struct.pack(">I", number) + self._headers.empty()))
        if self._wanted <= self._streams.keys():
            self._complete.set()

    async def _data(self, frame: spdy.Frame, payload: bytes) -> None:
        if frame.stream != self._streams.get("stdin"):
            return
        if payload:
            await self._input.put(payload)
        if frame.flags & spdy.FIN:
            await self._input.put(b"")
