"""The way to a model server's host over SSH, with the user's own config, agent, keys and known hosts."""

from __future__ import annotations

import asyncio
import importlib
import logging
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from checks.base import CheckError
from infdiag_tui.config import Ssh
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    import asyncssh

_KEEPALIVE_S = 15.0
_CHUNK_BYTES = 32 * 1024


class SshCarrier:
    """Runs commands on one host over one connection, opened with the first. Belongs to one event loop."""

    kind: Literal["container", "host"] = "host"

    def __init__(self, settings: Ssh) -> None:
        self._settings = settings
        self._name = one_line(clean(f"{settings.user}@{settings.host}" if settings.user else settings.host), 200)
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
                # A third of a second, on a thread.
                await asyncio.to_thread(importlib.import_module, "infdiag_tui.remote.ssh_keys")
                self._connection = await self._connect()
            return self._connection

    async def _connect(self) -> asyncssh.SSHClientConnection:
        import asyncssh

        logging.getLogger("asyncssh").setLevel(logging.WARNING)
        settings = self._settings
        options: dict[str, Any] = {"connect_timeout": settings.connect_timeout_s, "keepalive_interval": _KEEPALIVE_S}
        if settings.user:
            options["username"] = settings.user
        if settings.port is not None:
            options["port"] = settings.port
        if settings.identity_file is not None:
            options["client_keys"] = [str(settings.identity_file)]
        try:
            return await self._log_in(options)
        except asyncssh.PermissionDenied as error:
            raise CheckError(self._refused(error)) from error
        except asyncssh.ConfigParseError as error:
            raise CheckError(f"~/.ssh/config: {_said(error)}; mend it there") from error
        except asyncssh.KeyImportError as error:
            file = settings.identity_file or "a key of ~/.ssh"
            raise CheckError(
                f"{file} cannot be used to log in to {self._name}: {_said(error)}; one with a passphrase must be given "
                f"to the agent first: ssh-add {file if settings.identity_file else ''}".rstrip()
            ) from error
        except (asyncssh.Error, OSError, ValueError) as error:
            raise CheckError(self._unreachable(error), unreachable=True) from error

    async def _log_in(self, options: dict[str, Any]) -> asyncssh.SSHClientConnection:
        """Connects; raises what asyncssh does, but a CheckError for a host key that is not trusted."""
        import asyncssh

        from infdiag_tui.remote.ssh_keys import read_known_hosts

        host = self._settings.host
        planned = await asyncssh.SSHClientConnectionOptions.construct(host=host, **options)
        known = await read_known_hosts(self._known_hosts_files(planned))
        refusal = ""

        class Client(asyncssh.SSHClient):
            """Notes which key was refused."""

            def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
                del addr
                nonlocal refusal
                refusal = known.refusal(host, port, f"{key.get_algorithm()} {key.get_fingerprint()}")
                return False

        try:
            return await asyncssh.connect(host, client_factory=Client, known_hosts=known.keys, **options)
        except asyncssh.HostKeyNotVerifiable as error:
            # Without a refusal of ours it was a jump host's key, or a revoked one.
            text = refusal or f"{_said(error)}; compare its key with what its administrator gives, then ssh-keyscan it"
            raise CheckError(text) from error
        except asyncssh.KeyExchangeFailed as error:
            if "host key" in str(error) and known.knows(planned.host, planned.port):
                raise CheckError(known.refusal(planned.host, planned.port, "of another kind")) from error
            raise

    def _known_hosts_files(self, planned: asyncssh.SSHClientConnectionOptions) -> list[Any]:
        """The configured file, else those of ~/.ssh/config; `none` there would trust every host, and is not heeded."""
        from pathlib import Path

        if self._settings.known_hosts is not None:
            return [self._settings.known_hosts]
        listed = planned.known_hosts
        return [Path(file) for file in listed if isinstance(file, str)] if isinstance(listed, list) else []

    def _refused(self, error: Exception) -> str:
        key = self._settings.identity_file
        offered = f"the key {key} and those of the agent" if key else "the keys of the agent and of ~/.ssh"
        return (
            f"{self._name} refuses the login ({_said(error)}): none of {offered} is welcome there; set ssh.user and "
            f"ssh.identity_file, or try by hand: ssh {shlex.quote(self._name)} true"
        )

    def _unreachable(self, error: BaseException) -> str:
        if isinstance(error, TimeoutError):
            limit = f"{self._settings.connect_timeout_s:g} s"
            what = f"did not let us in within {limit}"
        else:
            what = f"cannot be reached: {_said(error)}"
        return f"{self._name} {what}; check ssh.host and ssh.port, network and VPN, or try by hand: ssh {self._name}"

    def _broken(self, error: BaseException | None) -> str:
        said = f" ({_said(error)})" if error is not None else ""
        return f"the SSH connection to {self._name} broke before the command ended{said}; run the check again"


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return one_line(clean(f"{name}{error.strerror}"))
    return one_line(clean(str(error))) or type(error).__name__


async def _pump(reader: asyncssh.SSHReader[bytes], stream: str, take: Callable[[str, bytes], None]) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        take(stream, data)


async def _feed(writer: asyncssh.SSHWriter[bytes], stdin: bytes) -> None:
    """Sends all input and its end; a command may end before it has read it."""
    for at in range(0, len(stdin), _CHUNK_BYTES):
        writer.write(stdin[at : at + _CHUNK_BYTES])
        await writer.drain()
    writer.write_eof()
