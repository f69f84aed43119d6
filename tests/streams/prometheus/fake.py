"""A server that says whatever a test wants where a Prometheus API should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support import serving_app

EMPTY = '{"status": "success", "data": {"resultType": "vector", "result": []}}'


class Says:
    """What it answers next, and what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body: bytes | str = EMPTY
        self.headers: dict[str, str] = {}
        self.hang: asyncio.Event | None = None
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str]]] = []
        """Method, path, parameters, headers (lower-case)."""
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = {name: str(value) for name, value in (await request.post()).items()}
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append((request.method, request.path, {**request.query, **form}, headers))
        if self.hang is not None:
            await self.hang.wait()
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return web.Response(status=self.status, body=body, headers=self.headers)


@asynccontextmanager
async def saying() -> AsyncIterator[Says]:
    says = Says()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", says.answer)
    async with serving_app(app) as url:
        says.url = url
        try:
            yield says
        finally:
            if says.hang is not None:
                says.hang.set()
