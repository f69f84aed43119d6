"""The saved baseline of a model: where it is, and what measurements are compared with in it."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import platformdirs

from infdiag_tui.servers.stages import stage_times
from infdiag_tui.streams.threads import SoleThread, StuckCallError

LOOK_AGAIN_S = 30.0
READ_TIMEOUT_S = 10.0
_FOLDER = "baselines"
_QUANTILES = ("p50", "p95", "p99")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Stage times in ms by stage, and latency quantiles in ms by target and name (`p50`)."""

    stages_ms: Mapping[str, float] = field(default_factory=dict)
    latency_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def baseline_path(model_name: str) -> Path:
    """Where the check `baseline` keeps what healthy looks like for this model."""
    name = "".join(char if char.isalnum() or char in "._-" else "-" for char in model_name)[:80] or "model"
    return platformdirs.user_state_path("infdiag") / _FOLDER / f"{name}.json"


def read_baseline(path: Path) -> Baseline:
    """What a baseline file says; empty without one. Blocking.

    Raises:
        OSError: it is there and cannot be read.
        ValueError: it is no JSON.
    """
    if not path.exists():
        return Baseline()
    try:
        kept = json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    return Baseline(stage_times(kept), _latency(kept))


def _latency(kept: Any) -> dict[str, dict[str, float]]:
    targets = kept.get("latency") if isinstance(kept, dict) else None
    found: dict[str, dict[str, float]] = {}
    for target, figures in targets.items() if isinstance(targets, dict) else ():
        if isinstance(figures, dict):
            known = {name: figures.get(f"{name}_ms") for name in _QUANTILES}
            found[str(target)] = {name: float(ms) for name, ms in known.items() if _is_time(ms)}
    return found


def _is_time(value: Any) -> TypeGuard[float]:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return plain and math.isfinite(value) and value > 0


class BaselineFile:
    """Follows a model's baseline, which the check of that name may write at any time."""

    def __init__(self, path: Path, monotonic: Callable[[], float]) -> None:
        self._path = path
        # A thread of its own: a state folder on a dead mount must cost the baseline alone.
        self._thread = SoleThread("infdiag baseline", monotonic)
        self._stamp: tuple[int, int] | None = None

    async def follow(self, take: Callable[[Baseline], None]) -> None:
        """Hands over what it says, at once and after each change, until cancelled. What cannot be read is logged."""
        try:
            while True:
                try:
                    found = await self._thread.call(self._read_if_new, timeout_s=READ_TIMEOUT_S)
                except (OSError, ValueError, StuckCallError) as error:
                    log.warning("the baseline %s cannot be read: %s", self._path, error)
                else:
                    if found is not None:
                        take(found)
                await asyncio.sleep(LOOK_AGAIN_S)
        finally:
            self._thread.close()

    def _read_if_new(self) -> Baseline | None:
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return None
        stamp = (state.st_mtime_ns, state.st_size)
        if stamp == self._stamp:
            return None
        found = read_baseline(self._path)
        self._stamp = stamp
        return found
