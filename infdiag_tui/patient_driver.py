"""Draws on a terminal that may stop reading: frames are left out instead of the event loop being held up."""

from __future__ import annotations

import os
import selectors

from textual.drivers.linux_driver import LinuxDriver

from infdiag_tui.terminal_input import TerminalInput

BACKLOG_FRAMES = 20
"""Unwritten pieces of output from which on frames are left out. Textual's queue blocks the event loop at 30."""

CLOSE_WITHIN_S = 0.5
_READ_BYTES = 4096
_TICK_S = 0.1


class PatientDriver(LinuxDriver):
    """Textual's driver, except that a stalled terminal costs frames, not the operator's keystrokes.

    Textual hands output to a thread through a queue that blocks when it is full, and with it every timer and key. Here
    output is dropped once that queue backs up; `caught_up` then tells when a full redraw is due.
    """

    behind = False
    """True once output was left out."""

    def _get_terminal_size(self) -> tuple[int, int]:
        """The terminal's own word; a COLUMNS that some shell exported long ago would never follow a resize."""
        for number in (self.fileno, 1, 2):
            try:
                width, height = os.get_terminal_size(number)
            except OSError:
                continue
            if width and height:
                return width, height
        return super()._get_terminal_size()

    def run_input_thread(self) -> None:
        """Reads keys, mouse and pastes until the application ends or the terminal is gone."""
        terminal = TerminalInput(debug=self._debug)
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            last = False
            while not last:
                last = self.exit_event.is_set()  # then once more, for what the terminal still answers
                if selector.select(_TICK_S):
                    try:
                        data = os.read(self.fileno, _READ_BYTES)
                    except OSError:
                        return  # hung up: `Ending` saves and ends the program
                    if not data:
                        return
                    for message in terminal.feed(data):
                        self.process_message(message)
                for message in terminal.tick():
                    self.process_message(message)

    def write(self, data: str) -> None:
        """Queues `data`, or leaves it out while the terminal does not read."""
        writer = self._writer_thread
        if writer is None:
            return
        if self.behind or writer._queue.qsize() >= BACKLOG_FRAMES:  # noqa: SLF001 - Textual has no public length
            self.behind = True
            return
        writer.write(data)

    def caught_up(self) -> bool:
        """True once, when a terminal that was behind has read everything: it then needs a full redraw."""
        writer = self._writer_thread
        if not self.behind or writer is None or writer._queue.qsize():  # noqa: SLF001 - as above
            return False
        self.behind = False
        return True

    def close(self) -> None:
        """Ends the output thread, unless it still waits for a terminal that does not read."""
        writer = self._writer_thread
        if writer is None:
            return
        if self.behind and not self.caught_up():
            return
        writer._queue.put_nowait(None)  # noqa: SLF001 - its own stop() would wait for ever
        writer.join(CLOSE_WITHIN_S)
        self.behind = writer.is_alive()
