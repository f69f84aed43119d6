"""Runs a kubeconfig's credential plugin (`users[].user.exec`) so that it can neither prompt nor hang the console.

The official client's own runner hands the plugin the terminal, waits for ever and hides failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from infdiag_tui.streams.base import SourceError
from infdiag_tui.text import clean, one_line


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """How to run a plugin, as the kubeconfig states it; `user` and `source` are for messages."""

    command: str
    api_version: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    install_hint: str = ""
    interactive_mode: str = ""
    cluster: Mapping[str, Any] | None = None
    base_folder: str = ""
    user: str = ""
    source: str = ""

    @property
    def program(self) -> str:
        """The executable; a path with a slash is relative to the kubeconfig's folder, a bare name is looked up."""
        return str(Path(self.base_folder, self.command)) if "/" in self.command else self.command


@dataclass(frozen=True, slots=True)
class Credential:
    """What a plugin gave: a token, or a client certificate and key (PEM); when it expires (Unix seconds) if stated."""

    token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    expires_at: float | None = None


def plugin_spec(entry: Mapping[str, Any], *, user: str, source: str, cluster: Mapping[str, Any]) -> PluginSpec:
    """Reads the `exec` entry of a kubeconfig user.

    Raises:
        SourceError: it names no command or apiVersion.
    """
    for key in ("command", "apiVersion"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            raise SourceError(f"{source}: the credential plugin of user {user!r} has no {key}", remedy=f"mend {source}")
    return PluginSpec(
        command=entry["command"],
        api_version=entry["apiVersion"],
        args=tuple(str(arg) for arg in entry.get("args") or ()),
        env={str(item["name"]): str(item["value"]) for item in entry.get("env") or ()},
        install_hint=one_line(str(entry.get("installHint") or "")),
        interactive_mode=str(entry.get("interactiveMode") or ""),
        cluster=_cluster_info(cluster) if entry.get("provideClusterInfo") else None,
        base_folder=str(Path(source).parent),
        user=user,
        source=source,
    )


async def run_plugin(spec: PluginSpec, timeout_s: float) -> Credential:
    """Runs the plugin without any terminal and returns its credential.

    Raises:
        SourceError: it is missing, fails, takes too long, insists on a terminal or answers nonsense.
    """
    named = f"the credential plugin {spec.command!r} of user {spec.user!r} ({spec.source})"
    if spec.interactive_mode == "Always":
        raise SourceError(
            f"{named} always wants to ask something on the terminal",
            remedy="use a kubeconfig user that needs no questions, or set interactiveMode: IfAvailable",
        )
    try:
        process = await asyncio.create_subprocess_exec(
            spec.program,
            *spec.args,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **spec.env, "KUBERNETES_EXEC_INFO": _exec_info(spec)},
            start_new_session=True,  # no controlling terminal: /dev/tty can't be opened to prompt
        )
    except FileNotFoundError:
        remedy = spec.install_hint or f"install {spec.command} or put it on the PATH"
        raise SourceError(f"{named} is not installed", remedy=remedy, retry_after_s=5.0) from None
    except OSError as error:
        raise SourceError(f"{named} can't be run: {error.strerror}", remedy="check its permissions") from None
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate()
    except TimeoutError:
        raise SourceError(
            f"{named} gave no credential within {timeout_s:g} s",
            remedy=f"run it by hand, it may want a login: {' '.join((spec.command, *spec.args))}",
            retry_after_s=5.0,
        ) from None
    finally:
        await _end(process)
    if process.returncode != 0:
        said = one_line(clean(errors.decode(errors="replace")))
        raise SourceError(
            f"{named} failed with exit code {process.returncode}" + (f": {said}" if said else ""),
            remedy=f"log in again; try by hand: {' '.join((spec.command, *spec.args))}",
            retry_after_s=5.0,
        )
    return _credential(output, spec, named)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leaves neither an unfinished plugin nor its children running, nor its pipes open."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    # A daemon that the plugin left behind may still hold the pipes: closing our ends is then all there is to do.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no public way


def _credential(output: bytes, spec: PluginSpec, named: str) -> Credential:
    try:
        reply = orjson.loads(output)
        status = reply["status"]
        version = reply["apiVersion"]
        expiry = status.get("expirationTimestamp")
        credential = Credential(
            token=str(status.get("token") or ""),
            certificate=str(status.get("clientCertificateData") or ""),
            key=str(status.get("clientKeyData") or ""),
            expires_at=datetime.fromisoformat(expiry).timestamp() if expiry else None,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
        raise SourceError(f"{named} answered something that is no ExecCredential", remedy="update it") from None
    if version != spec.api_version:
        raise SourceError(
            f"{named} speaks {one_line(str(version), 60)}, the kubeconfig expects {spec.api_version}",
            remedy=f"update the plugin or apiVersion in {spec.source}",
        )
    if not credential.token and not (credential.certificate and credential.key):
        raise SourceError(f"{named} gave neither a token nor a client certificate", remedy="log in again")
    return credential


def _exec_info(spec: PluginSpec) -> str:
    details: dict[str, Any] = {"interactive": False}
    if spec.cluster is not None:
        details["cluster"] = dict(spec.cluster)
    return orjson.dumps({"apiVersion": spec.api_version, "kind": "ExecCredential", "spec": details}).decode()


def _cluster_info(cluster: Mapping[str, Any]) -> dict[str, Any]:
    names = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
    info = {name: cluster[name] for name in names if name in cluster}
    for extension in cluster.get("extensions") or ():
        if extension.get("name") == "client.authentication.k8s.io/exec":
            info["config"] = extension.get("extension")
    return info
