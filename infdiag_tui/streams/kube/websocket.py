"""Requests to the API server that become a WebSocket, over the shared client's connections and credentials."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_BAD_REQUEST, Access

_PING_S = 30.0
"""Keeps a silent WebSocket open through load balancers, which cut idle connections after a minute and more."""
_GOODBYE_S = 1.0
_MESSAGE_BYTES = 16 * 2**20
"""Far more than any server puts into one message."""


@contextlib.asynccontextmanager
async def websocket(
    client: KubeClient, path: str, query: Sequence[tuple[str, str]], access: Access, protocols: Sequence[str]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket of the first of `protocols` that the server knows; `client` must be connected.

    Raises:
        ApiError: refused (with the HTTP status) or, as `UnreachableError`, not answered.
        SourceError: credentials could not be renewed.
    """

    async def refuse(reply: aiohttp.ClientResponse) -> None:
        if reply.status >= HTTP_BAD_REQUEST:
            raise await client.refusal(reply, access)

    async def send(api: Any) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
        rest = api.rest_client
        method, url, headers, *_ = await api.param_serialize("GET", path, auth_settings=["BearerToken"])
        # A session of its own, for only a session can be told to read what a refusal says; the pool is the client's.
        session = aiohttp.ClientSession(
            connector=rest.pool_manager.connector, connector_owner=False, trust_env=True, raise_for_status=refuse
        )
        try:
            socket = await session.ws_connect(
                # Encoded once and for all: Go's servers take no bare semicolon in a query.
                URL(f"{url}?{urlencode(query)}", encoded=True),
                method=method,
                protocols=protocols,
                headers=headers,
                proxy=rest.proxy,
                proxy_headers=rest.proxy_headers,
                server_hostname=api.configuration.tls_server_name or None,
                heartbeat=_PING_S,
                timeout=aiohttp.ClientWSTimeout(ws_close=_GOODBYE_S),
                max_msg_size=_MESSAGE_BYTES,
            )
        except BaseException:
            await session.close()
            raise
        return session, socket

    session, socket = await client.answered(send, access)
    try:
        yield socket
    finally:
        await socket.close()
        await session.close()
