"""Where readings of memory come from: a process here, the server's metrics, a dcgm exporter, the container, a file."""

from __future__ import annotations

import asyncio
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from checks.base import CheckError, Remote, Sender
from infdiag_tui.servers.metrics_text import parse_metrics
from infdiag_tui.stats.growth import Series
from infdiag_tui.text import clean, one_line

_MAX_FILE_BYTES = 64 * 1024 * 1024
_CGROUP = (
    "sh",
    "-c",
    (
        "cd /sys/fs/cgroup && cat memory.max memory.stat 2>/dev/null"
        " || cat memory/memory.limit_in_bytes memory/memory.stat"
    ),
)
_ANONYMOUS = ("anon", "total_rss")
"""What memory.stat calls memory that is no cache, in cgroup v2 and v1."""

_NO_LIMIT = 1 << 60


@dataclass(frozen=True, slots=True)
class Reading:
    """One memory at one moment; `limit_bytes` where the source tells it."""

    subject: str
    used_bytes: float
    limit_bytes: float | None = None
    limit_source: str = ""


class Source(Protocol):
    """Reads memory once; raises CheckError when it cannot."""

    async def read(self) -> Sequence[Reading]:
        """The readings at this moment."""
        ...


class ProcessSource:
    """A process here and its children: memory of its own (resident less shared pages)."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process

    async def read(self) -> Sequence[Reading]:
        """One reading, with the machine's memory as the limit."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> list[Reading]:
        try:
            used = _own_bytes(self._process)
            children = self._process.children(recursive=True)
        except psutil.NoSuchProcess as error:
            raise CheckError(f"Process {self._process.pid} ended while it was watched.") from error
        except psutil.AccessDenied as error:
            raise CheckError(f"The memory of process {self._process.pid} may not be read: run as its user.") from error
        for child in children:
            try:
                used += _own_bytes(child)
            except psutil.Error:
                continue  # it ended just now
        limit = used + psutil.virtual_memory().available
        return [Reading(f"process {self._process.pid}", used, limit, "memory available on this machine")]


def _own_bytes(process: psutil.Process) -> float:
    info = process.memory_info()
    return float(info.rss - getattr(info, "shared", 0))


def find_process(pid: int | None, name: str, port: int | None) -> psutil.Process:
    """The process by pid, name, or listening port. Blocking.

    Raises:
        CheckError: there is none, or several of that name.
    """
    if pid is not None:
        try:
            return psutil.Process(pid)
        except psutil.NoSuchProcess as error:
            raise CheckError(f"There is no process {pid}: correct --pid or host.pid.") from error
    if name:
        found = [process for process in psutil.process_iter(["name"]) if process.info["name"] == name]
        oldest = [process for process in found if not any(_is_parent(other, process) for other in found)]
        if len(oldest) != 1:
            count = "no process" if not oldest else f"{len(oldest)} processes"
            raise CheckError(one_line(clean(f"There is {count} named {name}: give --pid.")))
        return oldest[0]
    for process in psutil.process_iter():
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        if any(c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port for c in connections):
            return process
    raise CheckError(f"No process of this user listens on port {port}: give --pid.")


def _is_parent(parent: psutil.Process, child: psutil.Process) -> bool:
    try:
        return child.ppid() == parent.pid
    except psutil.Error:
        return False


class MetricsSource:
    """The server's metrics page: its process' resident memory, or the metric that was named."""

    def __init__(self, sender: Sender, url: str, metric: str) -> None:
        self._sender, self._url, self._metric = sender, url, metric

    async def read(self) -> Sequence[Reading]:
        """One reading: the sum over its label sets."""
        answer = await self._sender.get(self._url, timeout_s=5)
        if not answer.ok:
            reason = answer.error or f"status {answer.status}"
            raise CheckError(one_line(clean(f"{self._url} gave no metrics: {reason}.")), unreachable=True)
        page = await asyncio.to_thread(parse_metrics, answer.text)
        value = page.total(self._metric)
        if value is None:
            raise CheckError(one_line(clean(f"{self._url} has no {self._metric}: name another with --metric.")))
        return [Reading(self._metric, value)]


class DcgmSource:
    """A dcgm exporter: memory in use of every GPU (its framebuffer figures are MiB)."""

    def __init__(self, sender: Sender, url: str) -> None:
        self._sender, self._url = sender, url

    async def read(self) -> Sequence[Reading]:
        """One reading per GPU."""
        answer = await self._sender.get(self._url, timeout_s=5)
        if not answer.ok:
            reason = answer.error or f"status {answer.status}"
            raise CheckError(one_line(clean(f"{self._url} gave no GPU metrics: {reason}.")), unreachable=True)
        page = await asyncio.to_thread(parse_metrics, answer.text)
        readings: list[Reading] = []
        for used in page.get("DCGM_FI_DEV_FB_USED"):
            card = {key: used.labels[key] for key in ("gpu", "UUID", "GPU_I_ID") if key in used.labels}
            free = page.total("DCGM_FI_DEV_FB_FREE", card)
            name = card.get("gpu") or card.get("UUID") or str(len(readings))
            part = f" instance {card['GPU_I_ID']}" if card.get("GPU_I_ID") else ""
            total = None if free is None else (used.value + free) * 2**20
            if math.isfinite(used.value):
                readings.append(
                    Reading(one_line(clean(f"GPU {name}{part}"), 80), used.value * 2**20, total, "its memory")
                )
        if not readings:
            raise CheckError(one_line(clean(f"{self._url} has no DCGM_FI_DEV_FB_USED: is it a dcgm exporter?")))
        return readings


class ContainerSource:
    """The container's control group, read beside the model; page cache, which the kernel gives back, does not count."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def read(self) -> Sequence[Reading]:
        """One reading with the container's limit."""
        status, out, err = await self._remote.run(_CGROUP, timeout_s=10)
        rows = [line.split() for line in out.decode("utf-8", "replace").splitlines()]
        used = next((row[1] for row in rows if len(row) == 2 and row[0] in _ANONYMOUS and row[1].isdigit()), None)
        if status or used is None:
            reason = err.decode("utf-8", "replace").strip() or f"status {status}"
            raise CheckError(one_line(clean(f"Memory cannot be read {self._remote.where}: {reason}."), 600))
        limit = float(rows[0][0]) if rows[0] and rows[0][0].isdigit() else None
        limit = None if limit is not None and limit >= _NO_LIMIT else limit
        return [Reading(self._remote.place, float(used), limit, "the container's limit")]


def read_file(path: Path, limit_bytes: float | None) -> list[Series]:
    """Series of a CSV or JSONL file with `time` (seconds) and `bytes` and, where there are several, `name`. Blocking.

    Raises:
        CheckError: it cannot be read, or lacks these columns.
    """
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            text = file.read(_MAX_FILE_BYTES)
    except OSError as error:
        raise CheckError(one_line(clean(f"{path} cannot be read: {error.strerror}."))) from error
    rows = _json_rows(text) if text.lstrip()[:1] == "{" else list(csv.DictReader(text.splitlines()))
    points: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        at, used = _number(row.get("time")), _number(row.get("bytes"))
        if at is not None and used is not None:
            points.setdefault(one_line(clean(str(row.get("name") or path.name)), 80), []).append((at, used))
    if not points:
        raise CheckError(one_line(clean(f"{path} has no columns time (Unix seconds) and bytes.")))
    series = []
    for name, found in points.items():
        at_s, used_bytes = zip(*sorted(found), strict=True)
        series.append(Series(name, at_s, used_bytes, limit_bytes, "--limit-bytes" if limit_bytes else ""))
    return series


def _json_rows(text: str) -> list[dict[str, Any]]:
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
