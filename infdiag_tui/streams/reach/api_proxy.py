"""The way through the API server's proxy for services and pods."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from infdiag_tui.config import Via
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.reach.api_client import ApiClient
from infdiag_tui.streams.reach.base import SharedWay

if TYPE_CHECKING:
    import httpx


class ApiProxy(SharedWay):
    """The way through the API server's proxy (a `Reach`)."""

    via = Via.PROXY
    ends_tls = True
    name = "the API server's proxy"

    def __init__(self, client: KubeClient) -> None:
        self._api = ApiClient(client)

    @property
    def round_trip_ms(self) -> float | None:
        """As `Reach.round_trip_ms`."""
        return self._api.round_trip_ms

    def transport(
        self,
        tls: ssl.SSLContext | None,  # noqa: ARG002 - the model server's TLS is the API server's affair
        *,
        connections: int,
        keepalive_s: float,
    ) -> httpx.AsyncBaseTransport:
        """As `Reach.transport`."""
        from infdiag_tui.streams.reach.proxy_transport import ProxyTransport

        return ProxyTransport(self._api, connections, keepalive_s)

    async def measure(self) -> None:
        """As `Reach.measure`."""
        await self._api.measure()

    async def _close(self) -> None:
        await self._api.aclose()
