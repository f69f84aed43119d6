"""Debian's own OpenSSH server on a loopback port, and the home folder of an operator whom it lets in by key."""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import eventually_blocking, missing_tool

_PROGRAM = Path("/usr/sbin/sshd")


@dataclass
class Sshd:
    """The server; the operator's home has a key that it welcomes and knows its host key."""

    folder: Path
    home: Path
    port: int
    options: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def known_hosts(self) -> Path:
        return self.home / ".ssh" / "known_hosts"

    def start(self) -> None:
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host_key\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            f"KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n{self.options}\n"
        )
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([_PROGRAM, "-D", "-e", "-f", config], stdout=log, stderr=log)
        eventually_blocking(self._listens)

    def stop(self) -> None:
        if self.process is not None:
            self.drop()
            self.process.terminate()
            self.process.wait()

    def drop(self) -> int:
        """Kills the processes of every login, as when the network goes; how many there were."""
        sessions = self.sessions()
        for session in sessions:
            session.send_signal(signal.SIGKILL)
        return len(sessions)

    def sessions(self) -> list[psutil.Process]:
        """The processes of those who are logged in."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]

    def new_host_key(self) -> str:
        """As after a new installation; returns the line of known_hosts that would be right."""
        file = self.folder / "host_key"
        file.unlink(missing_ok=True)
        keygen(file)
        kind, key, *_ = file.with_suffix(".pub").read_text().split()
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def _listens(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text())
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def keygen(file: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)


@contextmanager
def sshd(folder: Path, options: str = "") -> Iterator[Sshd]:
    """A server that the operator knows and that lets them in; USER is this process's."""
    if not _PROGRAM.exists():
        missing_tool("sshd", "openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    home = folder / "home"
    (home / ".ssh").mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Sshd(folder, home, port, options)
    keygen(home / ".ssh" / "id_ed25519")
    (folder / "authorized_keys").write_bytes((home / ".ssh" / "id_ed25519.pub").read_bytes())
    server.known_hosts.write_text(server.new_host_key())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def user() -> str:
    """Whom the server lets in."""
    return getpass.getuser()
