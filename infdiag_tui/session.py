"""One incident without a screen: streams into the hub, evidence from the hub, the draft on disk."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from infdiag_tui import __version__
from infdiag_tui.advice import Advice
from infdiag_tui.auto_checks import AutoChecks
from infdiag_tui.baselines import Baseline, BaselineFile, baseline_path
from infdiag_tui.check_runs import CheckRuns
from infdiag_tui.clock import Clock, set_by_s, steady_time, utc_text
from infdiag_tui.companion_runs import CompanionRuns
from infdiag_tui.diagnosis import diagnose
from infdiag_tui.diagnosis.standing import Standing
from infdiag_tui.findings import Assessor
from infdiag_tui.hub.hub import Hub
from infdiag_tui.knowledge.own import Knowledge, load_knowledge
from infdiag_tui.knowledge.signature_match import matcher
from infdiag_tui.knowledge.signatures import signature_weights
from infdiag_tui.model import Diagnosis, DraftView, Evidence, IncidentInfo, Snapshot, SourceHealth, SourceState, Verdict
from infdiag_tui.remote.way import way_beside
from infdiag_tui.report.conclusions import inert
from infdiag_tui.report.draft import Draft
from infdiag_tui.report.own_template import ReportTemplate, load_template
from infdiag_tui.report.slots import slot_values
from infdiag_tui.report.writer import DraftFile
from infdiag_tui.streams.base import SourceError, Stream, StreamContext
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.supervisor import Supervisor
from infdiag_tui.targets import Target
from infdiag_tui.text import clean

log = logging.getLogger(__name__)

ENGINE = "engine"
"""The source name under which the session itself reports: assessing, filling the draft."""

KNOWLEDGE, TEMPLATE = "knowledge", "report template"
"""The source names under which it tells what of the own files was refused."""

ASSESS_EVERY_S = 0.5
FILL_EVERY_S = 2.0
ADVISE_EVERY_S = 3.0
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
        knowledge: the causes to weigh; default: the built-in ones.
        template: of the report; default: the built-in one.
    """

    def __init__(
        self,
        target: Target,
        streams: Sequence[Stream],
        folder: Path,
        clock: Clock,
        knowledge: Knowledge | None = None,
        template: ReportTemplate | None = None,
    ) -> None:
        self.target = target
        self._knowledge = knowledge or load_knowledge(None, ())
        lines = target.model.logs.max_lines
        self.hub = Hub(max_log_lines=lines, opened_at=clock.now(), steady=lambda dated: steady_time(clock, dated))
        self._clock = clock
        self._supervisor = Supervisor(streams, self.hub.put, clock)
        self._info = IncidentInfo(target.model_name, target.symptom, clock.now(), str(folder))
        self._file = DraftFile(folder / "report.md")
        # A thread of its own, which does not keep the program from ending: a write to a dead mount never returns.
        self._saver = SoleThread("infdiag draft", clock.monotonic)
        self._template = template or load_template(None)
        self._draft = Draft(self._template.text)
        self._footnotes = True
        self._assessor = Assessor(target.model, target.config.thresholds)
        self._baseline = BaselineFile(baseline_path(target.model_name), clock.monotonic)
        self._evidence: tuple[Evidence, ...] = ()
        self._diagnosis = Diagnosis()
        self._since: dict[tuple[str, str], float] = {}
        self._assessed_at: float | None = None
        self._defect = ""
        self._snapshots = 0
        self._saved_at: float | None = None
        self._save_error = ""
        self._standing = Standing()
        self._advice = Advice(target, self._knowledge.guidance, self._saver)
        self._unattended = asyncio.Event()
        self._export_error = ""
        self._exported_at: float | None = None
        self._dirty = asyncio.Event()
        self._checks = CheckRuns(target, folder, clock, self.snapshot)
        self._context = StreamContext(clock=clock, user_agent=f"infdiag/{__version__}")
        self.companions = CompanionRuns(target, self._context)
        self._refill()

    async def run(self) -> None:
        """Watches until cancelled; the draft is on disk when this returns, however it ends."""
        try:
            # Read before the first line comes, and not on this loop, which probes and reads.
            await asyncio.to_thread(matcher)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._supervisor.run(), name="supervisor")
                group.create_task(self._keep_assessing(), name="assess")
                group.create_task(self._keep_saving(), name="save")
                group.create_task(self._checks.run(), name="checks")
                group.create_task(self.companions.run(), name="companions")
                group.create_task(self._check_unattended(), name="unattended checks")
                group.create_task(self._keep_advising(), name="advice")
                group.create_task(self._baseline.follow(self._compare_with), name="baseline")
        finally:
            self._saver.close()
            self.conclude()

    def conclude(self) -> None:
        """Brings findings and draft up to date and saves: the last thing to do before looking at the result."""
        self._assess_guarded()
        self.save_now()
        self.export_now()

    def export_now(self) -> None:
        """Writes what is handed on with the report beside it (blocking); where that fails the draft is still there."""
        self._export(self.snapshot())

    def _export(self, snapshot: Snapshot) -> None:
        # Imports of a tenth of a second, wanted once.
        from infdiag_tui.report.bundle import write_bundle

        try:
            write_bundle(snapshot, self._file.path.parent, self._companions(snapshot))
        except Exception as error:
            log.exception("the report's page and data could not be written")
            self._export_error = f"{type(error).__name__}: {error}"
        else:
            self._export_error, self._exported_at = "", self._clock.now()

    def _companions(self, snapshot: Snapshot) -> dict[str, str]:
        """Files made from the root cause: alert rules and a regression test."""
        from infdiag_tui.report import alerts, regression

        baseline = alerts.read_baseline(baseline_path(self.target.model_name))
        texts = {
            alerts.NAME: alerts.incident_rules(snapshot, self._knowledge.causes, baseline),
            regression.NAME: self._regression_test(snapshot),
        }
        return {name: text for name, text in texts.items() if text}

    def _regression_test(self, snapshot: Snapshot) -> str:
        from infdiag_tui.report.regression import regression_test
        from infdiag_tui.streams.probe.plan import load_plan

        endpoint = self.target.model.endpoint
        if endpoint is None or snapshot.diagnosis.root_cause is None:
            return ""
        try:
            body = load_plan(endpoint, "infdiag").body
        except SourceError as error:
            log.warning("no regression test: %s", error.reason)
            return ""
        return regression_test(snapshot, self.target.model, body, self._knowledge.causes)

    async def export(self) -> None:
        """The same without holding up the loop."""
        try:
            snapshot = self.snapshot()
            await self._saver.call(lambda: self._export(snapshot), timeout_s=SAVE_TIMEOUT_S)
        except StuckCallError as error:
            self._export_error = f"the disk has not answered for {error.waited_s:.0f} s"

    def snapshot(self) -> Snapshot:
        """The picture of this moment."""
        self._snapshots += 1
        now = self._clock.now()
        return Snapshot(
            at=now,
            number=self._snapshots,
            incident=self._info,
            sources={**self._supervisor.health(now), ENGINE: self._own_health(), **self._refusals(now)},
            host=self.hub.host,
            processes=self.hub.processes,
            gpus=self.hub.gpus,
            pods=self.hub.pods,
            gone=self.hub.gone,
            usage=self.hub.usage,
            events=self.hub.events,
            latency=self.hub.latency(now),
            by_replica=self.hub.by_replica(now),
            logs=self.hub.logs(),
            signatures=self.hub.signatures(),
            series=self.hub.series(),
            evidence=self._evidence,
            severity=self._diagnosis.severity,
            diagnosis=self._diagnosis,
            guidance=self._advice.view,
            companion=self.companions.latest,
            clock_set_s=set_by_s(self._clock),
            checks=self._checks.runs,
            offered=self._checks.offered,
            draft=DraftView(
                text=self._draft.text,
                version=self._draft.version,
                applied_edit=self._draft.applied_edit,
                path=str(self._file.path),
                saved_at=self._saved_at,
                save_error=self._save_error,
                footnotes=self._footnotes,
                exported_at=self._exported_at,
                export_error=self._export_error,
            ),
        )

    def edit_draft(self, text: str, base_version: int, number: int) -> None:
        """Takes the operator's text, made on top of `base_version`; it is on disk within a second."""
        self._draft.edit(text, base_version, number)
        self._dirty.set()

    def add_note(self, text: str) -> None:
        """Adds a line to the report's timeline with the present time: a note, or what was pinned."""
        said = inert(clean(text))
        if said:
            self._draft.append(f"- {utc_text(self._clock.now())} {said}")
            self._dirty.set()

    def give_back_line(self, line_number: int) -> None:
        """Lets infdiag fill that line of the draft (from 0) again, if it was its own."""
        if self._draft.give_back(line_number):
            self._dirty.set()

    def show_footnotes(self, *, shown: bool) -> None:
        """Whether the report's figures bear footnotes of their origin."""
        self._footnotes = shown
        self._refill()

    async def look_beside_model(self) -> None:
        """Looks which companion tools are beside the model: runs a command there, which the operator agreed to."""
        await self._advice.look_beside(way_beside(self.target, self._context, self.hub.pods))
        await self._advice.follow(self.snapshot())  # whoever asked is waiting

    def check_by_itself(self) -> None:
        """From now on the read-only checks are run unasked, the most telling first."""
        self._unattended.set()

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

    async def _check_unattended(self) -> None:
        await self._unattended.wait()
        await AutoChecks(self._checks, lambda: self._diagnosis.next_checks, self._clock).run()

    async def _keep_advising(self) -> None:
        while True:
            await asyncio.sleep(ADVISE_EVERY_S)
            await self._advice.follow(self.snapshot())

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
            self._diagnosis = self._diagnose()
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
        state, reason, remedy = SourceState.LIVE, "", ""
        set_s = set_by_s(self._clock)
        if self._assessed_at is None:
            state = SourceState.STARTING
        elif set_s:
            way = "back" if set_s < 0 else "forward"
            state = SourceState.DEGRADED
            reason = f"this machine's clock was set {way} by {abs(set_s):,.0f} s; times here go on by the one before"
            remedy = "ages are right; to have the new time in the report as well, start infdiag anew"
        if self._defect:
            state, reason = SourceState.UNAVAILABLE, self._defect
            remedy = "a defect of infdiag: the incident folder's infdiag.log has the details"
        return SourceHealth(
            ENGINE, state, self._info.started_at, self._assessed_at, reason=reason, remedy=remedy, stale_after_s=5.0
        )

    def _refusals(self, now: float) -> dict[str, SourceHealth]:
        """Why own files (knowledge, template) are not used; empty while there is nothing to tell."""
        told: dict[str, SourceHealth] = {}
        template = (self._template.problem,) if self._template.problem else ()
        for name, problems in ((KNOWLEDGE, self._knowledge.problems), (TEMPLATE, template)):
            if problems:
                more = f" (and {len(problems) - 1} more, in infdiag.log)" if len(problems) > 1 else ""
                reason = problems[0] + more
                told[name] = SourceHealth(name, SourceState.DEGRADED, self._info.started_at, now, reason=reason)
        return told

    def _assess(self) -> tuple[Evidence, ...]:
        snapshot = self.snapshot()
        observed = self._assessor.assess(snapshot)
        evidence = _newest((*observed, *self._checks.evidence))
        dated = tuple(self._dated(one, snapshot.at) for one in evidence)
        # While a source is silent its findings are unknown; only one that is over, or whose subject went, is forgotten.
        held = {(one.id, one.subject) for one in evidence if one.verdict is not Verdict.OK}
        self._since = {key: since for key, since in self._since.items() if key in held}
        return dated

    def _diagnose(self) -> Diagnosis:
        offered = self._checks.offered
        able = None if offered is None else {one.name for one in offered if not one.missing}
        found = diagnose(
            self._evidence,
            self._knowledge.causes,
            self.target.symptom,
            runnable=lambda name: able is None or name in able,
            signatures=signature_weights(),
        )
        return self._standing.dated(found, self._clock.now())

    def _compare_with(self, baseline: Baseline) -> None:
        self._assessor.compare_with(baseline.stages_ms, baseline.latency_ms)

    def _dated(self, evidence: Evidence, at: float) -> Evidence:
        """`evidence` with the moment since when it has been a finding, unless it knows that moment itself."""
        if evidence.verdict not in _FINDINGS:
            return evidence
        seen = self._since.setdefault((evidence.id, evidence.subject), at)
        return dataclasses.replace(evidence, since=seen if evidence.since is None else evidence.since)

    def _refill(self) -> None:
        if self._draft.fill(slot_values(self.snapshot(), footnotes=self._footnotes, known=self._knowledge.causes)):
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
