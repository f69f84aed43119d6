"""Which stream modules there are, ours and those that other packages bring as entry points."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points

from infdiag_tui.config import ModelConfig
from infdiag_tui.model import Observation, Status
from infdiag_tui.streams.base import SourceError, Stream, StreamContext

log = logging.getLogger(__name__)

Builder = Callable[[ModelConfig, StreamContext], Sequence[Stream]]

BUILT_IN = (
    "latency",
    "logs",
    "loki_logs",
    "cluster",
    "latency_replicas",
    "server_metrics",
    "server_prometheus",
    "gpu",
    "process",
    "host",
)
"""Modules of this package with a `build` function, most urgent for an operator first; a roster before who needs it."""

ENTRY_POINTS = "infdiag.streams"


class _Broken:
    """Stands in for another package's stream that could not be built, and says so."""

    stale_after_s = 60.0

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self._reason = f"the stream of package entry point {name!r} failed: {type(error).__name__}: {error}"

    async def observe(self) -> AsyncIterator[Observation]:
        """Fails at once."""
        failure = SourceError(self._reason, remedy="update or remove that package", retry_after_s=600.0)
        yield Status(failure.state, 0.0, failure.reason, failure.remedy)
        raise failure


def build_streams(config: ModelConfig, context: StreamContext) -> list[Stream]:
    """Every stream that the config asks for; another package's broken builder becomes a stream that says so."""
    streams: list[Stream] = []
    for name in BUILT_IN:
        build: Builder = import_module(f"infdiag_tui.streams.{name}").build
        streams += build(config, context)
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            streams += entry.load()(config, context)
        except Exception as error:
            log.exception("entry point %s failed", entry.name)
            streams.append(_Broken(entry.name, error))
    return streams
