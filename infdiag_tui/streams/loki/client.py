"""Loki's HTTP API: the lines that a selector selects, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from infdiag_tui.config import Loki
from infdiag_tui.streams.http_api import MAX_REPLY_BYTES, HttpApiClient, HttpApiError, Service
from infdiag_tui.text import clean, one_line

_URL_HINT = "loki.url is the address above /loki/api/v1: http://loki:3100, or that of the gateway before it"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when Loki dates it (nanoseconds since 1970), of which stream (its labels, sorted), and its text."""

    at_ns: int
    labels: Labels
    line: str


class LokiClient:
    """Asks one server; use it as `async with`."""

    def __init__(self, settings: Loki, user_agent: str, *, max_reply_bytes: int = MAX_REPLY_BYTES) -> None:
        self.service = Service("Loki", "loki", settings.url, _URL_HINT)
        self._api = HttpApiClient(self.service, settings, user_agent, max_reply_bytes=max_reply_bytes)
        self._selector = settings.selector

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, error, trace)

    async def page(
        self, *, start_ns: int, end_ns: int, limit: int, direction: Literal["forward", "backward"]
    ) -> list[Entry]:
        """At most `limit` entries from `start_ns` to before `end_ns`, the oldest of them or (backward) the newest.

        They come sorted by time, oldest first.

        Raises:
            SourceError: refused, unreachable, too slow, too long, or no Loki.
        """
        asked = {
            "query": self._selector,
            "start": str(start_ns),
            "end": str(end_ns),
            "limit": str(limit),
            "direction": direction,
        }
        reply = await self._api.ask("/loki/api/v1/query_range", asked)
        data = reply.get("data")
        kind = data.get("resultType") if isinstance(data, Mapping) else None
        if kind in ("matrix", "vector"):
            raise HttpApiError(
                f"loki.selector computes a metric and selects no lines: {one_line(clean(self._selector), 200)}",
                remedy='name streams, and filters if need be: {namespace="ml", app="scorer"} != "GET /health"',
            )
        try:
            found = [entry for stream in (data or {})["result"] for entry in _entries(stream)]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise HttpApiError(
                f"the reply of {self.service.shown} holds no streams of lines", remedy=_URL_HINT
            ) from error
        return sorted(found, key=lambda entry: entry.at_ns)


def _entries(stream: Any) -> list[Entry]:
    labels = tuple(sorted((str(name), str(text)) for name, text in stream["stream"].items()))
    # A third element, if any, is structured metadata.
    return [Entry(int(value[0]), labels, str(value[1])) for value in stream["values"]]
