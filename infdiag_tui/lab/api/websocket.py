"""`exec` over WebSocket, as the Python client and newer kubectl speak it (channel protocols v4 and v5)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
from aiohttp import WSMsgType, web

from infdiag_tui.lab.api.execution import ExecOptions, execute
from infdiag_tui.lab.api.node import ExecPlace

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_CHANNELS = {"stdout": 1, "stderr": 2}
_STDIN, _ERROR, _CLOSE = 0, 3, 255


class _Session:
    """Splits the client's messages into stdin and the rest, and notices when it leaves."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._input: asyncio.Queue[bytes] = asyncio.Queue(maxsize=64)

    async def receive(self) -> None:
        """Reads until the client closes the connection."""
        async for message in self._socket:
            if message.type is not WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == _STDIN and data:
                await self._input.put(data)
            elif channel == _CLOSE and data == bytes([_STDIN]):
                await self._input.put(b"")

    async def stdin(self) -> AsyncIterator[bytes]:
        while data := await self._input.get():
            yield data

    async def send(self, stream: str, data: bytes) -> None:
        await self._socket.send_bytes(bytes([_CHANNELS[stream]]) + data)


async def serve_exec(request: web.Request, place: ExecPlace) -> web.StreamResponse:
    """Runs the command of this request, for as long as the client stays."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS)
    await socket.prepare(request)
    session = _Session(socket)
    reading = asyncio.create_task(session.receive())
    running = asyncio.create_task(execute(ExecOptions.of(list(request.query.items())), place, session))
    try:
        await asyncio.wait([reading, running], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await socket.send_bytes(bytes([_ERROR]) + orjson.dumps(running.result()))
            await socket.close()
    except* ConnectionError:
        # The client left in the middle of the output; there is nobody to tell.
        await socket.close()
    finally:
        reading.cancel()
        running.cancel()
        await asyncio.gather(reading, running, return_exceptions=True)
    return socket
