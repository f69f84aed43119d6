"""PromQL over HTTP, the same for Prometheus, Thanos, Mimir and VictoriaMetrics."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from infdiag_tui.config import Prometheus
from infdiag_tui.streams.http_api import (
    HTTP_BAD_REQUEST,
    HTTP_UNPROCESSABLE,
    MAX_REPLY_BYTES,
    HttpApiClient,
    HttpApiError,
    Service,
)
from infdiag_tui.streams.prometheus.results import Result, UnreadableError, read_result
from infdiag_tui.text import clean, one_line

_URL_HINT = (
    "prometheus.url is the address above /api/v1: http://prometheus:9090, Thanos' querier, "
    "https://mimir/prometheus, or VictoriaMetrics' :8428 (/select/0/prometheus in a cluster)"
)


class QueryRefusedError(HttpApiError):
    """The server is there and does not take this one query."""


class PrometheusClient:
    """Asks one server; use it as `async with`.

    Args:
        settings: where it is and as whom to ask.
        user_agent: the header.
        max_reply_bytes: a longer reply is refused.
    """

    def __init__(self, settings: Prometheus, user_agent: str, *, max_reply_bytes: int = MAX_REPLY_BYTES) -> None:
        self.service = Service("Prometheus", "prometheus", settings.url, _URL_HINT)
        self._api = HttpApiClient(self.service, settings, user_agent, max_reply_bytes=max_reply_bytes)
        self._timeout_s = settings.timeout_s

    async def __aenter__(self) -> Self:
        await self._api.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._api.__aexit__(kind, error, trace)

    async def query(self, promql: str, *, at: float | None = None) -> Result:
        """The value of an expression now, or at `at` (Unix seconds); a range selector gives its raw points.

        Raises:
            SourceError: refused, unreachable, too slow, too long, or no Prometheus.
        """
        return await self._result("query", promql, {} if at is None else {"time": f"{at:.3f}"})

    async def query_range(self, promql: str, *, start: float, end: float, step_s: float) -> Result:
        """Its values from `start` to `end` (Unix seconds) every `step_s`.

        Raises:
            SourceError: as `query`.
        """
        return await self._result(
            "query_range", promql, {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_s:g}"}
        )

    async def types(self) -> dict[str, str]:
        """The types of metrics (counter, gauge, histogram) as their exporters state them, by name; empty where untold.

        Raises:
            SourceError: as `query`.
        """
        reply = await self._api.ask("/api/v1/metadata", {"limit_per_metric": "1"})
        data = reply.get("data")
        found: dict[str, str] = {}
        for name, stated in data.items() if isinstance(data, Mapping) else ():
            kind = (
                stated[0].get("type") if isinstance(stated, list) and stated and isinstance(stated[0], dict) else None
            )
            if isinstance(kind, str):
                found[name] = kind
        return found

    async def _result(self, what: str, promql: str, parameters: dict[str, str]) -> Result:
        asked = {"query": promql, "timeout": f"{self._timeout_s:g}s", **parameters}
        try:
            reply: dict[str, Any] = await self._api.ask(f"/api/v1/{what}", asked)
        except HttpApiError as error:
            if error.status in (HTTP_BAD_REQUEST, HTTP_UNPROCESSABLE) and error.said:
                raise QueryRefusedError(
                    f"{self.service.shown} does not take a query: {error.said}",
                    remedy="narrow prometheus.matchers, or shorten prometheus.history; the query: "
                    f"{one_line(clean(promql), 300)}",
                    status=error.status,
                    said=error.said,
                ) from error
            raise
        try:
            return read_result(reply)
        except UnreadableError as error:
            raise HttpApiError(
                f"the reply of {self.service.shown} is no result of its API: {error}", remedy=_URL_HINT
            ) from error


def quoted(text: str) -> str:
    """`text` as a string of PromQL or LogQL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def selector(name: str, matchers: Mapping[str, str], *, pattern: str = "", more: str = "") -> str:
    """A vector selector: a metric of that name, or one whose name matches `pattern`, with these labels.

    `more` are further matchers as written.
    """
    wanted = [f"__name__=~{quoted(pattern)}"] if pattern else []
    # A name with a dot, as VictoriaMetrics and Prometheus 3 allow, or a leading colon can only be given as a label.
    plain = name.replace(":", "").replace("_", "").isalnum() and name.isascii() and not name[:1].isdigit()
    if name and not plain:
        wanted.append(f"__name__={quoted(name)}")
    wanted += [f"{label}={quoted(value)}" for label, value in matchers.items()]
    if more:
        wanted.append(more)
    return (name if plain else "") + "{" + ", ".join(wanted) + "}"
