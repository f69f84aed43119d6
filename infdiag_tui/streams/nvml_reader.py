"""An open NVML session: the machine's cards, their last figures, and what became of cards that no longer answer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace

import pynvml

from infdiag_tui.model import GpuDevice
from infdiag_tui.streams.nvml_calls import (
    CardLostError,
    driver_lost,
    error_text,
    is_driver_lost,
    no_card_opens,
    no_gpu,
    start_failure,
)
from infdiag_tui.streams.nvml_fields import Card, open_card, read_card, read_instances
from infdiag_tui.streams.nvml_xid import XidWatch
from infdiag_tui.text import one_line


class NvmlReader:
    """Reads all GPUs. Every method blocks and belongs on one thread; `close` never fails.

    While a card is lost, `wants_opening` asks every `reopen_s` for opening the driver anew.

    What it knows of cards (last figures, Xids) outlives `close`, so that a card that vanishes stays in sight.
    """

    def __init__(
        self,
        now: Callable[[], float],
        monotonic: Callable[[], float],
        *,
        asked_for: bool,
        reopen_s: float,
    ) -> None:
        self._reopen_s = reopen_s
        self._now = now
        self._monotonic = monotonic
        self._asked_for = asked_for
        self._host = one_line(socket.gethostname(), 100)
        self._cards: list[Card] = []
        self._unopened: dict[int, str] = {}
        self._known: dict[str, GpuDevice] = {}
        self._opened_at: float | None = None
        self._seen_before = False
        self._xids = XidWatch(now)

    @property
    def xid_failure(self) -> str:
        """Why no Xid events come, or empty."""
        return self._xids.failure

    @property
    def lost(self) -> dict[int, str]:
        """The GPUs that don't answer, by index, with the reason: those read before and those that never opened."""
        known = {device.index: device.lost for device in self._known.values() if device.lost and not device.mig_profile}
        return {**self._unopened, **known}

    @property
    def wants_opening(self) -> bool:
        """True when the driver is closed, or when a lost card is worth another look."""
        return self._opened_at is None or (bool(self.lost) and self._monotonic() - self._opened_at >= self._reopen_s)

    def open(self) -> None:
        """Opens the driver, anew if it is open.

        Raises:
            SourceError: there is no driver, it does not start, or it sees no GPU.
        """
        self.close()
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise start_failure(error, seen_before=self._seen_before, asked_for=self._asked_for) from error
        self._opened_at = self._monotonic()
        try:
            driver = one_line(pynvml.nvmlSystemGetDriverVersion(), 40)
            for index in range(pynvml.nvmlDeviceGetCount()):
                self._open_card(index, driver)
        except pynvml.NVMLError as error:
            raise driver_lost(error) from error
        if not self._cards and not self._known:
            raise no_card_opens(self._unopened) if self._unopened else no_gpu(seen_before=self._seen_before)
        self._seen_before = True
        self._xids.start({card.uuid: card.handle for card in self._cards})

    def read(self) -> list[GpuDevice]:
        """Every GPU and MIG instance by index; lost ones with what was last read and `lost` set.

        Raises:
            SourceError: the driver went away.
        """
        at = self._now()
        read: dict[str, GpuDevice] = {}
        lost = dict(self._unopened)
        for card in self._cards:
            try:
                for device in _read(card, at):
                    read[device.uuid] = device
            except CardLostError as error:
                lost[card.index] = str(error)
                if card.uuid not in self._known:
                    read[card.uuid] = _unread(card, at)
            except pynvml.NVMLError as error:
                raise driver_lost(error) from error
        for uuid, last in {**self._known, **read}.items():
            if last.index in lost:
                read[uuid] = replace(last, lost=lost[last.index])
            elif uuid not in read:
                gone = "this MIG instance no longer exists" if last.mig_profile else "the driver no longer lists it"
                read[uuid] = replace(last, lost=gone)
        for uuid, device in read.items():
            xid, watched = self._xids.last(uuid), self._xids.watches(uuid)
            if xid is not None or watched != device.xid_watched:
                code, when = (xid.code, xid.at) if xid is not None else (device.xid, device.xid_at)
                read[uuid] = replace(device, xid_watched=watched, xid=code, xid_at=when)
        self._known = read
        return sorted(read.values(), key=lambda device: (device.index, device.mig_profile, device.uuid))

    def close(self) -> None:
        """Ends the wait for events and closes the driver."""
        ended = self._xids.stop()
        if self._opened_at is None:
            return
        self._opened_at, self._cards, self._unopened = None, [], {}
        if not ended:  # closing the driver under a call that hangs in it would hang as well
            return
        try:
            pynvml.nvmlShutdown()
        except pynvml.NVMLError:  # it is gone already
            return

    def _open_card(self, index: int, driver: str) -> None:
        try:
            self._cards.append(open_card(pynvml.nvmlDeviceGetHandleByIndex(index), index, self._host, driver))
        except CardLostError as lost:
            self._unopened[index] = str(lost)
        except pynvml.NVMLError as error:
            if is_driver_lost(error):
                raise
            self._unopened[index] = error_text(error)


def _read(card: Card, at: float) -> list[GpuDevice]:
    device = read_card(card, at)
    return [device, *(read_instances(card, at) if device.mig_enabled else [])]


def _unread(card: Card, at: float) -> GpuDevice:
    """A card that was lost before its first reading."""
    return GpuDevice(card.uuid, card.index, card.name, at, "nvml", host=card.host, driver=card.driver)
