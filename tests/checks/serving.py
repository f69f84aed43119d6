"""Model servers on loopback and contexts for the tests of checks that speak to one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from checks.base import CheckContext, Replica
from infdiag_tui.check_ports import open_sender
from infdiag_tui.config import Endpoint, ModelConfig
from infdiag_tui.model import CheckResult, Evidence, Progress
from tests.streams.latency_servers import http_server

NOW = 1_800_000_000.0
Score = Callable[[Any], Any]


class ModelServer:
    """Answers `POST /predict` with what `score` makes of the body, other paths from `pages`."""

    def __init__(self, score: Score = lambda body: {"echo": body}, pages: dict[str, Any] | None = None) -> None:
        self.score = score
        self.pages = pages or {}
        self.bodies: list[Any] = []
        self.paths: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        if request.path == "/predict":
            self.bodies.append(await request.json())
            scored = self.score(self.bodies[-1])
            if isinstance(scored, web.Response):
                return scored
            return web.json_response(scored)
        if request.path in self.pages:
            page = self.pages[request.path]
            return page() if callable(page) else web.json_response(page)
        return web.json_response({"error": "not found"}, status=404)


@asynccontextmanager
async def serving(*servers: ModelServer) -> AsyncIterator[list[str]]:
    """The base URLs of the servers while they run."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(http_server(server.answer)) for server in servers]


@asynccontextmanager
async def context_for(
    folder: Path,
    url: str,
    replicas: tuple[Replica, ...] = (),
    confirmed: bool = False,
    **endpoint: Any,
) -> AsyncIterator[CheckContext]:
    """A context whose sender speaks to `url`."""
    configured = Endpoint(url=f"{url}/predict", **endpoint)
    async with open_sender(configured) as sender:
        yield CheckContext(
            model_name="fraud",
            model=ModelConfig(endpoint=configured),
            folder=folder,
            now=lambda: NOW,
            report=lambda _progress: None,
            confirmed=confirmed,
            replicas=replicas,
            sender=sender,
        )


def bare_context(folder: Path, **fields: Any) -> CheckContext:
    """A context without any way to anything."""
    return CheckContext("fraud", ModelConfig(), folder, lambda: NOW, lambda _progress: None, **fields)


def keep_progress(context: CheckContext) -> list[Progress]:
    """The list that the context's progress is appended to from now on."""
    kept: list[Progress] = []
    context.report = kept.append
    return kept


def evidence_of(result: CheckResult, identity: str, subject: str = "") -> Evidence:
    """The one piece of evidence with this id and subject."""
    found = [one for one in result.evidence if (one.id, one.subject) == (identity, subject)]
    assert len(found) == 1, [(one.id, one.subject) for one in result.evidence]
    return found[0]
