"""A real SSH server on loopback that runs real commands, and the home folder of an operator who may log in."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

USER = "ops"


@dataclass
class SshHost:
    """The server, and where the operator's files are.

    Like OpenSSH's it leaves a command alone whose client has gone.
    """

    home: Path
    folder: Path
    greeting: bytes = b""
    """What the login shell prints before every command."""
    port: int = 0
    logins: int = 0

    @property
    def identity(self) -> Path:
        return self.home / ".ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.home / ".ssh" / "known_hosts"

    def write_keys(self, *, passphrase: str | None = None) -> asyncssh.SSHKey:
        """A new key pair of the operator's."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.identity.parent.mkdir(parents=True, exist_ok=True)
        key.write_private_key(str(self.identity), "pkcs8-pem", passphrase=passphrase)
        self.identity.chmod(0o600)
        return key

    def trust(self, key: asyncssh.SSHKey) -> None:
        """Notes it as the host's."""
        public = key.export_public_key().decode().split(" comment")[0].strip()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}\n")

    async def run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """One command, by a shell, as a login shell runs it."""
        pipe = asyncio.subprocess.PIPE
        process.stdout.write(self.greeting)
        child = await asyncio.create_subprocess_exec(
            *("sh", "-c", process.command or "true"),
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder)},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        feeding = asyncio.create_task(_feed(process.stdin, child.stdin))
        try:
            # Read to the end also when nobody takes it any more.
            await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
            code = await child.wait()
            with contextlib.suppress(OSError, asyncssh.Error):
                process.exit(code) if code >= 0 else process.exit_with_signal("KILL")
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)


async def _feed(reader: asyncssh.SSHReader[bytes], writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await reader.read(32_768):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncssh.SSHWriter[bytes]) -> None:
    while data := await reader.read(32_768):
        with contextlib.suppress(OSError, asyncssh.Error):
            writer.write(data)
            await writer.drain()


class _Server(asyncssh.SSHServer):
    def __init__(self, host: SshHost) -> None:
        self.host = host

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.host.logins += 1

    def begin_auth(self, username: str) -> bool:
        return True


@asynccontextmanager
async def ssh_host(home: Path, folder: Path, greeting: bytes = b"") -> AsyncIterator[tuple[SshHost, asyncssh.SSHKey]]:
    """The server with a host key and one welcome operator; nothing knows the host key yet."""
    host = SshHost(home, folder, greeting)
    folder.mkdir()
    key = host.write_keys()
    authorized = folder / "authorized_keys"
    authorized.write_bytes(key.export_public_key())
    own = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.create_server(
        lambda: _Server(host),
        "127.0.0.1",
        0,
        server_host_keys=[own],
        authorized_client_keys=str(authorized),
        process_factory=host.run,
        encoding=None,
    )
    host.port = server.get_port()
    try:
        yield host, own
    finally:
        server.close()
        await server.wait_closed()
