"""The way into a pod through the API server, byte for byte, held open and opened again when it breaks."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

from infdiag_tui.config import Via
from infdiag_tui.model import ErrorKind
from infdiag_tui.servers.in_cluster import FORMS, ClusterHost, InCluster, cluster_host
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.reach.api_client import ApiClient
from infdiag_tui.streams.reach.base import ReachError, SharedWay
from infdiag_tui.streams.reach.choose_pod import pod_behind
from infdiag_tui.streams.reach.forwarded import Forwarded, PodGoneError
from infdiag_tui.streams.reach.patience import Patience
from infdiag_tui.streams.reach.splice import LocalEnd, Splices

if TYPE_CHECKING:
    import httpx

_CHOSEN_S = 15.0
"""A service's pod is looked up again for connections that are opened later than this after the last look."""


class PortForward(SharedWay):
    """Connections into the pods behind addresses of the cluster (a `Reach`).

    All connections to a service go to one pod, as with kubectl, until it is no longer ready.
    """

    via = Via.PORT_FORWARD
    ends_tls = False

    def __init__(self, client: KubeClient) -> None:
        self._api = ApiClient(client)
        self._monotonic = client.clock.monotonic
        self._splices = Splices()
        self._patience = Patience(self._monotonic)
        self._chosen: dict[tuple[ClusterHost, int], tuple[str, int, float]] = {}
        self._choosing = asyncio.Lock()

    @property
    def name(self) -> str:
        """Names the pod where all go to one behind a service."""
        pods = {pod for (host, _), (pod, _, _) in self._chosen.items() if host.kind is InCluster.SERVICE}
        return f"a port-forward to pod {pods.pop()}" if len(pods) == 1 else "a port-forward"

    @property
    def round_trip_ms(self) -> float | None:
        """To the API server; the rest of the way to the pod, as a rule in one data centre, is not told apart."""
        return self._api.round_trip_ms

    def transport(
        self, tls: ssl.SSLContext | None, *, connections: int, keepalive_s: float
    ) -> httpx.AsyncBaseTransport:
        """As `Reach.transport`."""
        from infdiag_tui.streams.reach.stream_transport import stream_transport

        return stream_transport(self.open, tls, connections=connections, keepalive_s=keepalive_s)

    async def open(self, host: str, port: int) -> LocalEnd:
        """A connection to an address of the cluster; raises `ReachError`."""
        return await self._splices.local_end_of(await self.far_end(host, port))

    async def far_end(self, host: str, port: int) -> Forwarded:
        """The far end of a new connection; raises `ReachError`."""
        found = cluster_host(host)
        if found is None:
            raise ReachError(
                f"a port-forward reaches services and pods only, and {host} is neither",
                remedy=f"write the address as {FORMS}",
            )
        self._patience.check()
        try:
            far = await self._opened(found, port)
        except ReachError as error:
            if error.kind is ErrorKind.TUNNEL:
                self._patience.failed(error)
            raise
        self._patience.succeeded()
        return far

    async def measure(self) -> None:
        """As `Reach.measure`."""
        await self._api.measure()

    async def _opened(self, host: ClusterHost, port: int) -> Forwarded:
        client = await self._api.opened()
        pod, pod_port = await self._pod(client, host, port)
        far = Forwarded(client, host.namespace, pod, pod_port)
        try:
            await far.open()
        except PodGoneError:
            if host.kind is InCluster.POD:
                raise
            self._chosen.pop((host, port), None)
            pod, pod_port = await self._pod(client, host, port)
            far = Forwarded(client, host.namespace, pod, pod_port)
            await far.open()
        return far

    async def _pod(self, client: KubeClient, host: ClusterHost, port: int) -> tuple[str, int]:
        async with self._choosing:
            known = self._chosen.get((host, port))
            if known is not None and self._monotonic() - known[2] < _CHOSEN_S:
                return known[0], known[1]
            pod, pod_port = await pod_behind(client, host, port, known[0] if known else "")
            self._chosen[host, port] = (pod, pod_port, self._monotonic())
            return pod, pod_port

    async def _close(self) -> None:
        await self._splices.aclose()
        await self._api.aclose()
