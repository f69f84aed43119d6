"""The cluster's objects with their history, so that lists page and watches resume as with a real API server."""

from __future__ import annotations

import asyncio
import bisect
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str]
"""Namespace (empty for objects of the cluster) and name."""


class GoneError(Exception):
    """The history no longer reaches back to the version asked for (HTTP 410)."""


@dataclass(frozen=True, slots=True)
class Change:
    """One step of history; `before` is None for a new object."""

    version: int
    type: str
    resource: str
    after: Object
    before: Object | None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: `version` is that of the whole list, `token` continues it or is empty."""

    items: list[Object]
    version: int
    token: str = ""
    remaining: int = 0


class Store:
    """Objects by resource (`pods`, `events`, ...), every one immutable once stored.

    Resource versions rise by one with each change of any object, as etcd's do.
    """

    def __init__(self, history: int = 5_000) -> None:
        self._limit = history
        self._version = 1_000
        self._objects: dict[str, dict[Key, Object]] = {}
        self._history: list[Change] = []
        self._compacted = self._version
        self._pages: dict[str, tuple[int, list[Object]]] = {}
        self._changed: asyncio.Future[None] | None = None

    @property
    def version(self) -> int:
        """The newest resource version."""
        return self._version

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        return self._objects.get(resource, {}).get((namespace, name))

    def all(self, resource: str) -> list[Object]:
        """Every object of a resource, ordered by namespace and name."""
        found = self._objects.get(resource, {})
        return [found[key] for key in sorted(found)]

    def put(self, resource: str, item: Object) -> Object:
        """Stores an object, new or changed, under its metadata's namespace and name."""
        metadata = item["metadata"]
        key = (metadata.get("namespace", ""), metadata["name"])
        objects = self._objects.setdefault(resource, {})
        before = objects.get(key)
        self._version += 1
        stored = {**item, "metadata": {**metadata, "resourceVersion": str(self._version)}}
        objects[key] = stored
        self._record(Change(self._version, "MODIFIED" if before else "ADDED", resource, stored, before))
        return stored

    def delete(self, resource: str, namespace: str, name: str) -> None:
        """Removes an object that is there.

        Raises:
            KeyError: It is not.
        """
        before = self._objects[resource].pop((namespace, name))
        self._version += 1
        last = {**before, "metadata": {**before["metadata"], "resourceVersion": str(self._version)}}
        self._record(Change(self._version, "DELETED", resource, last, before))

    def compact(self) -> None:
        """Forgets all history, as etcd does every few minutes: older watches and half-read lists get 410."""
        self._compacted = self._version
        self._history.clear()
        self._pages.clear()
        self._wake()

    def page(self, resource: str, wanted: Callable[[Object], bool], limit: int) -> Page:
        """The first page of a list (all of it when `limit` is 0)."""
        return self._cut([item for item in self.all(resource) if wanted(item)], self._version, limit)

    def next_page(self, token: str, limit: int) -> Page:
        """The page that follows; it shows the list as it was when its first page was read.

        Raises:
            GoneError: The token is unknown or too old.
        """
        if token not in self._pages:
            raise GoneError("The provided continue parameter is too old to display a consistent list result.")
        version, rest = self._pages.pop(token)
        return self._cut(rest, version, limit)

    def changes_since(self, version: int) -> Iterable[Change]:
        """History after `version`, oldest first.

        Raises:
            GoneError: It does not reach back so far.
        """
        if version < self._compacted:
            raise GoneError(f"too old resource version: {version} ({self._compacted})")
        start = bisect.bisect_right(self._history, version, key=lambda change: change.version)
        return self._history[start:]

    async def changed(self) -> None:
        """Returns after the next change or compaction."""
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    def _cut(self, items: list[Object], version: int, limit: int) -> Page:
        if not limit or len(items) <= limit:
            return Page(items, version)
        token = secrets.token_urlsafe(12)
        self._pages[token] = (version, items[limit:])
        while len(self._pages) > 100:
            del self._pages[next(iter(self._pages))]
        return Page(items[:limit], version, token, len(items) - limit)

    def _record(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) > self._limit:
            excess = len(self._history) - self._limit // 2
            self._compacted = self._history[excess - 1].version
            del self._history[:excess]
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
