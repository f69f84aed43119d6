"""A companion's command as it runs, here or beside the model: one at a time, bounded, ended with the session."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time

from checks.base import CheckError
from infdiag_tui.companions.running import MOST_BYTES, TIME_LIMIT_S, Ran, run_line
from infdiag_tui.model import CommandBeside, CompanionOffer, CompanionRun
from infdiag_tui.remote.way import way_of
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.targets import Target
from infdiag_tui.text import clean, one_line

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # what was run is worth a line in the incident's log

END_WITHIN_S = 1.5
"""The program ends within two seconds of a signal."""


class CompanionRuns:
    """Runs what the operator agreed to. Belongs to the session's loop.

    Args:
        target: what the incident is about.
        context: clock and user agent.
    """

    def __init__(self, target: Target, context: StreamContext) -> None:
        self._target = target
        self._context = context
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._over = False
        self.latest: CompanionRun | None = None
        """The command that was started last."""

    async def run(self) -> None:
        """Waits until cancelled; then whatever runs is ended."""
        try:
            await asyncio.Event().wait()
        finally:
            self._over = True
            for task in self._tasks.values():
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks.values(), timeout=END_WITHIN_S)

    def start(self, run_id: int, offer: CompanionOffer) -> None:
        """Runs a command; one that still runs is ended."""
        if self._over:
            return
        for task in self._tasks.values():
            task.cancel()
        self.latest = CompanionRun(run_id)
        task = asyncio.create_task(self._carry_out(run_id, offer), name=f"companion {offer.tool}")
        self._tasks[run_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(run_id))

    def stop(self, run_id: int) -> None:
        """Ends a command, if it still runs."""
        if run_id in self._tasks:
            self._tasks[run_id].cancel()

    async def _carry_out(self, run_id: int, offer: CompanionOffer) -> None:
        began = time.monotonic()
        try:
            if offer.beside is not None:
                ran = await self._run_beside(offer.beside)
            else:
                log.info("running on this machine: %s", one_line(clean(offer.command)))
                ran = await run_line(offer.command, lambda text: self._update(run_id, text=text))
        except asyncio.CancelledError:
            self._update(run_id, ending=f"stopped after {time.monotonic() - began:.1f} s")
            raise
        except OSError as error:
            ran = Ran(f"It cannot be started: {error.strerror}", None, time.monotonic() - began)
        self._update(run_id, text=ran.text, ending=ran.ending)

    async def _run_beside(self, command: CommandBeside) -> Ran:
        began = time.monotonic()
        remote = way_of(command, self._target, self._context, MOST_BYTES)
        if remote is None:
            return Ran(f"There is no way to run it {command.where}.", None, 0.0)
        try:
            code, stdout, stderr = await remote.run(command.argv, timeout_s=TIME_LIMIT_S)
        except CheckError as error:
            return Ran(clean(str(error)), None, time.monotonic() - began)
        finally:
            await remote.aclose()
        parts = [clean(part.decode("utf-8", "replace")) for part in (stdout, stderr) if part]
        said = "".join(part if part.endswith("\n") else f"{part}\n" for part in parts)
        return Ran(said, code, time.monotonic() - began)

    def _update(self, run_id: int, *, text: str | None = None, ending: str = "") -> None:
        """Tells of a run, unless another was started since."""
        latest = self.latest
        if latest is not None and latest.id == run_id:
            self.latest = dataclasses.replace(latest, text=latest.text if text is None else text, ending=ending)
