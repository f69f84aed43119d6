"""Port-forwards over WebSocket (channel protocol v4), as a node serves them."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import NamedTuple

from aiohttp import WSMsgType, web

from infdiag_tui.lab.api.replies import ApiError
from infdiag_tui.lab.api.resources import Target
from infdiag_tui.lab.api.store import Store

_PROTOCOLS = ("v4.channel.k8s.io",)
_CHUNK_BYTES = 32 * 1024


class ForwardPlace(NamedTuple):
    """A pod's address, and the ports of it that are forwarded."""

    pod: str
    ip: str
    ports: tuple[int, ...]


def forward_place(store: Store, target: Target, ports: list[str]) -> ForwardPlace:
    """What a request asks for.

    Raises:
        ApiError: there is no such pod, it does not run, or the ports are none.
    """
    pod = store.get("pods", target.namespace, target.name)
    if target.resource.name != "pods" or pod is None:
        raise ApiError(404, f'pods "{target.name}" not found')
    wanted = [port for one in ports for port in one.split(",")]
    if not wanted or not all(port.isdecimal() for port in wanted):
        raise ApiError(400, "you must specify at least 1 port")
    status = pod["status"]
    if status["phase"] != "Running":
        raise ApiError(400, f"unable to forward port because pod is not running. Current status={status['phase']}")
    return ForwardPlace(target.name, status["podIP"], tuple(map(int, wanted)))


async def serve_forward(request: web.Request, place: ForwardPlace) -> web.StreamResponse:
    """Carries bytes between the client and the pod's ports until either ends."""
    socket = web.WebSocketResponse(protocols=_PROTOCOLS)
    await socket.prepare(request)
    for number, port in enumerate(place.ports):
        for channel in (2 * number, 2 * number + 1):
            await socket.send_bytes(bytes([channel]) + port.to_bytes(2, "little"))
    writers: dict[int, asyncio.StreamWriter] = {}
    pumps = []
    try:
        for number, port in enumerate(place.ports):
            reader, writers[2 * number] = await asyncio.open_connection(place.ip, port)
            pumps.append(asyncio.create_task(_outward(socket, 2 * number, reader)))
        receiving = asyncio.create_task(_inward(socket, writers))
        pumps.append(receiving)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    except OSError as error:
        why = os.strerror(error.errno or errno.ECONNREFUSED).lower()
        said = (
            f"an error occurred forwarding {port} -> {port}: error forwarding port {port} to pod {place.pod}, "
            f"uid : failed to connect to localhost:{port} inside namespace: dial tcp4 127.0.0.1:{port}: connect: {why}"
        )
        await socket.send_bytes(bytes([2 * number + 1]) + said.encode())
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for writer in writers.values():
            writer.close()
        await socket.close()
    return socket


async def _inward(socket: web.WebSocketResponse, writers: dict[int, asyncio.StreamWriter]) -> None:
    async for message in socket:
        if message.type is WSMsgType.BINARY and message.data and message.data[0] in writers:
            writer = writers[message.data[0]]
            writer.write(message.data[1:])
            await writer.drain()


async def _outward(socket: web.WebSocketResponse, channel: int, reader: asyncio.StreamReader) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        await socket.send_bytes(bytes([channel]) + data)
