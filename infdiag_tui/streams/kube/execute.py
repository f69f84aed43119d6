"""Runs a command in a container of a pod (`exec`) over the channel protocols v5 and v4 of Kubernetes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import Access, UnreachableError
from infdiag_tui.streams.kube.websocket import websocket
from infdiag_tui.text import clean, one_line

_V5 = "v5.channel.k8s.io"
_PROTOCOLS = (_V5, "v4.channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_STREAMS = {_STDOUT: "stdout", _STDERR: "stderr"}
_CHUNK_BYTES = 32 * 1024

Take = Callable[[str, bytes], None]
"""Is given each piece of `stdout` and `stderr` as it comes, first of all nothing, once the session is open; what it
raises ends the session."""


@dataclass(frozen=True, slots=True)
class ContainerPlace:
    """One container of one pod."""

    namespace: str
    pod: str
    container: str


async def execute(
    client: KubeClient, place: ContainerPlace, command: Sequence[str], stdin: bytes, take: Take
) -> tuple[int | None, str]:
    """Runs `command` to its end: its exit code, or None and the node's words on why it did not start.

    With v4, which older clusters speak, the command never sees the end of its standard input. A command may outlive a
    session that is cut short.

    Raises:
        ApiError: refused or, as `UnreachableError`, not answered or cut off before the command's end was told.
        SourceError: kubeconfig or credentials are missing or broken.
    """
    path = f"/api/v1/namespaces/{place.namespace}/pods/{place.pod}/exec"
    # Servers from 1.35 on ask for `create` besides `get`, the verb of every WebSocket.
    access = Access("get", "pods/exec", place.namespace, besides=("create",))
    query = [("container", place.container), ("stdout", "true"), ("stderr", "true")]
    query += [("stdin", "true")] if stdin else []
    query += [("command", word) for word in command]
    async with client.connected(), websocket(client, path, query, access, _PROTOCOLS) as socket:
        take("stdout", b"")
        feeding = asyncio.create_task(_feed(socket, stdin), name=f"stdin of {place.pod}") if stdin else None
        try:
            status = await _receive(socket, take)
        except (aiohttp.ClientError, OSError) as error:
            raise _cut_off(client, place, str(error)) from error
        finally:
            if feeding is not None:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        if status is None:
            reason = socket.exception()
            raise _cut_off(client, place, str(reason) if reason else f"closed with code {socket.close_code}")
        client.touch()
    return _outcome(status)


async def _feed(socket: aiohttp.ClientWebSocketResponse, stdin: bytes) -> None:
    """Sends all input, and its end where the protocol has one; a command may end before it has read it."""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        for at in range(0, len(stdin), _CHUNK_BYTES):
            await socket.send_bytes(bytes([_STDIN]) + stdin[at : at + _CHUNK_BYTES])
        if socket.protocol == _V5:
            await socket.send_bytes(bytes([_CLOSE, _STDIN]))


async def _receive(socket: aiohttp.ClientWebSocketResponse, take: Take) -> dict[str, Any] | None:
    """Hands the output on until the Status comes; None when the connection ended without one."""
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel in _STREAMS and data:
            take(_STREAMS[channel], data)
        elif channel == _ERROR and data:
            return _status(data)
    return None


def _status(data: bytes) -> dict[str, Any]:
    try:
        status = orjson.loads(data)
    except orjson.JSONDecodeError:
        status = None
    # Nodes of old answer with plain words instead of a Status.
    return status if isinstance(status, dict) else {"message": data.decode(errors="replace")}


def _outcome(status: dict[str, Any]) -> tuple[int | None, str]:
    if status.get("status") == "Success":
        return 0, ""
    message = one_line(clean(str(status.get("message") or status.get("reason") or "the node gave no reason")), 500)
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    for cause in causes if isinstance(causes, list) else ():
        code = str(cause.get("message")) if isinstance(cause, dict) and cause.get("reason") == "ExitCode" else ""
        if code.isdecimal():
            return int(code), message
    return None, message


def _cut_off(client: KubeClient, place: ContainerPlace, why: str) -> UnreachableError:
    said = f" ({one_line(clean(why))})" if why else ""
    return UnreachableError(
        f"the connection through the API server {client.place} to pod {place.pod} broke before the command ended{said}",
        remedy="check that both are there (kubectl get --raw /livez; "
        f"kubectl get pod {place.pod} -n {place.namespace}), then run the check again",
    )
