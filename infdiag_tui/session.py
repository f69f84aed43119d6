"""One incident without a screen: streams into the hub, evidence from the hub, the draft on disk."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from infdiag_tui.baselines import Baseline, BaselineFile, baseline_path
from infdiag_tui.check_runs import CheckRuns
from infdiag_tui.clock import Clock
from infdiag_tui.findings import Assessor, severity_of
from infdiag_tui.hub.hub import Hub
from infdiag_tui.model import DraftView, Evidence, IncidentInfo, Snapshot, SourceHealth, SourceState, Verdict
from infdiag_tui.report.draft import Draft, built_in_template
from infdiag_tui.report.slots import slot_values
from infdiag_tui.report.writer import DraftFile
from infdiag_tui.streams.base import Stream
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.supervisor import Supervisor
from infdiag_tui.targets import Target

log = logging.getLogger(__name__)

ENGINE = "engine"
"""The source name under which the session itself reports: assessing, filling the draft."""

ASSESS_EVERY_S = 0.5
FILL_EVERY_S = 2.0
SAVE_AFTER_S = 0.3
"""A change is on disk within a second: this pause lets keystrokes gather, the write itself takes milliseconds."""
SAVE_TIMEOUT_S = 5.0
"""From then on a disk that does not answer is named."""

_FINDINGS = (Verdict.WARN, Verdict.FAIL)


class Session:
    """Watches one target and keeps its report.

    Everything but `snapshot` and the constructor belongs to the loop that runs `run`.

    Args:
        target: what to watch.
        streams: its sources.
        folder: the incident's folder, which exists.
        clock: wall and monotonic time.
    """

    def __init__(self, target: Target, streams: Sequence[Stream], folder: Path, clock: Clock) -> None:
        self.target = target
        self.hub = Hub(max_log_lines=target.model.logs.max_lines)
        self._clock = clock
        self._supervisor = Supervisor(streams, self.hub.put, clock)
        self._info = IncidentInfo(target.model_name, target.symptom, clock.now(), str(folder))
        self._file = DraftFile(folder / "report.md")
        # A thread of its own, which does not keep the program from ending: a write to a dead mount never returns.
        self._saver = SoleThread("infdiag draft", clock.monotonic)
        self._draft = Draft(built_in_template())
        self._assessor = Assessor(target.model, target.config.thresholds)
        self._baseline = BaselineFile(baseline_path(target.model_name), clock.monotonic)
        self._evidence: tuple[Evidence, ...] = ()
        self._severity = ""
        self._since: dict[tuple[str, str], float] = {}
        self._assessed_at: float | None = None
        self._defect = ""
        self._snapshots = 0
        self._saved_at: float | None = None
        self._save_error = ""
        self._dirty = asyncio.Event()
        self._checks = CheckRuns(target, folder, clock, self.snapshot)
        self._refill()

    async def run(self) -> None:
        """Watches until cancelled; the draft is on disk when this returns, however it ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervisor.run(), name="supervisor")
                group.create_task(self._keep_assessing(), name="assess")
                group.create_task(self._keep_saving(), name="save")
                group.create_task(self._checks.run(), name="checks")
                group.create_task(self._baseline.follow(self._compare_with), name="baseline")
        finally:
            self._saver.close()
            self.conclude()

    def conclude(self) -> None:
        """Brings findings and draft up to date and saves: the last thing to do before looking at the result."""
        self._assess_guarded()
        self.save_now()

    def snapshot(self) -> Snapshot:
        """The picture of this moment."""
        self._snapshots += 1
        now = self._clock.now()
        return Snapshot(
            at=now,
            number=self._snapshots,
            incident=self._info,
            sources={**self._supervisor.health(now), ENGINE: self._own_health()},
            host=self.hub.host,
            processes=self.hub.processes,
            gpus=self.hub.gpus,
            pods=self.hub.pods,
            gone=self.hub.gone,
            usage=self.hub.usage,
            events=self.hub.events,
            latency=self.hub.latency(now),
            logs=self.hub.logs(),
            series=self.hub.series(),
            evidence=self._evidence,
            severity=self._severity,
            checks=self._checks.runs,
            offered=self._checks.offered,
            draft=DraftView(
                text=self._draft.text,
                version=self._draft.version,
                applied_edit=self._draft.applied_edit,
                path=str(self._file.path),
                saved_at=self._saved_at,
                save_error=self._save_error,
            ),
        )

    def edit_draft(self, text: str, base_version: int, number: int) -> None:
        """Takes the operator's text, made on top of `base_version`; it is on disk within a second."""
        self._draft.edit(text, base_version, number)
        self._dirty.set()

    def offer_checks(self) -> None:
        """From now on `Snapshot.offered` tells which checks can be run."""
        self._checks.offer()

    def start_check(self, run_id: int, name: str, values: Mapping[str, str]) -> None:
        """Starts a check with a form's values; `Snapshot.checks` tells how it goes."""
        self._checks.start(run_id, name, values)

    def confirm_check(self, run_id: int) -> None:
        """The operator agrees to what the run's question says."""
        self._checks.confirm(run_id)

    def cancel_check(self, run_id: int) -> None:
        """Ends a run; what it had written is removed."""
        self._checks.cancel(run_id)

    async def _keep_assessing(self) -> None:
        fill_at = 0.0
        while True:
            await asyncio.sleep(ASSESS_EVERY_S)
            # A fill that failed is due at once: an assessment without one would seem to have mended it.
            due = bool(self._defect) or self._clock.monotonic() >= fill_at
            self._assess_guarded(fill=due)
            if due:
                fill_at = self._clock.monotonic() + FILL_EVERY_S

    def _assess_guarded(self, *, fill: bool = True) -> None:
        """Assesses and fills the draft; a defect there costs the findings, never the collecting or the draft."""
        try:
            self._evidence = self._assess()
            if fill:
                self._refill()
        except Exception as error:
            if not self._defect:
                log.exception("assessing failed")
            self._defect = f"findings are not up to date: {type(error).__name__}: {error}"
        else:
            self._defect = ""
            self._assessed_at = self._clock.now()

    def _own_health(self) -> SourceHealth:
        state = SourceState.LIVE if self._assessed_at is not None else SourceState.STARTING
        return SourceHealth(
            ENGINE,
            SourceState.UNAVAILABLE if self._defect else state,
            self._info.started_at,
            self._assessed_at,
            reason=self._defect,
            remedy="a defect of infdiag: the incident folder's infdiag.log has the details" if self._defect else "",
            stale_after_s=5.0,
        )

    def _assess(self) -> tuple[Evidence, ...]:
        snapshot = self.snapshot()
        observed = self._assessor.assess(snapshot)
        evidence = _newest((*observed, *self._checks.evidence))
        self._severity = severity_of(evidence)
        dated = tuple(self._dated(one, snapshot.at) for one in evidence)
        # While a source is silent its findings are unknown; only one that is over, or whose subject went, is forgotten.
        held = {(one.id, one.subject) for one in evidence if one.verdict is not Verdict.OK}
        self._since = {key: since for key, since in self._since.items() if key in held}
        return dated

    def _compare_with(self, baseline: Baseline) -> None:
        self._assessor.compare_with(baseline.stages_ms, baseline.latency_ms)

    def _dated(self, evidence: Evidence, at: float) -> Evidence:
        """`evidence` with the moment since when it has been a finding, unless it knows that moment itself."""
        if evidence.verdict not in _FINDINGS:
            return evidence
        seen = self._since.setdefault((evidence.id, evidence.subject), at)
        return dataclasses.replace(evidence, since=seen if evidence.since is None else evidence.since)

    def _refill(self) -> None:
        if self._draft.fill(slot_values(self.snapshot())):
            self._dirty.set()

    async def _keep_saving(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(SAVE_AFTER_S)
            self._dirty.clear()
            try:
                save = functools.partial(self._file.save, self._draft.text, self._draft.version)
                await self._saver.call(save, timeout_s=SAVE_TIMEOUT_S)
            except (OSError, StuckCallError) as error:
                self._not_saved(error)
                self._dirty.set()  # tried again after the pause
            else:
                self._note_saved()

    def save_now(self) -> None:
        """Saves the draft before anything else on the way out; blocking, so that nothing can come between."""
        try:
            self._file.save(self._draft.text, self._draft.version)
        except OSError as error:
            self._not_saved(error)
        else:
            self._note_saved()

    def _note_saved(self) -> None:
        self._saved_at, self._save_error = self._clock.now(), ""

    def _not_saved(self, error: OSError | StuckCallError) -> None:
        stuck = isinstance(error, StuckCallError)
        reason = "the disk does not answer" if stuck else getattr(error, "strerror", None) or str(error)
        if reason != self._save_error:
            log.error("the draft could not be saved to %s: %s", self._file.path, reason)
        self._save_error = reason


def _newest(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """The newest of each id and subject, in the order in which they first come."""
    found: dict[tuple[str, str], Evidence] = {}
    for one in evidence:
        held = found.get((one.id, one.subject))
        if held is None or one.at > held.at:
            found[one.id, one.subject] = one
    return tuple(found.values())
