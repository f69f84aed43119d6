"""Faults of how a replica serves requests."""

from __future__ import annotations

import logging

from infdiag_tui.lab.server.parts import Parts
from infdiag_tui.lab.server.pipeline import Work


class ShareWork:
    """One object is used for every request: right for one at a time, mixed up when two overlap."""

    def begin(self, parts: Parts) -> None:
        """Shares it."""
        shared = Work()
        parts.engine.pipeline.new_work = lambda: shared


class StopRefreshing:
    """The snapshot that the health check looks at is no longer refreshed."""

    def begin(self, parts: Parts) -> None:
        """Stops it."""
        parts.health.refreshing = False


class Batch:
    """Another configuration of the batcher."""

    def __init__(self, max_batch: int, delay_s: float) -> None:
        self._max_batch = max_batch
        self._delay_s = delay_s

    def begin(self, parts: Parts) -> None:
        """Puts it into effect."""
        batcher = parts.engine.batcher
        batcher.max_batch, batcher.delay_s = self._max_batch, self._delay_s
        log = logging.getLogger(f"{parts.dialect.logger}.engine")
        log.info(parts.dialect.words["batching"], self._max_batch, self._delay_s * 1000)
