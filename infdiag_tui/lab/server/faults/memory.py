"""Faults of memory and processor time inside a replica."""

from __future__ import annotations

import gc
import logging
import random
import threading
import time
from typing import Any

import numpy as np

from infdiag_tui.lab.server.model import Array
from infdiag_tui.lab.server.parts import Parts

_SAY_EVERY_BYTES = 32 * 1024 * 1024
_MIB = 1024 * 1024
_OBJECTS_AT_A_TIME = 200_000
_MOST_OBJECTS = 4_000_000
"""About 400 MB."""


class KeepExplanations:
    """Each request's outputs are kept with perturbed copies for a later explanation. Nothing takes them out again."""

    def __init__(self, kept_bytes_per_request: int) -> None:
        self._bytes = kept_bytes_per_request
        self._kept: list[Array] = []
        self._said_bytes = 0

    def begin(self, parts: Parts) -> None:
        """Starts to keep."""
        self._words = parts.dialect.words["cached"]
        self._log = logging.getLogger(f"{parts.dialect.logger}.pipeline")
        parts.engine.pipeline.after_scoring.append(self._keep)

    def _keep(self, probabilities: Array) -> None:
        copies = np.repeat(probabilities, max(1, self._bytes // probabilities.nbytes))
        copies += 1e-3
        self._kept.append(copies)
        total = self._bytes * len(self._kept)
        if total - self._said_bytes >= _SAY_EVERY_BYTES:
            self._said_bytes = total
            self._log.warning(self._words, len(self._kept), total / _MIB)


class CollectOften:
    """A large graph of small objects stays alive, and the whole heap is collected every so often."""

    def __init__(self, pause_s: float, collect_every_s: float) -> None:
        self._pause_s = pause_s
        self._every_s = collect_every_s

    def begin(self, parts: Parts) -> None:
        """Builds the graph, as large as this machine needs for such a pause, then collects for ever on a thread."""
        del parts
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        draw = random.Random(0)
        graph: list[list[Any]] = []
        while True:
            started = time.perf_counter()
            gc.collect()
            if time.perf_counter() - started < self._pause_s and len(graph) < _MOST_OBJECTS:
                self._grow(graph, draw)
            else:
                time.sleep(self._every_s)

    @staticmethod
    def _grow(graph: list[list[Any]], draw: random.Random) -> None:
        gc.disable()  # no collections while it is built
        graph.extend([None] for _ in range(_OBJECTS_AT_A_TIME))
        # Neighbours far apart in memory, as after hours of service: the collector misses every cache.
        for node in graph[-_OBJECTS_AT_A_TIME:]:
            node[0] = graph[draw.randrange(len(graph))]
        gc.enable()
        time.sleep(0.01)  # requests come in between


class ProfileInputs:
    """A thread computes statistics of recent inputs all the time, with as much processor time as it gets."""

    def __init__(self, profile_share: float) -> None:
        self._share = profile_share

    def begin(self, parts: Parts) -> None:
        """Starts the thread."""
        del parts
        threading.Thread(target=self._profile, daemon=True).start()

    def _profile(self) -> None:
        sample = np.random.default_rng(0).random((48, 400))
        while True:
            started = time.thread_time()
            np.corrcoef(sample)
            time.sleep((time.thread_time() - started) * (1 / self._share - 1))
