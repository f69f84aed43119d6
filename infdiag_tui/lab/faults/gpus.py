"""Faults of the GPUs, at their drivers' and the exporter's face."""

from __future__ import annotations

import asyncio
import random

from infdiag_tui.lab.devicefile import RESERVED_MIB, TOTAL_MIB
from infdiag_tui.lab.scenarios import Fault
from infdiag_tui.lab.stage import Stage

_REPLICA_MIB = 3_380.0
_BREATH_S = 1.0


class Overheat:
    """The cards grow hot and their driver cuts the clocks; kernels take as much longer."""

    def __init__(self, fault: Fault, *, clock_share: float, heat_c: float) -> None:
        self._fault = fault
        self._share = clock_share
        self._heat_c = heat_c

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        for card in stage.cards(self._fault):
            card.speed, card.heat_c = self._share, self._heat_c
        stage.gpus.step(0.1)


class BreakGpu:
    """The card reports an uncorrectable memory error; whoever computes on it loses its context, again and again."""

    def __init__(self, fault: Fault, *, xid: int, break_every_s: float) -> None:
        self._fault = fault
        self._xid = xid
        self._every_s = break_every_s

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        while True:
            for card in stage.cards(self._fault):
                card.xid = self._xid
                card.ecc_errors += 1
                card.faults += 1
            stage.gpus.step(0.1)
            await asyncio.sleep(self._every_s)


class FillMemory:
    """Another process holds nearly all of the cards' memory, now more, now less."""

    def __init__(self, fault: Fault, *, free_mib_min: float, free_mib_max: float) -> None:
        self._fault = fault
        self._bounds_mib = (free_mib_min, free_mib_max)

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        draw = random.Random(0)
        while True:
            for card in stage.cards(self._fault):
                free_mib = draw.uniform(*self._bounds_mib)
                card.foreign_mib = TOTAL_MIB - RESERVED_MIB - _REPLICA_MIB - free_mib
            stage.gpus.step(0.1)
            await asyncio.sleep(_BREATH_S)
