"""What a stream may yield: samples, log lines, states of things, and words about the source itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from infdiag_tui.model.cluster import ClusterEvent, Pod, PodGone, PodUsage
from infdiag_tui.model.health import SourceState
from infdiag_tui.model.latency import Reply
from infdiag_tui.model.log_headline import exception_line, first_line
from infdiag_tui.model.machine import GpuDevice, HostState, ProcessState

BACKLOG_S = 10.0
"""What arrives this soon after the start may have stood in the log before."""


class Severity(StrEnum):
    """Severity of a log line as its own format states it; `UNKNOWN` when it states none."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """Order from 0 (unknown) and 1 (debug) to 5 (critical), for filters."""
        return _RANKS[self]

    @property
    def is_error(self) -> bool:
        """True from `ERROR` up."""
        return self in (Severity.ERROR, Severity.CRITICAL)


_RANKS = {
    Severity.UNKNOWN: 0,
    Severity.DEBUG: 1,
    Severity.INFO: 2,
    Severity.WARNING: 3,
    Severity.ERROR: 4,
    Severity.CRITICAL: 5,
}


class SeriesKey(NamedTuple):
    """Names one series: a metric with its unit in the name, and the thing it belongs to.

    `metric` is dotted and ends in its unit (`pod.memory_bytes`, `gpu.utilization_percent`); `entity` is the pod, GPU
    UUID, process or target, empty for the host.
    """

    metric: str
    entity: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured number of a series. What a source does not offer is never a sample."""

    key: SeriesKey
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class History:
    """Points of a series from before the incident was opened, oldest first, as `source` tells them.

    They are put before what was measured since and never count as live.
    """

    key: SeriesKey
    times: tuple[float, ...]
    values: tuple[float, ...]
    source: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log entry (a traceback is one entry, its lines joined by newlines).

    `text` is printable: terminal escapes and control characters are gone, secrets are redacted. `at` is the time the
    line itself or the container runtime states, `received_at` when it was read. `source` names the file, or
    `namespace/pod/container`. `cut_bytes` counts what was cut from an over-long line.
    """

    source: str
    text: str
    severity: Severity
    received_at: float
    at: float | None = None
    cut_bytes: int = 0
    previous: bool = False
    """True when it comes from the container's previous run, read after a restart."""
    header_start: int = 0
    """Where in `text` the line's own time and level begin; what stands before them names a process or a rank."""
    message_start: int = 0
    """Where in `text` the message begins, the logger's name included; 0 when unknown.

    `text[header_start:message_start]` holds nothing but what `at` and `severity` say as well, separators, and the
    number of a thread or process: whoever shows those fields need not show it again.
    """

    @property
    def message(self) -> str:
        """`text` without the line's own time and level."""
        return self.text[: self.header_start] + self.text[self.message_start :]

    @property
    def headline(self) -> str:
        """The one line that says most: a traceback's exception, otherwise the first line of the message."""
        return exception_line(self.text) or first_line(self.message)

    def happened_at(self, opened_at: float) -> float:
        """When it was written, for one who began to read at `opened_at`.

        As a rule that is when it arrived, because the times that logs state are in unknown zones. Only what arrived at
        the very start, from the end of a log that was there already, is dated by the time it states.
        """
        at_start = self.received_at <= opened_at + BACKLOG_S
        return min(self.at, self.received_at) if at_start and self.at is not None else self.received_at


@dataclass(frozen=True, slots=True)
class SignatureSeen:
    """How often a known line came, and when: in a log, or as an event of the cluster.

    `count` is exact, whatever has left the ring of lines; `sample` is the newest such line, on one line.
    """

    id: str
    count: int
    first_at: float
    last_at: float
    sample: str
    source: str
    """Where the newest came from: the log's name, or the pod an event is about."""
    is_event: bool = False


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The source was reached and has nothing new: its data is current as of `at`."""

    at: float


@dataclass(frozen=True, slots=True)
class Status:
    """A stream's word about itself while it goes on: live again, degraded, forbidden, unavailable.

    `aspect` lets one stream report on several things at once (usage figures absent while pods are fine); an aspect's
    state holds until that aspect says otherwise. The empty aspect is the stream as a whole.
    """

    state: SourceState
    at: float
    reason: str = ""
    remedy: str = ""
    aspect: str = ""


Observation = (
    Sample
    | History
    | LogLine
    | Reply
    | GpuDevice
    | HostState
    | ProcessState
    | Pod
    | PodGone
    | PodUsage
    | ClusterEvent
    | Heartbeat
    | Status
)
