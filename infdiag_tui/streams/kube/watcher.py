"""Lists a kind of object and then watches it: pages, bookmarks, 410 Gone, cut connections, lists alone if need be."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import aiohttp
import orjson

from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_FORBIDDEN, HTTP_GONE, Access, ApiError
from infdiag_tui.streams.kube.lines import CutError, batches
from infdiag_tui.streams.kube.pages import pages
from infdiag_tui.text import clean, one_line

T = TypeVar("T")

_LINE_LIMIT_BYTES = 64 * 2**20
"""Far above what etcd stores in one object."""
_SHORT_WATCH_S = 1.0


@dataclass(frozen=True, slots=True)
class Item(Generic[T]):
    """One object: its identity, its version and what was read from it (None: it isn't one that is looked for)."""

    uid: str
    version: str
    value: T | None


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """All objects there are at this moment."""

    items: tuple[Item[T], ...]


@dataclass(frozen=True, slots=True)
class Changed(Generic[T]):
    """One object came or changed, or (`deleted`) went."""

    item: Item[T]
    deleted: bool


@dataclass(frozen=True, slots=True)
class Bookmark:
    """The server has nothing new: what was listed and watched so far is current."""


@dataclass(frozen=True, slots=True)
class Polling:
    """From here on only lists come, because watching is denied; None: watching is allowed again."""

    denial: ApiError | None


class Watcher(Generic[T]):
    """Follows one collection until its reader stops.

    Args:
        client: connected.
        path: of the collection, e.g. `/api/v1/namespaces/ml/pods`.
        resource: as access rules name it.
        parse: raw object to value, None for one that isn't looked for; runs in a thread for lists.
        query: selectors.
    """

    def __init__(
        self,
        client: KubeClient,
        path: str,
        resource: str,
        parse: Callable[[Mapping[str, Any]], T | None],
        query: Mapping[str, str],
    ) -> None:
        self._client = client
        self._path = path
        self._resource = resource
        self._parse = parse
        self._query = dict(query)
        self._version = ""
        self._reply: aiohttp.ClientResponse | None = None
        self._relist = False
        self._denied: ApiError | None = None

    def relist(self) -> None:
        """Drops the present watch, which has proved deaf, and lists anew."""
        self._relist = True
        if self._reply is not None:
            self._reply.close()

    async def follow(self) -> AsyncGenerator[Listed[T] | Changed[T] | Bookmark | Polling]:
        """First a list, then what changes; after 410 Gone or a lost watch position a list again.

        Raises:
            ApiError: listing failed, or the API server can't be reached.
        """
        while True:
            yield Listed(await self._list())
            self._relist = False
            async with aclosing(self._watch_or_wait()) as changes:
                async for change in changes:
                    yield change

    async def _list(self) -> tuple[Item[T], ...]:
        access = Access("list", self._resource, self._client.namespace)
        for _ in range(5):
            try:
                return await self._pages(access)
            except ApiError as error:
                if error.status != HTTP_GONE:  # the continue token has expired: begin again
                    raise
        raise ApiError(f"listing {self._resource} never finished: the list expired while it was read, five times over")

    async def _pages(self, access: Access) -> tuple[Item[T], ...]:
        items: list[Item[T]] = []
        version = ""
        async with aclosing(pages(self._client, self._path, self._query, access)) as listed:
            async for page in listed:
                items += await asyncio.to_thread(self._items, page)
                version = version or str((page.get("metadata") or {}).get("resourceVersion") or "")
        self._version = version
        return tuple(items)

    def _items(self, page: Mapping[str, Any]) -> list[Item[T]]:
        made = [self._item(raw) for raw in page.get("items") or ()]
        return [item for item in made if item.value is not None]

    def _item(self, raw: Mapping[str, Any]) -> Item[T]:
        meta = raw.get("metadata") or {}
        return Item(str(meta.get("uid") or ""), str(meta.get("resourceVersion") or ""), self._parse(raw))

    async def _watch_or_wait(self) -> AsyncGenerator[Changed[T] | Bookmark | Polling]:
        """Watches until a list is due; where watching is denied, waits for it instead."""
        short = 0
        while not self._relist:
            began = asyncio.get_running_loop().time()
            try:
                async with aclosing(self._watch()) as changes:
                    async for change in changes:
                        yield change
            except ApiError as error:
                if error.status == HTTP_GONE:
                    return
                if error.status != HTTP_FORBIDDEN:
                    raise
                if self._denied is None:
                    yield Polling(error)
                self._denied = error
                await asyncio.sleep(self._client.pace.poll_s)
                return
            except CutError:
                pass  # resumed from the last version; if the server is gone, opening says so
            # A proxy that ends every watch at once must not be asked again without a pause.
            brief = asyncio.get_running_loop().time() - began < _SHORT_WATCH_S
            short = short + 1 if brief else 0
            if short > 1:
                await asyncio.sleep(min(5.0, 0.25 * 2.0 ** min(short, 8)))

    async def _watch(self) -> AsyncGenerator[Changed[T] | Bookmark | Polling]:
        pace = self._client.pace
        limit_s = round(pace.watch_s * random.uniform(0.9, 1.1), 3)
        query: dict[str, str | int] = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": max(1, int(limit_s)),
        }
        access = Access("watch", self._resource, self._client.namespace)
        quiet_s = limit_s + pace.watch_grace_s
        async with self._client.follow(self._path, query, access, quiet_s=quiet_s) as reply:
            self._reply = reply
            try:
                if self._denied is not None:
                    self._denied = None
                    yield Polling(None)
                async for lines in batches(reply.content, _LINE_LIMIT_BYTES):
                    self._client.touch()
                    for line, _ in lines:
                        if line.strip():
                            yield self._change(line)
            finally:
                self._reply = None

    def _change(self, line: bytes) -> Changed[T] | Bookmark:
        try:
            event = orjson.loads(line)
            kind, raw = event["type"], event["object"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise ApiError(
                f"the watch of {self._resource} at {self._client.place} sent something that is no watch event",
                remedy="check for a proxy that changes replies",
            ) from None
        if kind == "ERROR":
            message = one_line(clean(str(raw.get("message") or "")))
            code = raw.get("code")
            raise ApiError(
                f"the watch of {self._resource} at {self._client.place} failed: {message}",
                status=code if isinstance(code, int) else 0,
                message=message,
            )
        self._version = str((raw.get("metadata") or {}).get("resourceVersion") or self._version)
        if kind == "BOOKMARK":
            return Bookmark()
        return Changed(self._item(raw), deleted=kind == "DELETED")
