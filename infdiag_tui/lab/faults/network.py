"""Faults of what lies before and behind the replicas: the gateway, the line to it, the feature store."""

from __future__ import annotations

import asyncio
import signal

from infdiag_tui.lab.front import Line
from infdiag_tui.lab.scenarios import Fault
from infdiag_tui.lab.stage import Stage


class StopGateway:
    """The gateway ends; connections to its port are refused."""

    def __init__(self, fault: Fault) -> None:
        del fault

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        await stage.front.stop()


class SlowLine:
    """Replies arrive later and slower at the clients."""

    def __init__(self, fault: Fault, *, delay_s: float, bytes_per_s: float) -> None:
        del fault
        self._line = Line(delay_s, bytes_per_s)

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        stage.front.line = self._line


class HangStore:
    """The feature store's process stands still most of the time: what is sent to it meanwhile has to wait."""

    def __init__(self, fault: Fault, *, hang_s: float, run_s: float) -> None:
        del fault
        self._hang_s = hang_s
        self._run_s = run_s

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        while True:
            stage.store.signal(signal.SIGSTOP)
            await asyncio.sleep(self._hang_s)
            stage.store.signal(signal.SIGCONT)
            await asyncio.sleep(self._run_s)
