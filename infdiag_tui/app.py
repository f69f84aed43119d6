"""The console: a Textual application over an engine, and the way in and out of it."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App, SystemCommand
from textual.await_complete import AwaitComplete
from textual.screen import Screen

from infdiag_tui.actions import in_palette, key_names
from infdiag_tui.clock import Clock, SystemClock
from infdiag_tui.ending import Ending
from infdiag_tui.model import StartFailure
from infdiag_tui.screens.port import EnginePort
from infdiag_tui.screens.triage import TriageScreen
from infdiag_tui.terminal import TerminalState, few_colours, silence_output

if TYPE_CHECKING:
    from textual.actions import ActionParseResult
    from textual.dom import DOMNode
    from textual.driver import Driver
    from textual.notifications import SeverityLevel

log = logging.getLogger(__name__)

SCREEN_FAILED = 70
"""Exit code when the console broke (EX_SOFTWARE of sysexits.h)."""

STOP_WITHIN_S = 5.0


class InfdiagApp(App[None]):
    """The console.

    Args:
        engine: runs the session; started after the first frame, not stopped here.
        title: what the incident is about, for the first frames.
        refresh_s: seconds between two redraws.
        ascii_only: draw with ASCII signs only.
        clock: what time it is.
        driver_class: how the terminal is driven; None: a driver that a stalled terminal cannot hold up.
    """

    # The default screen's own CSS_PATH is not read by Textual.
    CSS_PATH = "screens/triage.tcss"
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        engine: EnginePort,
        *,
        title: str,
        refresh_s: float = 0.5,
        ascii_only: bool = False,
        clock: Clock | None = None,
        driver_class: type[Driver] | None = None,
    ) -> None:
        # Without colours, too: Textual would turn the RGB theme's red into a grey that is darker than plain text. It
        # chooses its filters while the app is made, so the theme alone would come too late.
        few = few_colours(os.environ) or "NO_COLOR" in os.environ
        self._own_colours = few and not os.environ.get("TEXTUAL_THEME")
        super().__init__(driver_class=driver_class, ansi_color=True if self._own_colours else None)
        self.title = title or "infdiag"
        self._engine = engine
        self._clock = clock or SystemClock()
        self._refresh_s = refresh_s
        self._ascii_only = ascii_only
        self.triage: TriageScreen | None = None
        self.start_failure: StartFailure | None = None
        """Why there is no session, once the engine said so."""
        self.defect: BaseException | None = None
        """What broke the screen."""

    def get_default_screen(self) -> Screen[None]:
        """The triage screen."""
        self.triage = TriageScreen(
            self._engine,
            self._clock,
            title=self.title,
            refresh_s=self._refresh_s,
            ascii_only=self._ascii_only,
            on_failure=self._engine_failed,
        )
        return self.triage

    def on_mount(self) -> None:
        """Colours by what the terminal can show."""
        if self._own_colours:
            self.theme = "ansi-dark"
        self.set_interval(0.5, self._redraw_after_stall)

    def get_system_commands(self, screen: Screen[None]) -> Iterable[SystemCommand]:
        """The palette's commands, from the table of actions."""
        for action in in_palette():
            owner, _, call = action.target.partition(".")
            if owner == "screen" and not hasattr(screen, f"action_{call.partition('(')[0]}"):
                continue
            help_text = f"{action.help} ({key_names(action)})"
            yield SystemCommand(action.title, help_text, partial(self._run_command, action.target, screen))
        yield SystemCommand("Theme", "Chooses other colours.", self.action_change_theme)

    async def _run_command(self, target: str, screen: Screen[None]) -> None:
        await self.run_action(target, default_namespace=screen)

    async def action_quit(self) -> None:
        """Sends the last keystrokes and leaves."""
        self.flush()
        self.exit()

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Runs what a key stands for; one that fails says so and leaves the console at work.

        Textual's own lists fail on a page key that comes before their first layout, for instance.
        """
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except Exception as error:
            log.exception("action %s failed", action)
            text = (
                f"That did not work: a defect ({type(error).__name__}). Watching goes on; infdiag.log has the details."
            )
            self.notify(text, severity="error", timeout=15)
            return True

    def action_help_quit(self) -> None:
        """Ctrl+C, which does not quit: says what does. Textual's own words are markup, which is not read here."""
        self.notify("Press q to quit; while you type, ctrl+q.")

    def pop_screen(self) -> AwaitComplete:
        """Goes back to the screen below, if there is one.

        Textual's palette closes itself anew for each click beside it that waits behind the one which closed it, as the
        second of a double click does; without a screen left to close that would end the console.
        """
        if len(self.screen_stack) > 1:
            return super().pop_screen()
        done: AwaitComplete = AwaitComplete.nothing()  # type: ignore[no-untyped-call] # not annotated by Textual
        return done

    def flush(self) -> None:
        """Sends the engine what was typed in the last moment."""
        if self.triage is not None and self.triage.is_mounted:
            self.triage.flush()

    def leave_from_thread(self) -> None:
        """Asks for the exit from any thread, without waiting for it."""
        loop = self._loop
        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(self.exit)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Shows a message, once: a repetition of one that is still shown is left out."""
        if any(shown.message == message and not shown.has_expired for shown in self._notifications):
            return
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    @property
    def output_lost(self) -> bool:
        """True when the terminal has not read what was drawn last, the way out included."""
        from infdiag_tui.patient_driver import PatientDriver

        return isinstance(self._driver, PatientDriver) and self._driver.behind

    def _redraw_after_stall(self) -> None:
        from infdiag_tui.patient_driver import PatientDriver

        if isinstance(self._driver, PatientDriver) and self._driver.caught_up():
            self.refresh(layout=True)

    def _engine_failed(self) -> None:
        self.start_failure = self._engine.failure()
        self.exit()

    def _fatal_error(self) -> None:
        """Instead of Textual's wall of traceback: keep it for the log, and leave."""
        self.defect = sys.exc_info()[1]
        log.critical("the screen failed", exc_info=self.defect)
        self._close_messages_no_wait()


def run_console(
    engine: EnginePort,
    *,
    title: str,
    refresh_s: float = 0.5,
    ascii_only: bool = False,
    mouse: bool = True,
    say: Callable[[str], None] | None = None,
) -> int:
    """Runs the console in this terminal until the operator quits; `require_terminal` comes first.

    Args:
        engine: not yet started; stopped when this returns.
        title: what the incident is about.
        refresh_s: seconds between two redraws.
        ascii_only: draw with ASCII signs only.
        mouse: react to the mouse.
        say: prints a line for the operator after the screen is gone; default: standard error.

    Returns:
        The command's exit code. On SIGHUP, SIGTERM or a lost terminal it does not return: the process ends.
    """
    tell = say or _say
    if not logging.getLogger().handlers:
        # Python's last resort would log onto the screen, and wait for a terminal that does not read.
        logging.getLogger().addHandler(logging.NullHandler())
    driver_class = None
    if not os.environ.get("TEXTUAL_DRIVER"):
        from infdiag_tui.patient_driver import PatientDriver

        driver_class = PatientDriver
    app = InfdiagApp(engine, title=title, refresh_s=refresh_s, ascii_only=ascii_only, driver_class=driver_class)
    terminal = TerminalState(sys.stdin.fileno(), sys.stderr.fileno())

    def restore(message: str, left: bool) -> None:
        in_order = left and not app.output_lost
        if not in_order:
            silence_output()
        terminal.restore(message, leave_screen=not in_order)

    stopped = False
    with Ending(
        save=engine.stop,
        leave=app.leave_from_thread,
        restore=restore,
        terminal_fd=sys.stdin.fileno(),
    ):
        try:
            app.run(mouse=mouse)
        except Exception as error:
            app.defect = error
            log.critical("the screen failed", exc_info=error)
        finally:
            stopped = engine.stop(STOP_WITHIN_S)
            terminal.restore(leave_screen=app.defect is not None or app.output_lost)
    return _farewell(engine, app, tell, stopped=stopped)


def _farewell(engine: EnginePort, app: InfdiagApp, tell: Callable[[str], None], *, stopped: bool) -> int:
    failure = app.start_failure or engine.failure()
    snapshot = engine.snapshot()
    where = ""
    if snapshot is not None and snapshot.draft.path:
        where = f"The report draft is in {snapshot.draft.path}."
        if snapshot.draft.save_error:
            where = f"The report draft could NOT be saved to {snapshot.draft.path}: {snapshot.draft.save_error}."
    if app.defect is not None:
        details = f"{Path(snapshot.incident.folder) / 'infdiag.log'}" if snapshot and snapshot.incident.folder else ""
        summary = f"infdiag's screen failed ({type(app.defect).__name__}: {app.defect})."
        tell(" ".join(part for part in (summary, where, f"Details: {details}." if details else "") if part))
        if not details:
            tell("".join(traceback.format_exception(app.defect)).rstrip())
        return SCREEN_FAILED
    if failure is not None:
        tell(failure.message)
        if where:
            tell(where)
        return failure.exit_code
    if not stopped:
        tell("infdiag's engine did not stop in time; what it wrote last may be missing.")
    if where:
        tell(where)
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
