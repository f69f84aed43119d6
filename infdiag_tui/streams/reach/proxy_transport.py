"""HTTP through the API server's proxy for services and pods, with the kubeconfig's credentials.

The credentials go to the API server and nowhere else: a request's address is made here from the server's own, and
redirects are not followed. The API server takes the Authorization header for itself and never hands it on, so a model
server that wants one cannot be reached this way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpcore
import httpx

from infdiag_tui.config import Via
from infdiag_tui.config.request import proxy_for
from infdiag_tui.servers.in_cluster import FORMS, ClusterHost, cluster_host
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_UNAUTHORIZED, Access, refused, unreachable
from infdiag_tui.streams.probe.wire import open_transport
from infdiag_tui.streams.reach.api_client import ApiClient
from infdiag_tui.streams.reach.base import ReachError
from infdiag_tui.streams.reach.proxy_replies import PEEKED_BYTES, PERHAPS_ITS_OWN, own_message, proxy_failure
from infdiag_tui.text import clean, one_line

_VERBS = {"GET": "get", "HEAD": "get", "OPTIONS": "get", "POST": "create", "PUT": "update", "PATCH": "patch"}
"""Of access rules, by method, as the API server maps them."""
_WAIT_S = 600.0
"""Longer than any request's own time limit, which is the caller's."""
_WIRE_ERRORS = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpx.TransportError,
)


class ProxyTransport(httpx.AsyncBaseTransport):
    """Requests to hosts of the cluster, put to the API server; imports httpx, so it is itself imported late."""

    def __init__(self, api: ApiClient, connections: int, keepalive_s: float) -> None:
        self._api = api
        self._connections = connections
        self._keepalive_s = keepalive_s
        self._inner: httpx.AsyncBaseTransport | None = None
        self._inner_of: Any = None
        self._retired: list[httpx.AsyncBaseTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The model server's reply with its body still to be read; raises `ReachError`."""
        host = _named(request)
        client = await self._api.opened()
        access = Access(_VERBS.get(request.method, "delete"), f"{host.kind.resource}/proxy", host.namespace)
        prefix = _prefix(request.url, host)

        async def send(api: Any) -> httpx.Response:
            try:
                reply = await self._connected(api).handle_async_request(await _readdressed(request, prefix, api))
            except _WIRE_ERRORS as error:
                raise unreachable(_cause(error), client.place) from error
            return await _models_own(reply, access, client, host)

        try:
            reply = await client.answered(send, access, open_s=_WAIT_S, patient=False)
        except ReachError:
            raise
        except SourceError as error:
            raise ReachError.of(error) from error
        location = reply.headers.get("location", "")
        if location.startswith(prefix):
            reply.headers["location"] = location.removeprefix(prefix) or "/"
        return reply

    async def aclose(self) -> None:
        """Closes every connection."""
        inner, self._inner = self._inner, None
        for one in [*self._retired, *([inner] if inner is not None else [])]:
            await one.aclose()
        self._retired.clear()

    def _connected(self, api: Any) -> httpx.AsyncBaseTransport:
        """The pool for this set of credentials: client certificates belong to connections."""
        if self._inner is None or self._inner_of is not api:
            if self._inner is not None:
                self._retired.append(self._inner)
            host = str(api.configuration.host)
            tls = api.rest_client.ssl_context if host.startswith("https") else None
            proxy = api.rest_client.proxy or proxy_for(host)
            try:
                self._inner = open_transport(tls, proxy, connections=self._connections, keepalive_s=self._keepalive_s)
            except (ValueError, ImportError) as error:
                raise ReachError(
                    one_line(clean(f"the proxy {proxy} on the way to the API server cannot be used: {error}")),
                    remedy="check HTTPS_PROXY, NO_PROXY and the kubeconfig's proxy-url",
                ) from error
            self._inner_of = api
        return self._inner


def _named(request: httpx.Request) -> ClusterHost:
    host = cluster_host(request.url.host)
    if host is None:
        raise ReachError(
            f"the API server's proxy reaches services and pods only, and {request.url.host} is neither",
            remedy=f"write the address as {FORMS}",
        )
    if "authorization" in request.headers:
        raise ReachError(
            "the model server's Authorization header cannot go through the API server's proxy, which takes it for its "
            "own and does not hand it on",
            remedy=f'set endpoint.via = "{Via.PORT_FORWARD}", or leave that header out',
        )
    return host


def _prefix(url: httpx.URL, host: ClusterHost) -> str:
    port = url.port or (443 if url.scheme == "https" else 80)
    tls = "https:" if url.scheme == "https" else ""
    return f"/api/v1/namespaces/{host.namespace}/{host.kind.resource}/{tls}{host.name}:{port}/proxy"


async def _readdressed(request: httpx.Request, prefix: str, api: Any) -> httpx.Request:
    """The same request to the API server, with its credentials."""
    _, address, credentials, *_ = await api.param_serialize("GET", "", auth_settings=["BearerToken"])
    url = httpx.URL(address)
    path = url.raw_path.rstrip(b"/") + prefix.encode() + request.url.raw_path
    headers = httpx.Headers([pair for pair in request.headers.raw if pair[0].lower() != b"host"])
    headers["Host"] = url.netloc.decode()
    headers.update({name: value for name, value in credentials.items() if name.lower() == "authorization"})
    extensions = dict(request.extensions)
    if api.configuration.tls_server_name:
        extensions["sni_hostname"] = api.configuration.tls_server_name
    return httpx.Request(
        request.method, url.copy_with(raw_path=path), headers=headers, stream=request.stream, extensions=extensions
    )


async def _models_own(reply: httpx.Response, access: Access, client: KubeClient, host: ClusterHost) -> httpx.Response:
    """`reply`, unless it is the API server's own.

    Raises:
        ApiError: the API server does not know the credentials (401).
        ReachError: it answers anything else by itself.
    """
    if reply.status_code not in PERHAPS_ITS_OWN or reply.headers.get("content-encoding"):
        return reply
    assert isinstance(reply.stream, httpx.AsyncByteStream)
    parts = aiter(reply.stream)
    said = b""
    while len(said) < PEEKED_BYTES:
        part = await anext(parts, None)
        if part is None:
            break
        said += part
    message = own_message(said)
    if message is None:
        stream = _Rejoined(said, parts, reply.stream)
        return httpx.Response(reply.status_code, headers=reply.headers, stream=stream, extensions=reply.extensions)
    await reply.aclose()
    if reply.status_code == HTTP_UNAUTHORIZED:
        raise refused(reply.status_code, message, access, client.place, None)
    raise proxy_failure(reply.status_code, message, access, client.place, host)


class _Rejoined(httpx.AsyncByteStream):
    """A body of which the beginning has been read."""

    def __init__(self, said: bytes, rest: AsyncIterator[bytes], stream: httpx.AsyncByteStream) -> None:
        self._said = said
        self._rest = rest
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._said:
            yield self._said
        async for part in self._rest:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _cause(error: BaseException) -> BaseException:
    """The operating system's or OpenSSL's error inside of httpcore's, where there is one."""
    for one in (error, error.__cause__, error.__context__, *error.args):
        if isinstance(one, OSError | TimeoutError):
            return one
    return error
