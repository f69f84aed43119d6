"""The immutable picture that the engine hands to the screen, the report and the shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from infdiag_tui.model.check import CheckRun, OfferedCheck
from infdiag_tui.model.cluster import ClusterEvent, Pod, PodGone, PodUsage
from infdiag_tui.model.diagnosis import Diagnosis
from infdiag_tui.model.evidence import Evidence
from infdiag_tui.model.guidance import CompanionRun, GuidanceView
from infdiag_tui.model.health import PROBLEM_STATES, SourceHealth, SourceState
from infdiag_tui.model.latency import LatencyView
from infdiag_tui.model.machine import GpuDevice, HostState, ProcessState
from infdiag_tui.model.observations import LogLine, SeriesKey, Severity, SignatureSeen
from infdiag_tui.model.series import SeriesView


@dataclass(frozen=True, slots=True)
class LogView:
    """The newest log entries and exact counts of all that ever came.

    `lines[0]` has sequence number `first_seq`; `errors` keeps errors apart, with sequence numbers of their own, so that
    a flood of other lines cannot push them out.
    """

    lines: tuple[LogLine, ...] = ()
    first_seq: int = 0
    errors: tuple[LogLine, ...] = ()
    first_error_seq: int = 0
    counts: Mapping[Severity, int] = field(default_factory=dict)
    sources: Mapping[str, int] = field(default_factory=dict)
    """Lines ever received by source."""

    @property
    def total(self) -> int:
        """Entries ever received, drawn or not."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class IncidentInfo:
    """What this incident is about and where it is kept."""

    model: str
    symptom: str
    started_at: float
    folder: str = ""


@dataclass(frozen=True, slots=True)
class StartFailure:
    """Why a session could not start: a message for the operator and the command's exit code."""

    message: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class DraftView:
    """The report draft: its text, a version that rises with each change, and what is safe on disk.

    `applied_edit` is the number of the operator's last edit that is contained in `text`.
    """

    text: str = ""
    version: int = 0
    applied_edit: int = 0
    path: str = ""
    saved_at: float | None = None
    save_error: str = ""
    footnotes: bool = True
    """Figures bear footnotes of their origin."""
    exported_at: float | None = None
    """When page, data, alert rules and test were last written beside it."""
    export_error: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything the screen draws, at one moment."""

    at: float
    number: int
    incident: IncidentInfo
    sources: Mapping[str, SourceHealth] = field(default_factory=dict)
    host: HostState | None = None
    processes: tuple[ProcessState, ...] = ()
    gpus: tuple[GpuDevice, ...] = ()
    pods: tuple[Pod, ...] = ()
    gone: tuple[PodGone, ...] = ()
    """Pods that left while infdiag watched, oldest first; the newest few hundred of them."""
    usage: Mapping[str, PodUsage] = field(default_factory=dict)
    """By `Pod.key`."""
    events: tuple[ClusterEvent, ...] = ()
    latency: tuple[LatencyView, ...] = ()
    by_replica: tuple[LatencyView, ...] = ()
    """The replicas that are probed in turn, by name; each view's target is the pod's key."""
    logs: LogView = LogView()
    signatures: tuple[SignatureSeen, ...] = ()
    """Known lines that were seen in logs and events, the most recent first."""
    series: Mapping[SeriesKey, SeriesView] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    severity: str = ""
    """The incident's severity by the evidence so far: `Critical`, `High`, `Medium`, or empty when nothing is wrong."""
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    guidance: GuidanceView | None = None
    """What to read and what to turn to for the hypothesis at hand; None while there is none."""
    companion: CompanionRun | None = None
    """The companion's command that was run last."""
    draft: DraftView = DraftView()
    checks: tuple[CheckRun, ...] = ()
    """The checks that were asked for, oldest first."""
    offered: tuple[OfferedCheck, ...] | None = None
    """The checks on offer, the symptom's first; None until they are known."""
    clock_set_s: float = 0.0
    """By how much the machine's clock was set since the start; times here go on as if it had not been."""

    def wall(self, at: float) -> float:
        """What the machine's clock says at `at`: to tell the age of what others (the cluster, a file) date."""
        return at + self.clock_set_s

    def steady(self, dated: float) -> float:
        """When by the times here that was which others date `dated`: to lay it beside series and findings."""
        return dated - self.clock_set_s

    def source(self, name: str) -> SourceHealth:
        """The named source's health; one that was not configured is `OFF`."""
        found = self.sources.get(name)
        return found if found is not None else SourceHealth(name, SourceState.OFF, self.at, reason="not configured")

    def outdated_since(self, name: str, at: float | None = None) -> float | None:
        """When what the named source told was last current, if it no longer is; None while it is.

        A source in trouble that goes on telling (a process that is gone, a server that refuses) is current. `at` is the
        time of one thing among those it tells of, which may have grown old by itself.
        """
        health = self.source(name)
        told_at = health.last_data_at
        troubled = health.state in PROBLEM_STATES and health.state is not SourceState.DEGRADED
        if troubled and (told_at is None or told_at < health.since):
            return min((one for one in (told_at, at) if one is not None), default=self.at)
        return at if at is not None and self.at - at > health.stale_after_s else None
