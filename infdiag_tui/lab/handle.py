"""The lab as the program that starts it sees it: a child process, where its parts are, and what can be broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infdiag_tui.lab.scenarios import Override, scenario_named
from infdiag_tui.text import one_line

_START_S = 45.0
_END_S = 5.0
_CALL_S = 10.0


class LabError(Exception):
    """The lab could not be started, or refused an action."""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One replica at present; `pid` is None while it does not run."""

    name: str
    url: str
    pid: int | None
    ready: bool
    restarts: int


@dataclass(frozen=True, slots=True)
class Lab:
    """A running lab. The methods are faults of the infrastructure; each returns once it is in effect."""

    scenario: str
    folder: Path
    config_path: Path
    kubeconfig_path: Path
    endpoint_url: str
    api_url: str
    token: str
    dcgm_url: str
    control_url: str
    namespace: str
    selector: str
    log_files: tuple[Path, ...]
    """The gateway's log first, then those that the replicas of the beginning write."""
    fault_at: float
    """When things go wrong, Unix seconds; for who measures how soon that is seen."""
    pid: int

    async def replicas(self) -> list[ReplicaState]:
        """The replicas at present."""
        state = await self._call("GET", "/state")
        return [ReplicaState(**pod) for pod in state["pods"]]

    async def stop_api(self) -> None:
        """The Kubernetes API goes away: connections are reset and refused."""
        await self._act("stop-api")

    async def start_api(self) -> None:
        """It comes back on the same port, with all it knew."""
        await self._act("start-api")

    async def stop_service(self) -> None:
        """The service in front of the replicas goes away."""
        await self._act("stop-service")

    async def start_service(self) -> None:
        """It comes back on the same port."""
        await self._act("start-service")

    async def stop_gpu(self) -> None:
        """The GPU exporter goes away."""
        await self._act("stop-gpu")

    async def start_gpu(self) -> None:
        """It comes back on the same port."""
        await self._act("start-gpu")

    async def kill_replica(self, pod: str) -> None:
        """SIGKILL for a pod's process; its container is restarted."""
        await self._act("kill-pod", pod=pod)

    async def delete_pod(self, pod: str) -> None:
        """A pod ends gracefully and another takes its place."""
        await self._act("delete-pod", pod=pod)

    async def rotate_logs(self) -> None:
        """Every log file is renamed to `.1`; the next line opens a new one."""
        await self._act("rotate-logs")

    async def set_metrics_server(self, *, available: bool) -> None:
        """Without it the group metrics.k8s.io does not exist."""
        await self._act("metrics-server", available=available)

    async def deny(self, verb: str, resource: str, *, denied: bool = True) -> None:
        """Takes a right away or gives it back; a resource is `pods`, `pods/log`, `pods.metrics.k8s.io`, ..."""
        await self._act("deny", verb=verb, resource=resource, denied=denied)

    async def set_token_valid(self, *, valid: bool) -> None:
        """An expired token gets 401 everywhere."""
        await self._act("token", valid=valid)

    async def compact(self) -> None:
        """The API forgets its history: resumed watches and half-read lists get 410 Gone."""
        await self._act("compact")

    async def _act(self, action: str, **body: Any) -> None:
        await self._call("POST", f"/control/{action}", body)

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=_CALL_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, self.control_url + path, json=body) as reply,
        ):
            content: dict[str, Any] = await reply.json()
            if reply.status != 200:
                raise LabError(f"The lab refused {path}: {content.get('error', reply.status)}")
            return content


@contextlib.asynccontextmanager
async def running(
    scenario: str,
    *,
    seed: int = 0,
    folder: Path | None = None,
    overrides: Mapping[str, Override] | None = None,
) -> AsyncIterator[Lab]:
    """A lab that lasts as long as the block, or as this process, whichever ends first.

    Args:
        scenario: One of `scenarios()`.
        seed: Of the model's weights and the traffic.
        folder: Where its files go; by default a temporary folder that is removed at the end.
        overrides: Values of `Scenario` to replace, for those who cannot wait.

    Raises:
        ValueError: No such scenario or override.
        LabError: It could not be started.
    """
    scenario_named(scenario, overrides)
    place = await asyncio.to_thread(_folder, folder)
    process: asyncio.subprocess.Process | None = None
    try:
        process = await _spawn(scenario, seed, place, overrides or {}, temporary=folder is None)
        yield await _ready(process, place / "lab.log")
    finally:
        if process is not None:
            await _end(process)
        if folder is None:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)


def _folder(given: Path | None) -> Path:
    if given is None:
        return Path(tempfile.mkdtemp(prefix="infdiag-lab-"))
    given.mkdir(parents=True, exist_ok=True)
    return given


async def _spawn(
    scenario: str,
    seed: int,
    place: Path,
    overrides: Mapping[str, Override],
    *,
    temporary: bool,
) -> asyncio.subprocess.Process:
    # The lab's own words: to a file, because a console may own the terminal.
    with (place / "lab.log").open("wb") as words:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "infdiag_tui.lab", scenario, "--end-with-stdin"),
            *("--folder", str(place), "--seed", str(seed), "--overrides", json.dumps(dict(overrides))),
            # If this process is killed, the lab has to clean up after both.
            *(["--remove-folder"] if temporary else []),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=words,
            env=_environment(),
            # Ctrl+C and SIGHUP in the owner's terminal are the owner's to handle.
            start_new_session=True,
        )


def _environment() -> dict[str, str]:
    import os

    from infdiag_tui.lab.processes import import_path

    return {**os.environ, "PYTHONPATH": import_path()}


async def _ready(process: asyncio.subprocess.Process, words: Path) -> Lab:
    if process.stdout is None:
        raise LabError("The lab has no standard output.")
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _START_S)
    except TimeoutError as error:
        raise LabError(f"The lab was not ready within {_START_S:.0f} s. Is the machine overloaded?") from error
    if not line:
        code = await process.wait()
        last = (await asyncio.to_thread(words.read_text, errors="replace")).strip().rpartition("\n")[2]
        raise LabError(f"The lab ended with code {code} before it was ready: {one_line(last) or 'it said nothing'}")
    places: dict[str, Any] = json.loads(line)
    places |= {name: Path(places[name]) for name in ("folder", "config_path", "kubeconfig_path")}
    places["log_files"] = tuple(Path(path) for path in places["log_files"])
    return Lab(**places, pid=process.pid)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        # Its replicas die with it: the kernel sees to that.
        process.kill()
        await process.wait()
