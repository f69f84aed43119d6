"""A companion's command as it runs, here or beside the model: one at a time, bounded, ended with the session."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from typing import Any

from checks.base import CheckError
from infdiag_tui.companions.output import MOST_BYTES, Heard
from infdiag_tui.companions.running import TIME_LIMIT_S, run_here
from infdiag_tui.model import CommandBeside, CompanionOffer, CompanionRun
from infdiag_tui.remote.output import TooMuchError
from infdiag_tui.remote.way import way_of
from infdiag_tui.streams.base import StreamContext
from infdiag_tui.targets import Target
from infdiag_tui.text import clean, one_line

log = logging.getLogger(__name__)
log.setLevel(logging.INFO)  # what was run is worth a line in the incident's log

END_WITHIN_S = 1.5
"""The program ends within two seconds of a signal."""
_LONGEST_REASON = 600


class CompanionRuns:
    """Runs what the operator agreed to. Belongs to the session's loop.

    Args:
        target: what the incident is about.
        context: clock and user agent.
        time_limit_s: a command is ended after so long.
    """

    def __init__(self, target: Target, context: StreamContext, time_limit_s: float = TIME_LIMIT_S) -> None:
        self._target = target
        self._context = context
        self._time_limit_s = time_limit_s
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
        if self._over or offer.interactive or not (offer.argv or offer.beside):
            return
        for task in self._tasks.values():
            task.cancel()
        self.latest = CompanionRun(run_id)
        task = asyncio.create_task(self._carry_out(run_id, offer), name=f"companion {offer.tool}")
        self._tasks[run_id] = task
        task.add_done_callback(lambda _: self._forget(run_id))

    def stop(self, run_id: int) -> None:
        """Ends a command, once, if it still runs."""
        task = self._tasks.get(run_id)
        if task is not None and not task.cancelling():
            task.cancel()

    def _forget(self, run_id: int) -> None:
        del self._tasks[run_id]
        if self.latest is not None and not self.latest.ending:  # stopped before it began
            self._update(run_id, ending="stopped")

    async def _carry_out(self, run_id: int, offer: CompanionOffer) -> None:
        began = time.monotonic()
        heard = Heard(lambda text: self._update(run_id, text=text))
        how, why = "no exit code", ""
        try:
            code = await (
                self._run_here(offer, heard) if offer.beside is None else self._run_beside(offer.beside, heard)
            )
            how = f"exit code {code}"
        except asyncio.CancelledError:
            how = "stopped"
            raise
        except TimeoutError:
            how, why = "stopped", ", its time limit"
        except TooMuchError:
            how, why = "stopped", f": it wrote more than {MOST_BYTES:,} bytes"
        except CheckError as error:
            why = f": {one_line(clean(str(error)), _LONGEST_REASON)}"
        except OSError as error:
            why = f": it cannot be started: {error.strerror or error}"
        except Exception as error:
            log.exception("companion %s failed", offer.tool)
            why = f": a defect of infdiag ({type(error).__name__}), whose log has the details"
        finally:
            heard.end()
            self._update(run_id, ending=f"{how} after {time.monotonic() - began:.1f} s{why}")

    async def _run_here(self, offer: CompanionOffer, heard: Heard) -> int:
        log.info("running on this machine: %s", one_line(offer.command, _LONGEST_REASON))
        return await run_here(offer.argv, lambda data: heard.take("output", data), self._time_limit_s)

    async def _run_beside(self, command: CommandBeside, heard: Heard) -> int:
        remote = way_of(command, self._target, self._context, MOST_BYTES)
        if remote is None:
            raise CheckError(f"there is no way to run it {command.where}")
        try:
            code, _, complaint = await remote.run(command.argv, timeout_s=self._time_limit_s, hear=heard.take)
            if not heard.begun:  # what the node said in place of a program that is not there
                heard.take("stderr", complaint)
        finally:
            await remote.aclose()
        return code

    def _update(self, run_id: int, **changes: Any) -> None:
        """Tells of a run, unless another was started since."""
        latest = self.latest
        if latest is not None and latest.id == run_id:
            self.latest = dataclasses.replace(latest, **changes)
