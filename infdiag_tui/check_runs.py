"""The checks of one incident: what is on offer, and those that run, side by side, each a task that can be cancelled."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from checks.base import Check, Params
from checks.registry import all_checks
from checks.running import run_check
from infdiag_tui.check_config import configured
from infdiag_tui.check_context import check_context, looking_context
from infdiag_tui.check_form import FormError, read_form
from infdiag_tui.check_offer import offer
from infdiag_tui.clock import Clock
from infdiag_tui.model import (
    CheckResult,
    CheckRun,
    CheckStatus,
    Evidence,
    Impact,
    OfferedCheck,
    Progress,
    RunState,
    Snapshot,
)
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.targets import Target
from infdiag_tui.text import clean, one_line

log = logging.getLogger(__name__)

OFFER_EVERY_S = 10.0
"""How often is looked whether a check lacks something: files come and go, and so do pods."""
DISK_TIMEOUT_S = 10.0
END_WITHIN_S = 3.0
"""Checks that take longer to end are left behind when the program ends."""
KEPT = 30
"""Ended runs that are remembered; the evidence of all is kept."""
_SENTENCE = 1000


class CheckRuns:
    """Offers and runs checks. All but the constructor belongs to the loop that runs `run`.

    Args:
        target: what the incident is about.
        folder: the incident's folder; each run's artifacts get a folder of their own in it.
        clock: wall and monotonic time.
        picture: the incident as observed so far, for checks that look at it.
    """

    def __init__(self, target: Target, folder: Path, clock: Clock, picture: Callable[[], Snapshot]) -> None:
        self._target = target
        self._folder = folder
        self._clock = clock
        self._picture = picture
        self._thread = SoleThread("infdiag checks", clock.monotonic)
        self._runs: dict[int, CheckRun] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._consents: dict[int, asyncio.Event] = {}
        self._evidence: dict[tuple[str, str], Evidence] = {}
        self._over = False
        self._wanted = asyncio.Event()
        self._known = asyncio.Event()
        self.offered: tuple[OfferedCheck, ...] | None = None
        """The checks on offer; None until they are known."""

    @property
    def runs(self) -> tuple[CheckRun, ...]:
        """What was asked for, oldest first."""
        return tuple(self._runs.values())

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What the checks found, the newest of each id and subject."""
        return tuple(self._evidence.values())

    async def run(self) -> None:
        """Keeps the offer, once wanted, up to date until cancelled; then every check is cancelled, too."""
        try:
            await self._wanted.wait()
            while True:
                await self._look()
                await asyncio.sleep(OFFER_EVERY_S)
        finally:
            self._over = True
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                _, left = await asyncio.wait(self._tasks.values(), timeout=END_WITHIN_S)
                for task in left:
                    log.error("%s did not end within %.0f s", task.get_name(), END_WITHIN_S)
            self._thread.close()

    def offer(self) -> None:
        """From now on `offered` is kept up to date; where nobody looks, the checks need not be imported."""
        self._wanted.set()

    async def offer_known(self) -> None:
        """Returns once `offered` is known."""
        await self._known.wait()

    async def ended(self, run_id: int) -> None:
        """Returns once a run has ended, in whatever way."""
        task = self._tasks.get(run_id)
        if task is not None:
            await asyncio.wait({task})

    def start(self, run_id: int, name: str, values: Mapping[str, str]) -> None:
        """Starts a check with a form's values; what is wrong with them becomes the run's `problems`."""
        if self._over:
            return
        title = next((one.title for one in self.offered or () if one.name == name), name)
        self._runs[run_id] = CheckRun(run_id, name, title, RunState.STARTING, self._clock.now())
        task = asyncio.create_task(self._supervised(run_id, name, dict(values)), name=f"check {name}")
        self._tasks[run_id] = task
        task.add_done_callback(lambda _: self._forget(run_id))

    def confirm(self, run_id: int) -> None:
        """The operator agrees to what the run's `question` says."""
        consent = self._consents.get(run_id)
        if consent is not None:
            consent.set()

    def cancel(self, run_id: int) -> None:
        """Ends a run; one that has ended stays as it is."""
        task = self._tasks.get(run_id)
        if task is not None and self._runs[run_id].is_open:
            self._update(run_id, progress=Progress("stopping"))
            task.cancel()

    async def drop(self, run_id: int) -> None:
        """Forgets an ended run and removes its files: a newer one took its place. Its evidence stays until replaced."""
        run = self._runs.get(run_id)
        if run is not None and not run.is_open:
            del self._runs[run_id]
            await self._tidy(self._folder / "checks" / f"{run_id:02d}-{run.name}", everything=True)

    async def _look(self) -> None:
        picture = self._picture()
        try:
            self.offered = await self._thread.call(lambda: self._offer(picture), timeout_s=DISK_TIMEOUT_S)
            self._known.set()
        except StuckCallError as error:
            log.warning("the checks on offer may be out of date: %s", error)
        except Exception:
            # A check of another package may fail in any way; the incident goes on.
            log.exception("the checks on offer cannot be told")

    def _offer(self, picture: Snapshot) -> tuple[OfferedCheck, ...]:
        return offer(all_checks().values(), self._target, looking_context(self._target, self._folder, picture))

    async def _supervised(self, run_id: int, name: str, values: Mapping[str, str]) -> None:
        place = self._folder / "checks" / f"{run_id:02d}-{name}"
        try:
            await self._carry_out(run_id, name, values, place)
        except asyncio.CancelledError:
            cut_short = self._runs[run_id].is_open
            if cut_short:
                self._update(run_id, state=RunState.CANCELLED, ended_at=self._clock.now())
            await self._tidy(place, everything=cut_short)
            raise
        except Exception as error:
            known = isinstance(error, OSError | StuckCallError)
            if not known:
                log.exception("check %s failed", name)
            words = f"its folder {place} cannot be used: {error}" if known else f"{type(error).__name__}: {error}"
            self._end(run_id, CheckResult(name, CheckStatus.ERROR, words, self._clock.now(), 0.0))
        await self._tidy(place, everything=False)

    async def _carry_out(self, run_id: int, name: str, values: Mapping[str, str], place: Path) -> None:
        check = (await self._thread.call(all_checks, timeout_s=DISK_TIMEOUT_S)).get(name)
        if check is None:
            self._refuse(run_id, {"": f"There is no check {name!r}."})
            return
        try:
            params = read_form(check.params, configured(check, self._target), values)
        except FormError as error:
            self._refuse(run_id, error.problems)
            return
        known = looking_context(self._target, self._folder, self._picture())
        missing = await self._thread.call(lambda: check.missing(params, known), timeout_s=DISK_TIMEOUT_S)
        if missing:
            self._refuse(run_id, {"": missing})
            return
        self._update(run_id, state=RunState.RUNNING)
        await self._thread.call(lambda: _make(place), timeout_s=DISK_TIMEOUT_S)

        def report(progress: Progress) -> None:
            if self._runs[run_id].state is RunState.RUNNING:
                self._update(run_id, progress=dataclasses.replace(progress, text=one_line(clean(progress.text))))

        def say(text: str) -> None:
            self._update(run_id, notes=(*self._runs[run_id].notes, one_line(clean(text), _SENTENCE)))

        async with check_context(self._target, place, report, confirmed=False, watch_s=0.0, say=say) as bare:
            context = dataclasses.replace(bare, snapshot=self._picture())
            asks = check.impact_of(params) is not Impact.READ_ONLY
            # What has just come to be missing is the result's to say; there is nothing to agree to.
            if asks and not await self._thread.call(lambda: check.missing(params, context), timeout_s=DISK_TIMEOUT_S):
                await self._ask(run_id, check, params, check.announce(params, context))
            self._end(run_id, await run_check(check, params, dataclasses.replace(context, confirmed=asks)))

    async def _ask(self, run_id: int, check: Check[Any], params: Params, question: str) -> None:
        """Returns once the operator agreed; declining cancels the run."""
        self._consents[run_id] = asyncio.Event()
        words = one_line(clean(question), 2 * _SENTENCE)
        impact = check.impact_of(params)
        self._update(run_id, state=RunState.ASKING, question=words, impact=impact, progress=Progress("asks first"))
        await self._consents[run_id].wait()
        self._update(run_id, state=RunState.RUNNING, progress=Progress("starting"))

    def _refuse(self, run_id: int, problems: Mapping[str, str]) -> None:
        said = {name: one_line(clean(text), _SENTENCE) for name, text in problems.items()}
        self._update(run_id, state=RunState.INVALID, problems=said, ended_at=self._clock.now())

    def _end(self, run_id: int, result: CheckResult) -> None:
        evidence = tuple(
            dataclasses.replace(one, statement=one_line(clean(one.statement), _SENTENCE)) for one in result.evidence
        )
        result = dataclasses.replace(result, summary=one_line(clean(result.summary), _SENTENCE), evidence=evidence)
        for one in evidence:
            held = self._evidence.get((one.id, one.subject))
            if held is None or one.at >= held.at:
                self._evidence[one.id, one.subject] = one
        self._update(run_id, state=RunState.DONE, result=result, ended_at=self._clock.now())

    def _update(self, run_id: int, **changes: Any) -> None:
        self._runs[run_id] = dataclasses.replace(self._runs[run_id], **changes)

    def _forget(self, run_id: int) -> None:
        """Drops what only a run under way needs, and runs beyond those that are remembered."""
        del self._tasks[run_id]
        self._consents.pop(run_id, None)
        run = self._runs[run_id]
        if run.is_open:  # cancelled before it began
            self._update(run_id, state=RunState.CANCELLED, ended_at=self._clock.now())
        for old in [one.id for one in self._runs.values() if not one.is_open][:-KEPT]:
            del self._runs[old]

    async def _tidy(self, place: Path, *, everything: bool) -> None:
        """Removes a run's folder: whatever is in it, or only if nothing is."""
        try:
            await self._thread.call(lambda: _remove(place, everything=everything), timeout_s=DISK_TIMEOUT_S)
        except (OSError, StuckCallError) as error:
            log.warning("%s cannot be removed: %s", place, error)


def _make(place: Path) -> None:
    place.parent.mkdir(exist_ok=True, mode=0o700)
    place.mkdir(exist_ok=True, mode=0o700)


def _remove(place: Path, *, everything: bool) -> None:
    if not place.is_dir():
        return
    if everything:
        shutil.rmtree(place)
    elif not any(place.iterdir()):
        place.rmdir()
    if not place.is_dir() and not any(place.parent.iterdir()):
        place.parent.rmdir()
