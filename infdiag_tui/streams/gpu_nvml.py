"""This machine's NVIDIA GPUs through NVML: figures every second, Xid events, lost cards, a lost or hung driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from infdiag_tui.config import ModelConfig
from infdiag_tui.model import Heartbeat, Observation, SourceState
from infdiag_tui.streams.base import SourceError, Stream, StreamContext
from infdiag_tui.streams.gpu_samples import samples
from infdiag_tui.streams.threads import SoleThread, StuckCallError
from infdiag_tui.streams.troubles import Trouble, changes

if TYPE_CHECKING:
    from infdiag_tui.streams.nvml_reader import NvmlReader

_T = TypeVar("_T")

OPEN_TIMEOUT_S = 20.0
"""Without persistence mode the driver starts every card anew, which takes seconds on a large machine."""
READ_TIMEOUT_S = 5.0
REOPEN_S = 30.0
"""How often the driver is opened anew while a card is lost: a card that was reset shows up only then."""
RETRY_HUNG_S = 2.0


def build(config: ModelConfig, context: StreamContext) -> Sequence[Stream]:
    """The NVML stream, unless it was switched off, or another source was named and this one was not asked for."""
    asked_for = "nvml" in config.gpu.model_fields_set
    if not config.gpu.nvml or (config.gpu.dcgm_url and not asked_for):
        return []
    return [GpuNvmlStream(config.gpu.interval_s, context, asked_for=asked_for)]


class GpuNvmlStream:
    """A `GpuDevice` with samples for each GPU and MIG instance every `interval_s`.

    All calls into the driver are made on one thread (and waits for Xid events on a second), so that a driver that hangs
    is reported and costs no more threads however often it is retried.

    `asked_for`: the config says `gpu.nvml = true`, so that a machine without a driver is a fault; else it is an
    ordinary place to run infdiag on, and the source is off.
    """

    name = "gpu"

    def __init__(
        self,
        interval_s: float,
        context: StreamContext,
        *,
        asked_for: bool = False,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
        reopen_s: float = REOPEN_S,
    ) -> None:
        self.stale_after_s = max(10.0, 3 * interval_s)
        self._interval_s = interval_s
        self._clock = context.clock
        self._asked_for = asked_for
        self._open_timeout_s = open_timeout_s
        self._read_timeout_s = read_timeout_s
        self._reopen_s = reopen_s
        self._thread = SoleThread("nvml", context.clock.monotonic)
        self._reader: NvmlReader | None = None

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled; raises `SourceError` when there is no driver, or it goes away, or it hangs."""
        told: dict[str, Trouble] = {}
        try:
            reader = await self._call(self._made_reader, self._open_timeout_s)
            while True:
                began = self._clock.monotonic()
                if reader.wants_opening:
                    await self._call(reader.open, self._open_timeout_s)
                devices = await self._call(reader.read, self._read_timeout_s)
                now = self._clock.now()
                troubles = _troubles(reader)
                for status in changes(told, troubles, now):
                    yield status
                told = troubles
                for device in devices:
                    yield device
                    for sample in samples(device):
                        yield sample
                yield Heartbeat(now)
                await asyncio.sleep(max(0.0, self._interval_s - (self._clock.monotonic() - began)))
        finally:
            self._thread.close(last=self._reader.close if self._reader else None)

    def _made_reader(self) -> NvmlReader:
        # The bindings are 8,000 lines: they are imported here, on the thread, and only where GPUs are asked for.
        from infdiag_tui.streams.nvml_reader import NvmlReader

        if self._reader is None:
            clock = self._clock
            self._reader = NvmlReader(clock.now, clock.monotonic, asked_for=self._asked_for, reopen_s=self._reopen_s)
        return self._reader

    async def _call(self, function: Callable[[], _T], timeout_s: float) -> _T:
        try:
            return await self._thread.call(function, timeout_s=timeout_s)
        except StuckCallError as stuck:
            raise SourceError(
                f"the NVIDIA driver does not answer: a call has been waiting for {stuck.waited_s:.0f} s",
                remedy="nvidia-smi probably hangs as well: see `sudo dmesg | grep -E 'NVRM|Xid'`, drain the node",
                retry_after_s=RETRY_HUNG_S,
            ) from stuck


def _troubles(reader: NvmlReader) -> dict[str, Trouble]:
    from infdiag_tui.streams.nvml_calls import LOST_CARD_REMEDY

    troubles = {
        f"GPU {index}": Trouble(SourceState.DEGRADED, f"GPU {index} no longer answers: {reason}", LOST_CARD_REMEDY)
        for index, reason in reader.lost.items()
    }
    if reader.xid_failure:
        troubles["xid"] = Trouble(
            SourceState.DEGRADED,
            f"Xid errors cannot be received: {reader.xid_failure}",
            "read them from the kernel log: `sudo dmesg | grep Xid`",
        )
    return troubles
