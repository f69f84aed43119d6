"""The log endpoint of a pod."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from infdiag_tui.lab.api.node import Node, NodeError
from infdiag_tui.lab.api.replies import ApiError, whole_number
from infdiag_tui.lab.api.resources import Target
from infdiag_tui.lab.containerlog import ContainerLog, LogQuery
from infdiag_tui.lab.times import nanoseconds_of


async def stream_log(request: web.Request, node: Node, target: Target) -> web.StreamResponse:
    """Answers `GET .../pods/NAME/log` with all of the kubelet's options."""
    query = request.query
    wanted = _log_query(query)
    limit = whole_number(query.get("limitBytes"), "limitBytes")
    try:
        log = node.log_of(target.name, query.get("container", ""), previous=_true(query, "previous"))
    except NodeError as error:
        raise ApiError(400, str(error)) from error
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for data in _text(log, wanted, timestamps=_true(query, "timestamps")):
        await response.write(data if limit is None else data[:limit])
        if limit is not None:
            limit -= len(data)
            if limit <= 0:
                break
    await response.write_eof()
    return response


async def _text(log: ContainerLog, wanted: LogQuery, *, timestamps: bool) -> AsyncIterator[bytes]:
    async for entries in log.read(wanted):
        if timestamps:
            yield b"".join(b"%s %s\n" % (entry.timestamp, entry.text) for entry in entries)
        else:
            yield b"".join(b"%s\n" % entry.text for entry in entries)


def _log_query(query: Mapping[str, str]) -> LogQuery:
    since_ns = None
    seconds = whole_number(query.get("sinceSeconds"), "sinceSeconds")
    if seconds is not None:
        since_ns = time.time_ns() - seconds * 1_000_000_000
    elif since := query.get("sinceTime"):
        try:
            since_ns = nanoseconds_of(since)
        except ValueError as error:
            raise ApiError(400, f"invalid sinceTime: {error}") from error
    return LogQuery(_true(query, "follow"), whole_number(query.get("tailLines"), "tailLines"), since_ns)


def _true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")
