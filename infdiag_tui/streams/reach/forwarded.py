"""One connection into a pod: a WebSocket of its own in the channel protocol v4 of port-forwards.

Channel 0 carries data and channel 1 the node's words on why it failed; either begins with the port's number. Every
version of Kubernetes in use speaks it: the API server passes it on to the node, which has done so since 1.7. (kubectl
from 1.31 on puts SPDY into a WebSocket instead, in order to have many connections in one.)
"""

from __future__ import annotations

from contextlib import AsyncExitStack

import aiohttp

from infdiag_tui.model import ErrorKind
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_BAD_REQUEST, HTTP_NOT_FOUND, Access, ApiError, UnreachableError
from infdiag_tui.streams.kube.websocket import websocket
from infdiag_tui.streams.reach.base import ReachError
from infdiag_tui.text import clean, one_line

PROTOCOL = "v4.channel.k8s.io"
_DATA, _ERROR = 0, 1
_PORT_BYTES = 2
_OTHER_WAY = 'set endpoint.via = "proxy" where the server speaks HTTP'


class PodGoneError(ReachError):
    """There is no such pod any more."""


class Forwarded:
    """The far end of a connection into a pod (a `Far`)."""

    def __init__(self, client: KubeClient, namespace: str, pod: str, port: int) -> None:
        self._client = client
        self._where = f"port {port} of pod {pod} (namespace {namespace})"
        self._pod = pod
        self._namespace = namespace
        self._port = port
        self._stack = AsyncExitStack()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._headed: set[int] = set()

    async def open(self) -> None:
        """Connects as far as the node.

        Raises:
            PodGoneError: there is no such pod.
            ReachError: refused or not answered.
        """
        path = f"/api/v1/namespaces/{self._namespace}/pods/{self._pod}/portforward"
        # Servers from 1.35 on ask for `create` besides `get`, the verb of every WebSocket.
        access = Access("get", "pods/portforward", self._namespace, besides=("create",))
        query = [("ports", str(self._port))]
        try:
            self._socket = await self._stack.enter_async_context(
                websocket(self._client, path, query, access, (PROTOCOL,))
            )
        except ApiError as error:
            raise self._refused(error) from error
        if self._socket.protocol != PROTOCOL:
            await self._stack.aclose()
            raise ReachError(
                f"the API server {self._client.place} opens no port-forward over WebSocket that is known here",
                remedy=_OTHER_WAY,
            )

    async def receive(self) -> bytes:
        """As `Far.receive`; raises `ReachError` also with what the node says, such as a refused connection."""
        assert self._socket is not None
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel not in self._headed:
                self._headed.add(channel)
                data = data[_PORT_BYTES:]
            if channel == _ERROR and data:
                raise self._failed(data)
            if channel == _DATA and data:
                return bytes(data)
        if self._socket.close_code in (aiohttp.WSCloseCode.OK, aiohttp.WSCloseCode.GOING_AWAY):
            return b""
        why = self._socket.exception() or f"close code {self._socket.close_code}"
        raise ReachError(
            one_line(
                clean(f"the connection through the API server {self._client.place} to {self._where} broke ({why})")
            ),
            remedy="it is opened again; if that lasts, check network and VPN: kubectl get --raw /livez",
        )

    async def send(self, data: bytes) -> None:
        """As `Far.send`."""
        assert self._socket is not None
        try:
            await self._socket.send_bytes(bytes([_DATA]) + data)
        except (aiohttp.ClientError, OSError) as error:
            raise ReachError(
                one_line(clean(f"the connection through the API server to {self._where} broke ({error})"))
            ) from error

    async def aclose(self) -> None:
        """As `Far.aclose`."""
        await self._stack.aclose()

    def _refused(self, error: ApiError) -> ReachError:
        if error.status == HTTP_NOT_FOUND:
            return PodGoneError(
                f"pod {self._pod} is no longer there ({error.message})",
                kind=ErrorKind.CONNECT,
                remedy=f"name another, or a service; kubectl get pods -n {self._namespace} lists them",
            )
        if error.status in (HTTP_BAD_REQUEST, 405, 426, 500, 501) or (
            isinstance(error, UnreachableError) and "did not open a WebSocket" in error.reason
        ):
            said = f": {error.message}" if error.message else f": {error.reason}"
            return ReachError(
                f"the API server {self._client.place} opens no port-forward to pod {self._pod} over WebSocket{said}",
                remedy=f"an old cluster, or a proxy before it that passes no WebSockets; {_OTHER_WAY}",
            )
        return ReachError.of(error)

    def _failed(self, data: bytes) -> ReachError:
        said = one_line(clean(data.decode(errors="replace")), 300)
        if "connection refused" in said.lower():
            return ReachError(
                f"nothing listens at {self._where}: {said}",
                kind=ErrorKind.CONNECT,
                remedy="is the model server running, and is the port right?",
            )
        return ReachError(f"the node cannot forward to {self._where}: {said}", remedy="look at the pod and its node")
