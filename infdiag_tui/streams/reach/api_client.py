"""The API server as the beginning of a way: its client, held open, and the round trip to it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import Access, ApiError, UnreachableError
from infdiag_tui.streams.reach.base import ReachError, RoundTrips

_MEASURED_PATH = "/version"
"""Small, made without asking etcd, and readable for everybody who may log in (`system:public-info-viewer`)."""
_MEASURE_S = 5.0


class ApiClient:
    """Keeps a client open from its first use to `aclose`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._stack = AsyncExitStack()
        self._lock = asyncio.Lock()
        self._opened = False
        self._trips = RoundTrips(client.clock.monotonic)

    @property
    def round_trip_ms(self) -> float | None:
        """The usual round trip to the API server, its own work on a trivial request included."""
        return self._trips.median_ms

    async def opened(self) -> KubeClient:
        """The client, connected.

        Raises:
            ReachError: kubeconfig or credentials are missing or broken.
        """
        async with self._lock:
            if not self._opened:
                try:
                    await self._stack.enter_async_context(self._client.connected())
                except SourceError as error:
                    raise ReachError.of(error) from error
                self._opened = True
        return self._client

    async def measure(self) -> None:
        """Times a trivial request, at first some of them; one goes ahead untimed, for it may have to connect."""
        try:
            client = await self.opened()
            if self._trips.lacking:
                await self._ask(client)
            for _ in range(max(1, self._trips.lacking)):
                began = self._trips.begin()
                await self._ask(client)
                self._trips.ended(began)
        except SourceError:
            return

    async def _ask(self, client: KubeClient) -> None:
        try:
            await client.get(_MEASURED_PATH, {}, Access("get", "version", ""), timeout_s=_MEASURE_S)
        except UnreachableError:
            raise
        except ApiError:
            return  # refused, which takes a round trip as well

    async def aclose(self) -> None:
        """Leaves the client."""
        async with self._lock:
            self._opened = False
            await self._stack.aclose()
