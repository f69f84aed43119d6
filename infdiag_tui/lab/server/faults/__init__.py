"""What can be wrong inside a replica's process: each fault is a class that changes the parts when its time has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from infdiag_tui.lab.server.faults import memory, models, serving, stages
from infdiag_tui.lab.server.parts import Parts

_LOOK_S = 0.1


class ServerFault(Protocol):
    """A fault; it is made from its values."""

    def begin(self, parts: Parts) -> None:
        """Does the damage; the model is loaded. May block, runs on a thread."""
        ...


KINDS: Mapping[str, type[ServerFault]] = {
    "keep-explanations": memory.KeepExplanations,
    "collect-often": memory.CollectOften,
    "profile-inputs": memory.ProfileInputs,
    "corrupt-table": models.CorruptTable,
    "half-precision": models.HalfPrecision,
    "deepen-model": models.DeepenModel,
    "run-on-processor": models.RunOnProcessor,
    "share-work": serving.ShareWork,
    "stop-refreshing": serving.StopRefreshing,
    "batch": serving.Batch,
    "scan-merchants": stages.ScanMerchants,
    "explain-rows": stages.ExplainRows,
    "sign-replies": stages.SignReplies,
}


async def switch_on(parts: Parts) -> None:
    """Begins each fault of the settings at its time, or at once if that is past."""
    async with asyncio.TaskGroup() as group:
        for spec in parts.settings.faults:
            group.create_task(_begin_in_time(parts, spec))


async def _begin_in_time(parts: Parts, spec: Mapping[str, Any]) -> None:
    fault = KINDS[spec["kind"]](**spec["values"])
    while (fault_time := _fault_time(parts)) is None:  # noqa: ASYNC110  # another process writes the file
        await asyncio.sleep(_LOOK_S)
    begins_at = fault_time + spec["after_s"]
    await asyncio.sleep(max(0.0, begins_at - time.time()))
    await parts.engine.ready.wait()
    await asyncio.to_thread(fault.begin, parts)


def _fault_time(parts: Parts) -> float | None:
    path = Path(parts.settings.fault_time_path)
    return float(path.read_text()) if path.exists() else None
