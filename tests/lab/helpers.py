"""Waiting for conditions, and the lab's API as a bare client sees it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import yaml

from infdiag_tui.lab import Lab, ReplicaState

T = TypeVar("T")
DEADLINE_S = 20.0


async def until(look: Callable[[], Awaitable[T | None]], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The first result of `look` that is neither None nor false."""
    ends_at = time.monotonic() + deadline_s
    while not (found := await look()):
        assert time.monotonic() < ends_at, f"did not happen within {deadline_s} s: {what}"
        await asyncio.sleep(0.05)
    return found


async def all_ready(lab: Lab, count: int) -> list[ReplicaState]:
    """The replicas, once that many are ready."""

    async def look() -> list[ReplicaState] | None:
        replicas = await lab.replicas()
        return replicas if sum(replica.ready for replica in replicas) == count else None

    return await until(look, f"{count} replicas ready")


class Api:
    """The Kubernetes API of a lab with its token."""

    def __init__(self, lab: Lab, session: aiohttp.ClientSession) -> None:
        self.lab = lab
        self.session = session
        self.pods = f"/api/v1/namespaces/{lab.namespace}/pods"

    async def get(self, path: str, **query: str | int) -> tuple[int, Any]:
        """Status and JSON of a GET."""
        async with self.session.get(self.lab.api_url + path, params=query) as reply:
            return reply.status, await reply.json()

    async def text(self, path: str, **query: str | int) -> tuple[int, str]:
        """Status and text of a GET."""
        async with self.session.get(self.lab.api_url + path, params=query) as reply:
            return reply.status, await reply.text()


@asynccontextmanager
async def api_of(lab: Lab) -> AsyncIterator[Api]:
    """A client that trusts what the kubeconfig says."""
    config = yaml.safe_load(lab.kubeconfig_path.read_text())
    import base64

    authority = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    trust = ssl.create_default_context(cadata=authority)
    headers = {"Authorization": f"Bearer {lab.token}"}
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        yield Api(lab, session)
