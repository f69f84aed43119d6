"""Host keys: which are known, and what to tell when a host shows another."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from infdiag_tui.text import clean, one_line

_DEFAULT_PORT = 22
_SYSTEM = Path("/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The host keys of some files; `file` is the one that a new key belongs into."""

    file: Path
    keys: asyncssh.SSHKnownHosts

    def knows(self, host: str, port: int) -> bool:
        """Whether any key of that host is known, whichever."""
        trusted, authorities, *_ = asyncssh.match_known_hosts(
            self.keys, host, "", None if port == _DEFAULT_PORT else port
        )
        return bool(trusted or authorities)

    def refusal(self, host: str, port: int, shown: str) -> str:
        """Why a key (`shown`: its fingerprint, empty if it never came to that) is not trusted, and what to do."""
        named = f"[{host}]:{port}" if port != _DEFAULT_PORT else host
        scan = f"ssh-keyscan {f'-p {port} ' if port != _DEFAULT_PORT else ''}{shlex.quote(host)}"
        file = shlex.quote(str(self.file))
        it = f" ({shown})" if shown else ""
        compare = "compare its fingerprint with the one that the host's administrator gives, then: "
        if not self.knows(host, port):
            return one_line(
                clean(
                    f"the host key of {named}{it} is not known, so the host may be another than it says; {compare}"
                    f"{scan} >> {file}"
                ),
                600,
            )
        return one_line(
            clean(
                f"the host key of {named}{it} is not the one in {self.file}: the host was set up anew, or somebody "
                f"stands in its place; {compare}ssh-keygen -R {shlex.quote(named)} -f {file} && {scan} >> {file}"
            ),
            600,
        )


async def read_known_hosts(files: Sequence[Path]) -> KnownHosts:
    """The keys of these files, else of the user's own and the system's; a file that is not there has none.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is no list of host keys.
    """
    own = Path.home() / ".ssh" / "known_hosts"
    wanted = [file.expanduser() for file in files] or [own, _SYSTEM]

    def read() -> asyncssh.SSHKnownHosts:
        return asyncssh.read_known_hosts([str(file) for file in wanted if file.is_file()])

    return KnownHosts(wanted[0], await asyncio.to_thread(read))
