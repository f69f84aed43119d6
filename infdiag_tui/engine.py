"""Runs a session on a thread and event loop of its own, and hands out immutable snapshots.

A terminal that stalls blocks the screen's loop; whatever happens there, the session here goes on.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from infdiag_tui.exit_codes import USAGE
from infdiag_tui.model import CompanionOffer, Snapshot, StartFailure

if TYPE_CHECKING:
    from infdiag_tui.session import Session

log = logging.getLogger(__name__)

ENGINE_FAILED = 70
"""Exit code of an engine that broke (EX_SOFTWARE of sysexits.h)."""


SETTLED_S = 10.0
"""By then the sources and the checks on offer have imported what they need."""


def _spare_the_collector() -> None:
    """Takes what is loaded by now out of the garbage collector's sight.

    Modules live as long as the program. Walking theirs, a full collection takes 90 ms, in which no thread runs: neither
    is a key answered nor a probe sent.
    """
    gc.freeze()


class Engine:
    """One session on its own thread.

    Args:
        make_session: builds the session; called on the engine's thread, because it imports what is heavy.
        refresh_s: seconds between two snapshots.
    """

    def __init__(self, make_session: Callable[[], Session], *, refresh_s: float = 0.5) -> None:
        self._make_session = make_session
        self._refresh_s = refresh_s
        self._thread = threading.Thread(target=self._main, name="infdiag engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._session: Session | None = None
        self._latest: Snapshot | None = None
        self._failure: StartFailure | None = None
        self._edits = itertools.count(1)
        self._work: set[asyncio.Task[None]] = set()
        self._check_runs = itertools.count(1)
        self._companion_runs = itertools.count(1)
        self._stop_asked = False

    def start(self) -> None:
        """Starts the thread and returns at once."""
        self._thread.start()

    def snapshot(self) -> Snapshot | None:
        """The latest picture, None before the first."""
        return self._latest

    def failure(self) -> StartFailure | None:
        """Why there is no session, if it could not start or broke."""
        return self._failure

    def edit_draft(self, text: str, base_version: int) -> int:
        """Hands over the operator's whole text as edited on top of a draft version; returns the edit's number."""
        number = next(self._edits)
        if self._loop is None:
            return number
        try:
            self._loop.call_soon_threadsafe(self._edit, text, base_version, number)
        except RuntimeError:
            # The loop is closed: on a signal the screen is typed into while the engine ends. Nobody else uses the
            # session any more.
            self._edit(text, base_version, number)
            self._save_last()
        return number

    def add_note(self, text: str) -> None:
        """Adds a line to the report's timeline with the present time."""
        self._ask(lambda session: session.add_note(text))

    def give_back_line(self, line_number: int) -> None:
        """Lets infdiag fill a line of the draft (from 0) again."""
        self._ask(lambda session: session.give_back_line(line_number))

    def show_footnotes(self, *, shown: bool) -> None:
        """Whether the report's figures bear footnotes."""
        self._ask(lambda session: session.show_footnotes(shown=shown))

    def export(self) -> None:
        """Writes page, data, alert rules and test beside the report; `DraftView` tells how that went."""
        self._begin(lambda session: session.export())

    def look_beside_model(self) -> None:
        """Looks which companion tools are beside the model; `GuidanceView.beside` tells how that goes."""
        self._begin(lambda session: session.look_beside_model())

    def _begin(self, work: Callable[[Session], Coroutine[Any, Any, None]]) -> None:
        """Starts what takes a while; nobody waits for it here."""

        def begin(session: Session) -> None:
            task = asyncio.get_running_loop().create_task(work(session))
            self._work.add(task)
            task.add_done_callback(self._work.discard)

        self._ask(begin)

    def start_companion(self, offer: CompanionOffer) -> int:
        """Runs a command that the operator agreed to; returns the id that `Snapshot.companion` bears from then on."""
        run_id = next(self._companion_runs)
        self._ask(lambda session: session.companions.start(run_id, offer))
        return run_id

    def stop_companion(self, run_id: int) -> None:
        """Ends a companion's command."""
        self._ask(lambda session: session.companions.stop(run_id))

    def start_check(self, name: str, values: Mapping[str, str]) -> int:
        """Asks for a check with a form's values; returns the id under which `Snapshot.checks` tells how it goes."""
        run_id = next(self._check_runs)
        self._ask(lambda session: session.start_check(run_id, name, values))
        return run_id

    def confirm_check(self, run_id: int) -> None:
        """Agrees to what a check that asks first is about to do."""
        self._ask(lambda session: session.confirm_check(run_id))

    def cancel_check(self, run_id: int) -> None:
        """Ends a check."""
        self._ask(lambda session: session.cancel_check(run_id))

    def stop(self, timeout_s: float) -> bool:
        """Saves the draft and ends everything; True if it ended within `timeout_s`. May be called again."""
        self._stop_asked = True
        if self._thread.ident is None:
            return True
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # it ended in between
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _ask(self, wish: Callable[[Session], None]) -> None:
        """Has the session do something on its own thread; without one, or while it ends, nothing is begun."""

        def do() -> None:
            if self._session is not None:
                wish(self._session)
                self._latest = self._session.snapshot()

        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(do)

    def _edit(self, text: str, base_version: int, number: int) -> None:
        if self._session is not None:
            self._session.edit_draft(text, base_version, number)
            self._latest = self._session.snapshot()

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:
            log.exception("the engine failed")
            self._failure = StartFailure(f"infdiag's engine failed: {type(error).__name__}: {error}", ENGINE_FAILED)
        finally:
            # What came in after the session had concluded.
            self._save_last()

    def _save_last(self) -> None:
        if self._session is not None:
            self._session.save_now()
            self._latest = self._session.snapshot()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        from infdiag_tui.config.load import ConfigError

        try:
            session = self._make_session()
        except ConfigError as error:
            self._failure = StartFailure(str(error), USAGE)
            return
        self._session = session
        _spare_the_collector()
        session.offer_checks()
        self._latest = session.snapshot()
        running = asyncio.create_task(session.run(), name="session")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        if self._stop_asked:
            self._stop.set()
        settled = asyncio.get_running_loop().call_later(SETTLED_S, _spare_the_collector)
        while not (running.done() or stopping.done()):
            await asyncio.wait({running, stopping}, timeout=self._refresh_s, return_when=asyncio.FIRST_COMPLETED)
            self._latest = session.snapshot()
        settled.cancel()
        session.save_now()
        stopping.cancel()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
