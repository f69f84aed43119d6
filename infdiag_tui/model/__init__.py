"""The vocabulary: immutable values that streams produce, the hub keeps and panels, findings and the report speak of.

Nothing here imports the rest of infdiag, NumPy or Textual, so that the first frame is cheap. Times named `at` or
`..._at` are Unix seconds (UTC); durations carry their unit in the name.
"""

from infdiag_tui.model.chart import Axis, Bar, BarChart, CheckChart, Curve, Level, LineChart, Mark, Quantity, Stroke
from infdiag_tui.model.check import (
    CheckResult,
    CheckRun,
    CheckStatus,
    FieldKind,
    FormField,
    Impact,
    OfferedCheck,
    Progress,
    RunState,
)
from infdiag_tui.model.cluster import ClusterEvent, Container, Pod, PodGone, PodUsage, Termination
from infdiag_tui.model.diagnosis import Argument, Diagnosis, Hypothesis, HypothesisStatus, NextCheck
from infdiag_tui.model.evidence import Evidence, Verdict
from infdiag_tui.model.guidance import CommandBeside, CompanionOffer, CompanionRun, GuidanceView
from infdiag_tui.model.health import PROBLEM_STATES, SourceHealth, SourceState
from infdiag_tui.model.latency import NOT_SENT, ErrorKind, LatencyView, LatencyWindow, Phases, Quantile, Reply
from infdiag_tui.model.machine import ClockReason, GpuDevice, GpuProcess, HostState, ProcessState
from infdiag_tui.model.observations import (
    BACKLOG_S,
    Heartbeat,
    History,
    LogLine,
    Observation,
    Sample,
    SeriesKey,
    Severity,
    SignatureSeen,
    Status,
)
from infdiag_tui.model.series import SeriesView
from infdiag_tui.model.snapshot import DraftView, IncidentInfo, LogView, Snapshot, StartFailure

__all__ = [
    "BACKLOG_S",
    "NOT_SENT",
    "PROBLEM_STATES",
    "Argument",
    "Axis",
    "Bar",
    "BarChart",
    "CheckChart",
    "CheckResult",
    "CheckRun",
    "CheckStatus",
    "ClockReason",
    "ClusterEvent",
    "CommandBeside",
    "CompanionOffer",
    "CompanionRun",
    "Container",
    "Curve",
    "Diagnosis",
    "DraftView",
    "ErrorKind",
    "Evidence",
    "FieldKind",
    "FormField",
    "GpuDevice",
    "GpuProcess",
    "GuidanceView",
    "Heartbeat",
    "History",
    "HostState",
    "Hypothesis",
    "HypothesisStatus",
    "Impact",
    "IncidentInfo",
    "LatencyView",
    "LatencyWindow",
    "Level",
    "LineChart",
    "LogLine",
    "LogView",
    "Mark",
    "NextCheck",
    "Observation",
    "OfferedCheck",
    "Phases",
    "Pod",
    "PodGone",
    "PodUsage",
    "ProcessState",
    "Progress",
    "Quantile",
    "Quantity",
    "Reply",
    "RunState",
    "Sample",
    "SeriesKey",
    "SeriesView",
    "Severity",
    "SignatureSeen",
    "Snapshot",
    "SourceHealth",
    "SourceState",
    "StartFailure",
    "Status",
    "Stroke",
    "Termination",
    "Verdict",
]
