"""Port-forwards over SPDY, as kubectl before 1.31 speaks them: many connections in one, two streams for each."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import struct

from infdiag_tui.lab.api import spdy

_ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
    b"X-Stream-Protocol-Version: portforward.k8s.io\r\n\r\n"
)
_CHUNK_BYTES = 32 * 1024


class SpdyForward:
    """One session on a connection that has just been upgraded: bytes to and from the ports of one address."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ip: str) -> None:
        self._reader = reader
        self._writer = writer
        self._ip = ip
        self._headers = spdy.Headers()
        self._error_streams: dict[str, int] = {}
        """By the client's number of the connection."""
        self._incoming: dict[int, asyncio.Queue[bytes]] = {}
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serves for as long as the client stays."""
        self._writer.write(_ACCEPTED)
        try:
            await self._receive()
        finally:
            for connection in list(self._connections):
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            self._writer.close()

    async def _receive(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frame = spdy.Frame.head(await self._reader.readexactly(8))
                payload = await self._reader.readexactly(frame.length)
                if frame.kind is None and frame.stream in self._incoming:
                    if payload:
                        await self._incoming[frame.stream].put(payload)
                    if frame.flags & spdy.FIN:
                        await self._incoming[frame.stream].put(b"")
                elif frame.kind == spdy.SYN_STREAM:
                    self._open(payload)
                elif frame.kind == spdy.RST_STREAM:
                    (number,) = struct.unpack_from(">I", payload)
                    if number in self._incoming:
                        await self._incoming[number].put(b"")
                elif frame.kind == spdy.PING:
                    self._writer.write(spdy.control(spdy.PING, payload))
                elif frame.kind == spdy.GOAWAY:
                    return

    def _open(self, payload: bytes) -> None:
        (number,) = struct.unpack_from(">I", payload)
        headers = self._headers.read(payload[10:])
        self._writer.write(spdy.control(spdy.SYN_REPLY, struct.pack(">I", number) + self._headers.empty()))
        connection = headers.get("requestid", "")
        if headers.get("streamtype") == "error":
            self._error_streams[connection] = number
            return
        self._incoming[number] = asyncio.Queue(maxsize=64)
        task = asyncio.create_task(self._carry(number, connection, int(headers["port"])))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _carry(self, number: int, connection: str, port: int) -> None:
        failed = b""
        try:
            reader, writer = await asyncio.open_connection(self._ip, port)
        except OSError as error:
            failed = f"dial tcp4 127.0.0.1:{port}: connect: {os.strerror(error.errno or errno.ECONNREFUSED)}".encode()
        else:
            sending = asyncio.create_task(self._outward(number, reader))
            receiving = asyncio.create_task(self._inward(number, writer))
            try:
                # A client may say that it will send no more, and still wait for the answer.
                await asyncio.wait({sending})
            finally:
                for task in (sending, receiving):
                    task.cancel()
                await asyncio.gather(sending, receiving, return_exceptions=True)
                writer.close()
        self._writer.write(spdy.data_frame(self._error_streams.pop(connection, number), failed, spdy.FIN))
        self._writer.write(spdy.data_frame(number, b"", spdy.FIN))
        del self._incoming[number]

    async def _outward(self, number: int, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            self._writer.write(spdy.data_frame(number, data))
            await self._writer.drain()

    async def _inward(self, number: int, writer: asyncio.StreamWriter) -> None:
        while data := await self._incoming[number].get():
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
