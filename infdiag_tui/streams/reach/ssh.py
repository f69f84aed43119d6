"""The way through an SSH host: connections that it opens for us (`direct-tcpip`, as `ssh -L` has them)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

from infdiag_tui.clock import Clock
from infdiag_tui.config import Ssh, Via
from infdiag_tui.model import ErrorKind
from infdiag_tui.streams.reach.base import ReachError, RoundTrips, SharedWay
from infdiag_tui.streams.reach.patience import Patience
from infdiag_tui.streams.reach.splice import LocalEnd, Splices
from infdiag_tui.streams.reach.ssh_login import SshError, SshLogin, said
from infdiag_tui.text import one_line

if TYPE_CHECKING:
    import asyncssh
    import httpx

_CHUNK_BYTES = 64 * 1024
_MEASURE_S = 5.0


class SshWay(SharedWay):
    """Connections from an SSH host on (a `Reach`), over one login that is renewed when it breaks."""

    via = Via.SSH
    ends_tls = False

    def __init__(self, settings: Ssh, clock: Clock) -> None:
        self._login = SshLogin(settings)
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self._splices = Splices()
        self._patience = Patience(clock.monotonic)
        self._trips = RoundTrips(clock.monotonic)

    @property
    def name(self) -> str:
        """With user and host."""
        return f"SSH host {self._login.name}"

    @property
    def round_trip_ms(self) -> float | None:
        """To the SSH host; from there on the way is a client's own."""
        return self._trips.median_ms

    def transport(
        self, tls: ssl.SSLContext | None, *, connections: int, keepalive_s: float
    ) -> httpx.AsyncBaseTransport:
        """As `Reach.transport`."""
        from infdiag_tui.streams.reach.stream_transport import stream_transport

        return stream_transport(self.open, tls, connections=connections, keepalive_s=keepalive_s)

    async def open(self, host: str, port: int) -> LocalEnd:
        """A connection to a host and port as the SSH host sees them; raises `ReachError`."""
        return await self._splices.local_end_of(await self.far_end(host, port))

    async def far_end(self, host: str, port: int) -> _Channel:
        """The far end of a new connection; raises `ReachError`."""
        connection = await self._connected()
        import asyncssh

        try:
            reader, writer = await connection.open_connection(host, port, encoding=None)
        except asyncssh.ChannelOpenError as error:
            raise self._not_opened(error, f"{host}:{port}") from error
        except (asyncssh.Error, OSError) as error:
            raise self.broken(error) from error
        return _Channel(reader, writer, self)

    async def measure(self) -> None:
        """Times a keep-alive request, which every SSH server answers, if only with a refusal."""
        try:
            connection = await self._connected()
        except ReachError:
            return
        # asyncssh has no public way to wait for the answer to one; without it the round trip stays unknown.
        request: Any = getattr(connection, "_make_global_request", None)
        if request is None:
            return
        import asyncssh

        with contextlib.suppress(asyncssh.Error, OSError, TimeoutError):
            async with asyncio.timeout(_MEASURE_S):
                for _ in range(max(1, self._trips.lacking)):
                    began = self._trips.begin()
                    await request(b"keepalive@openssh.com")
                    if connection.is_closed():
                        return
                    self._trips.ended(began)

    @property
    def is_open(self) -> bool:
        """Whether the login stands."""
        return self._connection is not None and not self._connection.is_closed()

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._lock:
            if self._connection is None or not self.is_open:
                self._patience.check()
                try:
                    self._connection = await self._login.connect()
                except SshError as error:
                    failure = ReachError(error.reason, remedy=error.remedy)
                    self._patience.failed(failure)
                    raise failure from error
                self._patience.succeeded()
            return self._connection

    async def _close(self) -> None:
        await self._splices.aclose()
        async with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            await connection.wait_closed()

    def _not_opened(self, error: asyncssh.ChannelOpenError, target: str) -> ReachError:
        import asyncssh

        if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
            return ReachError(
                f"{self._login.name} allows no connections to be forwarded to {target} ({said(error)})",
                remedy="its sshd must have AllowTcpForwarding yes, and allow that address in PermitOpen",
            )
        return ReachError(
            one_line(f"{self._login.name} cannot connect to {target}: {said(error)}"),
            kind=ErrorKind.CONNECT,
            remedy="endpoint.url is the address as that host sees it: is the model server running, and the port right?",
        )

    def broken(self, error: BaseException | None) -> ReachError:
        """Why a connection ended that should not have."""
        why = f" ({said(error)})" if error is not None else ""
        return ReachError(
            f"the SSH connection to {self._login.name} broke{why}",
            remedy=f"it is opened again; if that lasts, try by hand: ssh {self._login.name}",
        )


class _Channel:
    """The far end of one connection (a `Far`)."""

    def __init__(self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes], way: SshWay) -> None:
        self._reader = reader
        self._writer = writer
        self._way = way

    async def receive(self) -> bytes:
        """As `Far.receive`."""
        import asyncssh

        try:
            data = await self._reader.read(_CHUNK_BYTES)
        except (asyncssh.Error, OSError) as error:
            raise self._way.broken(error) from error
        if not data and not self._way.is_open:
            raise self._way.broken(None)
        return data

    async def send(self, data: bytes) -> None:
        """As `Far.send`."""
        import asyncssh

        try:
            self._writer.write(data)
            await self._writer.drain()
        except (asyncssh.Error, OSError) as error:
            raise self._way.broken(error) from error

    async def aclose(self) -> None:
        """As `Far.aclose`."""
        self._writer.channel.abort()
