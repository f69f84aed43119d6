"""Runs the cluster's streams under the real supervisor against a fake API server and waits for what they tell."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

from infdiag_tui.clock import SystemClock
from infdiag_tui.config import Kubernetes
from infdiag_tui.model import LogLine, Observation, SourceHealth, SourceState
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.pace import Pace
from infdiag_tui.streams.kube.pod_table import PodTable
from infdiag_tui.streams.pod_logs import PodLogsStream
from infdiag_tui.streams.pods import PodsStream
from infdiag_tui.supervisor import Backoff, Supervisor
from tests.streams.kube.fake_api import NAMESPACE, FakeApi

T = TypeVar("T")

HURRIED = Pace(
    request_s=5.0,
    pulse_s=0.3,
    pulse_timeout_s=0.5,
    poll_s=0.1,
    denied_s=0.2,
    reopen_s=0.02,
    reopen_most_s=0.1,
    last_words_s=0.3,
    flush_s=0.05,
    reauthenticate_s=0.3,
    token_file_s=0.1,
)


def kubeconfig(port: int, *, user: str = "{token: good}", scheme: str = "http", cluster: str = "") -> str:
    return f"""
apiVersion: v1
kind: Config
current-context: lab
contexts:
- name: lab
  context: {{cluster: c, user: u, namespace: {NAMESPACE}}}
- name: prod-eu
  context: {{cluster: c, user: u}}
clusters:
- name: c
  cluster: {{server: "{scheme}://127.0.0.1:{port}"{cluster}}}
users:
- name: u
  user: {user}
"""


class Watched:
    """The streams at work, and all that they told."""

    def __init__(self, api: FakeApi, client: KubeClient, table: PodTable) -> None:
        self.api = api
        self.client = client
        self.table = table
        self.told: list[Observation] = []
        self.supervisor: Supervisor
        self._arrived = asyncio.Event()

    def put(self, observation: Observation) -> None:
        self.told.append(observation)
        self._arrived.set()

    def of(self, kind: type[T]) -> list[T]:
        return [one for one in self.told if isinstance(one, kind)]

    def texts(self) -> list[str]:
        return [line.text for line in self.of(LogLine)]

    def health(self, name: str = "pods") -> SourceHealth:
        return self.supervisor.health(SystemClock().now())[name]

    async def until(self, condition: Callable[[], Any], what: str = "", deadline_s: float = 10.0) -> None:
        """Waits until `condition` holds; it is asked again whenever something was told, and regularly."""
        try:
            async with asyncio.timeout(deadline_s):
                while not condition():
                    self._arrived.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._arrived.wait(), 0.05)
        except TimeoutError:
            raise AssertionError(f"never: {what or condition}; health {self.supervisor.health(0)}") from None

    async def until_state(self, state: SourceState, reason: str = "", name: str = "pods") -> SourceHealth:
        await self.until(
            lambda: self.health(name).state is state and reason in self.health(name).reason,
            f"{name} {state} with {reason!r}",
        )
        return self.health(name)


@contextlib.asynccontextmanager
async def served(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeApi]:
    api = FakeApi(tls)
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


@contextlib.asynccontextmanager
async def watching(
    api: FakeApi,
    tmp_path: Path,
    *,
    config: str | None = None,
    pace: Pace = HURRIED,
    logs: bool = False,
    max_followed: int = 50,
    backlog_lines: int = 1000,
    **settings: Any,
) -> AsyncIterator[Watched]:
    """The streams on `api` until the block ends, when nothing of theirs may be left."""
    path = tmp_path / "kubeconfig"
    if config is not None or not path.exists():
        path.write_text(config if config is not None else kubeconfig(api.port))
    settings.setdefault("selector", "app=fraud-scorer")
    section = Kubernetes(kubeconfig=path, **settings)
    section = section.model_copy(update={"usage_interval_s": 0.1})  # below what a config may ask for
    clock = SystemClock()
    client = KubeClient(section, clock, "infdiag-test", pace)
    table = PodTable(clock)
    watched = Watched(api, client, table)
    streams: list[Any] = [PodsStream(client, section, clock, table)]
    if logs:
        streams.append(
            PodLogsStream(client, table, clock, backlog_lines=backlog_lines, max_followed=max_followed),
        )
    watched.supervisor = Supervisor(streams, watched.put, clock, backoff=Backoff(first_s=0.05, most_s=0.2))
    before = asyncio.all_tasks()
    task = asyncio.create_task(watched.supervisor.run())
    try:
        yield watched
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        left = {
            t
            for t in asyncio.all_tasks() - before - {task}
            if "tests/streams" not in repr(t) and "aiohttp" not in repr(t)
        }
        assert not left, left
        assert client._link is None
