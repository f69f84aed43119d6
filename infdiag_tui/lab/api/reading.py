"""Get, list and watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from infdiag_tui.lab.api.replies import ApiError, json_reply, whole_number
from infdiag_tui.lab.api.resources import Target
from infdiag_tui.lab.api.selectors import field_selector, label_selector
from infdiag_tui.lab.api.store import Change, GoneError, Object, Store
from infdiag_tui.lab.api.tables import table, wants_table

_BOOKMARK_EVERY_S = 5.0
_WATCH_S = 1_800.0


def read_one(request: web.Request, store: Store, target: Target) -> web.Response:
    """Answers a get."""
    item = store.get(target.resource.name, target.namespace, target.name)
    if item is None:
        raise ApiError(404, f'{target.resource.name} "{target.name}" not found')
    if wants_table(request.headers.get("Accept", "")):
        whole = request.query.get("includeObject") == "Object"
        metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
        return json_reply(table(target.resource.name, [item], metadata=metadata, whole=whole))
    return json_reply(item)


def read_list(request: web.Request, store: Store, target: Target) -> web.Response:
    """Answers a list, in pages when a limit is given."""
    limit = whole_number(request.query.get("limit"), "limit") or 0
    try:
        if token := request.query.get("continue"):
            page = store.next_page(token, limit)
        else:
            page = store.page(target.resource.name, wanted(request.query, target), limit)
    except GoneError as error:
        raise ApiError(410, str(error)) from error
    metadata: Object = {"resourceVersion": str(page.version)}
    if page.token:
        metadata |= {"continue": page.token, "remainingItemCount": page.remaining}
    if wants_table(request.headers.get("Accept", "")):
        whole = request.query.get("includeObject") == "Object"
        return json_reply(table(target.resource.name, page.items, metadata=metadata, whole=whole))
    return json_reply(
        {
            "kind": f"{target.resource.kind}List",
            "apiVersion": target.resource.group_version,
            "metadata": metadata,
            "items": page.items,
        },
    )


def wanted(query: Mapping[str, str], target: Target) -> Callable[[Object], bool]:
    """The test that a request's namespace, name and selectors put to each object."""
    try:
        labels = label_selector(query.get("labelSelector", ""))
        fields = field_selector(query.get("fieldSelector", ""))
    except ValueError as error:
        raise ApiError(400, str(error)) from error

    def test(item: Object) -> bool:
        metadata = item["metadata"]
        return (
            (not target.namespace or metadata.get("namespace") == target.namespace)
            and (not target.name or metadata["name"] == target.name)
            and labels(metadata.get("labels") or {})
            and fields(item)
        )

    return test


class Watch:
    """One watch: the changes of the objects it selects, written as JSON lines until it times out."""

    def __init__(self, request: web.Request, store: Store, target: Target) -> None:
        self._request = request
        self._store = store
        self._target = target
        self._wanted = wanted(request.query, target)
        self._as_table = wants_table(request.headers.get("Accept", ""))
        self._headed = True
        self._bookmarks = request.query.get("allowWatchBookmarks") in ("true", "1")
        self._duration_s = float(whole_number(request.query.get("timeoutSeconds"), "timeoutSeconds") or _WATCH_S)
        self._response = web.StreamResponse(headers={"Content-Type": "application/json"})

    async def run(self) -> web.StreamResponse:
        """Streams until the time is over, the client is gone or the history is lost."""
        given = self._request.query.get("resourceVersion", "")
        start = whole_number(given, "resourceVersion")
        await self._response.prepare(self._request)
        try:
            async with asyncio.timeout(self._duration_s):
                await self._stream(start or None)
        except TimeoutError:
            await self._bookmark(self._store.version)
        except GoneError as error:
            await self._write("ERROR", ApiError(410, str(error)).status())
        await self._response.write_eof()
        return self._response

    async def _stream(self, start: int | None) -> None:
        version = self._store.version if start is None else start
        if start is None:
            for item in self._store.all(self._target.resource.name):
                if self._wanted(item):
                    await self._write_object("ADDED", item)
            if self._request.query.get("sendInitialEvents") in ("true", "1"):
                await self._bookmark(version, {"k8s.io/initial-events-end": "true"})
        while True:
            seen = self._store.version
            for change in self._store.changes_since(version):
                await self._follow(change)
            version = max(version, seen)
            if self._store.version > version:
                continue
            try:
                await asyncio.wait_for(self._store.changed(), _BOOKMARK_EVERY_S)
            except TimeoutError:
                await self._bookmark(version)

    async def _follow(self, change: Change) -> None:
        if change.resource != self._target.resource.name:
            return
        before = change.before is not None and self._wanted(change.before)
        after = change.type != "DELETED" and self._wanted(change.after)
        if after:
            await self._write_object("MODIFIED" if before else "ADDED", change.after)
        elif before:
            await self._write_object("DELETED", change.after)

    async def _bookmark(self, version: int, annotations: dict[str, str] | None = None) -> None:
        if not self._bookmarks:
            return
        metadata: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        resource = self._target.resource
        if self._as_table:
            item = table(resource.name, [], metadata=metadata, whole=False, headed=self._headed)
        else:
            item = {"kind": resource.kind, "apiVersion": resource.group_version, "metadata": metadata}
        await self._write("BOOKMARK", item)

    async def _write_object(self, kind: str, item: Object) -> None:
        if self._as_table:
            whole = self._request.query.get("includeObject") == "Object"
            metadata = {"resourceVersion": item["metadata"]["resourceVersion"]}
            item = table(self._target.resource.name, [item], metadata=metadata, whole=whole, headed=self._headed)
            self._headed = False
        await self._write(kind, item)

    async def _write(self, kind: str, item: Object) -> None:
        await self._response.write(orjson.dumps({"type": kind, "object": item}) + b"\n")
