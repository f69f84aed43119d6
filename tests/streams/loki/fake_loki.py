"""A small Loki over real sockets: streams, ordering, limits and refusals as its HTTP API documents them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.support import serving_app

MOST_ENTRIES = 5_000
_MATCHER = re.compile(r'\s*([a-zA-Z_]\w*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*,?')

Labels = tuple[tuple[str, str], ...]


class RefusedError(Exception):
    """What Loki answers with status 400."""


def matches(selector: str, labels: Mapping[str, str]) -> bool:
    """A stream selector's verdict."""
    inner = selector.strip()
    if not (inner.startswith("{") and inner.endswith("}")):
        raise RefusedError(f"parse error at line 1, col 1: syntax error: unexpected IDENTIFIER in {selector!r}")
    found = _MATCHER.findall(inner[1:-1])
    if not any(operator in ("=", "=~") and value not in ("", ".*") for _, operator, value in found):
        raise RefusedError("queries require at least one regexp or equality matcher that does not have an empty value")
    for name, operator, value in found:
        have = labels.get(name, "")
        whole = re.fullmatch(value, have) is not None
        if not {"=": have == value, "!=": have != value, "=~": whole, "!~": not whole}[operator]:
            return False
    return True


@dataclass
class FakeLoki:
    """`push` is what an agent does; lines become visible at once unless `hold` is set."""

    entries: dict[tuple[int, Labels, str], None] = field(default_factory=dict)
    status: int = 200
    said: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""

    def push(self, at_ns: int, line: str, **labels: str) -> None:
        """Takes a line; exactly the same one again (time, stream, text) is dropped, as Loki does."""
        known = labels or {"namespace": "ml", "pod": "scorer-0", "container": "server"}
        self.entries[at_ns, tuple(sorted(known.items())), line] = None

    async def query_range(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.query))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.status != 200:
            return web.Response(status=self.status, text=self.said)
        try:
            return web.json_response(self._answer(request.query))
        except RefusedError as error:
            return web.Response(status=400, text=str(error))

    def _answer(self, query: Mapping[str, str]) -> object:
        start, end, limit = int(query["start"]), int(query["end"]), int(query["limit"])
        if limit > MOST_ENTRIES:
            raise RefusedError(f"max entries limit per query exceeded, limit > max_entries_limit ({limit} > 5000)")
        if end < start:
            raise RefusedError("end timestamp must not be before or equal to start time")
        if query["query"].startswith(("rate(", "sum(", "count_over_time(")):
            return {"status": "success", "data": {"resultType": "matrix", "result": [], "stats": {}}}
        matches(query["query"], {})
        backward = query["direction"] == "backward"
        chosen = [
            entry for entry in self.entries if start <= entry[0] < end and matches(query["query"], dict(entry[1]))
        ]
        chosen.sort(key=lambda entry: entry[0], reverse=backward)
        streams: dict[Labels, list[list[str]]] = {}
        for at_ns, labels, line in chosen[:limit]:
            streams.setdefault(labels, []).append([str(at_ns), line])
        result = [{"stream": dict(labels), "values": values} for labels, values in streams.items()]
        return {"status": "success", "data": {"resultType": "streams", "result": result, "stats": {"summary": {}}}}


@asynccontextmanager
async def fake_loki() -> AsyncIterator[FakeLoki]:
    loki = FakeLoki()
    app = web.Application()
    app.router.add_get("/loki/api/v1/query_range", loki.query_range)
    async with serving_app(app) as url:
        loki.url = url
        yield loki
