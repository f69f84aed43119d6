"""Draws on a terminal that may stop reading: frames are left out instead of the event loop being held up."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

BACKLOG_FRAMES = 20
"""Unwritten pieces of output from which on frames are left out. Textual's queue blocks the event loop at 30."""

CLOSE_WITHIN_S = 0.5


class PatientDriver(LinuxDriver):
    """Textual's driver, except that a stalled terminal costs frames, not the operator's keystrokes.

    Textual hands output to a thread through a queue that blocks when it is full, and with it every timer and key. Here
    output is dropped once that queue backs up; `caught_up` then tells when a full redraw is due.
    """

    behind = False
    """True once output was left out."""

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
