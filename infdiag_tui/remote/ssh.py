"""The way to a model server's host over SSH, with the user's own config, agent, keys and known hosts."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from checks.base import CheckError
from infdiag_tui.config import Ssh
from infdiag_tui.streams.reach.ssh_login import SshError, SshLogin, said

if TYPE_CHECKING:
    import asyncssh

_CHUNK_BYTES = 32 * 1024


class SshCarrier:
    """Runs commands on one host over one connection, opened with the first. Belongs to one event loop."""

    kind: Literal["container", "host"] = "host"

    def __init__(self, settings: Ssh) -> None:
        self._login = SshLogin(settings)
        self._name = self._login.name
        self._lock = asyncio.Lock()
        self._connection: asyncssh.SSHClientConnection | None = None
        self.place = f"host {self._name} (SSH)"

    async def carry(
        self, words: tuple[str, ...], stdin: bytes, take: Callable[[str, bytes], None]
    ) -> tuple[int | None, str]:
        """As `Carrier.carry`; the words reach the program as they are, whatever the login shell."""
        connection = await self._connected()
        import asyncssh

        try:
            process = await connection.create_process(shlex.join(words), encoding=None)
        except (asyncssh.Error, OSError) as error:
            raise CheckError(self._broken(error), unreachable=True) from error
        take("stdout", b"")
        tasks = [
            asyncio.create_task(_pump(process.stdout, "stdout", take)),
            asyncio.create_task(_pump(process.stderr, "stderr", take)),
            asyncio.create_task(_feed(process.stdin, stdin)),
        ]
        try:
            await asyncio.gather(*tasks[:2])
            await process.wait_closed()
        except (asyncssh.Error, OSError) as error:
            raise CheckError(self._broken(error), unreachable=True) from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            process.close()
        code = process.returncode
        if code is None:
            raise CheckError(self._broken(None), unreachable=True)
        return (code if code >= 0 else 128 - code), ""

    async def aclose(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.abort()
            await self._connection.wait_closed()
            self._connection = None

    async def _connected(self) -> asyncssh.SSHClientConnection:
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                try:
                    self._connection = await self._login.connect()
                except SshError as error:
                    raise CheckError(str(error), unreachable=error.unreachable) from error
            return self._connection

    def _broken(self, error: BaseException | None) -> str:
        why = f" ({said(error)})" if error is not None else ""
        return f"the SSH connection to {self._name} broke before the command ended{why}; run the check again"


async def _pump(reader: asyncssh.SSHReader[bytes], stream: str, take: Callable[[str, bytes], None]) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        take(stream, data)


async def _feed(writer: asyncssh.SSHWriter[bytes], stdin: bytes) -> None:
    """Sends all input and its end; a command may end before it has read it."""
    for at in range(0, len(stdin), _CHUNK_BYTES):
        writer.write(stdin[at : at + _CHUNK_BYTES])
        await writer.drain()
    writer.write_eof()
