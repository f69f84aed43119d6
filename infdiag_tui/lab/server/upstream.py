"""The feature store, as the model server asks it: once more when it fails, and not for ever."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

import aiohttp

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.server.metrics import Metrics

_TIMEOUT_S = 0.5
_ATTEMPTS = 2


class UpstreamError(Exception):
    """The store did not answer; the message says so."""


class FeatureStore:
    """A client with a few connections that are kept."""

    def __init__(self, url: str, dialect: Dialect, metrics: Metrics) -> None:
        self._url = url
        self._dialect = dialect
        self._metrics = metrics
        self._log = logging.getLogger(f"{dialect.logger}.features")
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout)

    async def lookup(self, merchants: Sequence[str]) -> list[float]:
        """A score for each merchant.

        Raises:
            UpstreamError: It failed twice.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            started = time.perf_counter()
            try:
                async with self._session.post(self._url, json={"merchants": list(merchants)}) as reply:
                    status = str(reply.status)
                    if reply.ok:
                        scores: list[float] = (await reply.json())["scores"]
                        return scores
                    error = f"status {reply.status}"
            except TimeoutError:
                status, error = "timeout", f"timed out after {_TIMEOUT_S * 1000:.0f} ms"
            except aiohttp.ClientError as failure:
                status, error = "error", str(failure) or type(failure).__name__
            finally:
                self._metrics.upstream_requests.labels(self._dialect.store, status).inc()
                self._metrics.upstream_duration.observe(time.perf_counter() - started, upstream=self._dialect.store)
            self._log.error(self._dialect.words["upstream"], self._dialect.store, attempt, _ATTEMPTS, error)
        raise UpstreamError(self._dialect.words["upstream_down"] % self._dialect.store)

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()
        # Connections close with the loop's next turn.
        await asyncio.sleep(0)
