"""Logging in to an SSH host with the user's own config, agent, keys and known hosts; every refusal with its remedy."""

from __future__ import annotations

import asyncio
import importlib
import logging
import shlex
from typing import TYPE_CHECKING, Any

from infdiag_tui.config import Ssh
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    import asyncssh

_KEEPALIVE_S = 5.0
"""With asyncssh's three unanswered ones a dead connection is given up within 20 s."""


class SshError(Exception):
    """The host cannot be used: why, and what to try. `unreachable`: it did not come to a refusal."""

    def __init__(self, reason: str, remedy: str, *, unreachable: bool = False) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
        self.unreachable = unreachable


class SshLogin:
    """Opens connections to one host."""

    def __init__(self, settings: Ssh) -> None:
        self._settings = settings
        self.name = one_line(clean(f"{settings.user}@{settings.host}" if settings.user else settings.host), 200)

    async def connect(self) -> asyncssh.SSHClientConnection:
        """A new connection; the host's key is one that is known.

        Raises:
            SshError: why there is none.
        """
        # A third of a second, on a thread.
        await asyncio.to_thread(importlib.import_module, "infdiag_tui.streams.reach.ssh_keys")
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
            raise self._refused(error) from error
        except asyncssh.ConfigParseError as error:
            raise SshError(f"~/.ssh/config: {said(error)}", "mend it there") from error
        except asyncssh.KeyImportError as error:
            file = settings.identity_file or "a key of ~/.ssh"
            raise SshError(
                f"{file} cannot be used to log in to {self.name}: {said(error)}",
                "one with a passphrase must be given to the agent first: "
                f"ssh-add {file if settings.identity_file else ''}".rstrip(),
            ) from error
        except (asyncssh.Error, OSError, ValueError) as error:
            raise self._unreachable(error) from error

    async def _log_in(self, options: dict[str, Any]) -> asyncssh.SSHClientConnection:
        """Connects; raises what asyncssh does, but an SshError for a host key that is not trusted."""
        import asyncssh

        from infdiag_tui.streams.reach.ssh_keys import read_known_hosts

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
            text = refusal or f"{said(error)}; compare its key with what its administrator gives, then ssh-keyscan it"
            raise _untrusted(text) from error
        except asyncssh.KeyExchangeFailed as error:
            if "host key" in str(error) and known.knows(planned.host, planned.port):
                raise _untrusted(known.refusal(planned.host, planned.port, "of another kind")) from error
            raise

    def _known_hosts_files(self, planned: asyncssh.SSHClientConnectionOptions) -> list[Any]:
        """The configured file, else those of ~/.ssh/config; `none` there would trust every host, and is not heeded."""
        from pathlib import Path

        if self._settings.known_hosts is not None:
            return [self._settings.known_hosts]
        listed = planned.known_hosts
        return [Path(file) for file in listed if isinstance(file, str)] if isinstance(listed, list) else []

    def _refused(self, error: Exception) -> SshError:
        key = self._settings.identity_file
        offered = f"the key {key} and those of the agent" if key else "the keys of the agent and of ~/.ssh"
        return SshError(
            f"{self.name} refuses the login ({said(error)}): none of {offered} is welcome there",
            f"set ssh.user and ssh.identity_file, or try by hand: ssh {shlex.quote(self.name)} true",
        )

    def _unreachable(self, error: BaseException) -> SshError:
        if isinstance(error, TimeoutError):
            limit = f"{self._settings.connect_timeout_s:g} s"
            what = f"did not let us in within {limit}"
        else:
            what = f"cannot be reached: {said(error)}"
        return SshError(
            f"{self.name} {what}",
            f"check ssh.host and ssh.port, network and VPN, or try by hand: ssh {self.name}",
            unreachable=True,
        )


def said(error: BaseException) -> str:
    """An error's own words, printable."""
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return one_line(clean(f"{name}{error.strerror}"))
    return one_line(clean(str(error))) or type(error).__name__


def _untrusted(text: str) -> SshError:
    reason, _, remedy = text.partition("; ")
    return SshError(reason, remedy)
