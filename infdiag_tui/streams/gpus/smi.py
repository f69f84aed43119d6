"""GPUs by running nvidia-smi beside the model, in its containers or on its host; only where the config says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from infdiag_tui.clock import Clock
from infdiag_tui.model import GpuDevice, Heartbeat, Observation, SourceState
from infdiag_tui.streams.base import Beside, BesidePlace, SourceError
from infdiag_tui.streams.gpu_samples import samples
from infdiag_tui.streams.gpus.account import GpuAccount, lost_cards
from infdiag_tui.streams.gpus.several import read_all
from infdiag_tui.streams.gpus.smi_text import FIELDS, NEEDED, UnreadableError, command, parse, refused_field, without
from infdiag_tui.streams.troubles import Trouble, changes
from infdiag_tui.text import clean, one_line

INTERVAL_S = 10.0
"""Each reading is a process in production, and without persistence mode it wakes the driver."""
RUN_TIMEOUT_S = 8.0
AT_ONCE = 4
_NO_PROGRAM, _NOT_ALLOWED = 127, 126


class GpuSmiStream:
    """A `GpuDevice` with samples for each GPU that the model's containers, or its host, see.

    Fields that a driver does not know are asked for by their older name or left out from then on.
    """

    name = "nvidia-smi"
    label = "nvidia-smi"

    def __init__(self, beside: Beside, clock: Clock, *, interval_s: float = INTERVAL_S) -> None:
        self.stale_after_s = max(30.0, 3 * interval_s)
        self._beside = beside
        self._clock = clock
        self._interval_s = interval_s
        self._fields: dict[str, tuple[str, ...]] = {}
        """What the driver of each place knows."""
        self._account = GpuAccount("nvidia-smi")

    async def observe(self) -> AsyncGenerator[Observation, None]:
        """Yields until cancelled.

        Raises:
            SourceError: there is no way beside the model, or nvidia-smi can be run nowhere.
        """
        told: dict[str, Trouble] = {}
        try:
            while True:
                began = self._clock.monotonic()
                places = self._beside.places()
                found, failed = await self._read(places)
                now = self._clock.now()
                if failed and not found:
                    raise next(iter(failed.values()))
                devices = self._account.take(found)
                troubles = {**lost_cards(devices), **_silent(failed, len(places))}
                for status in changes(told, troubles, now):
                    yield status
                told = troubles
                for gpu in devices:
                    yield gpu
                    for sample in samples(gpu):
                        yield sample
                yield Heartbeat(now)
                await asyncio.sleep(max(0.0, self._interval_s - (self._clock.monotonic() - began)))
        finally:
            await self._beside.aclose()

    async def _read(self, places: Sequence[BesidePlace]) -> tuple[list[GpuDevice], dict[str, SourceError]]:
        gpus, failed = await read_all(places, self._ask, lambda place: place.where, AT_ONCE)
        # Containers of one node may share a card, which each of them lists.
        by_uuid = {gpu.uuid: gpu for gpu in gpus}
        return list(by_uuid.values()), failed

    async def _ask(self, place: BesidePlace) -> list[GpuDevice]:
        fields = self._fields.get(place.where, FIELDS)
        while True:
            code, out, err = await place.run(command(fields), timeout_s=RUN_TIMEOUT_S)
            text = out.decode("utf-8", "replace")
            said = f"{text}\n{err.decode('utf-8', 'replace')}"
            refused = refused_field(said)
            if code and refused in fields and refused not in NEEDED:
                fields = without(fields, refused)
                continue
            if code in (_NO_PROGRAM, _NOT_ALLOWED):
                raise SourceError(
                    f"nvidia-smi cannot be run {place.where}: {one_line(clean(said.strip()), 200) or 'none there'}",
                    remedy="images bring it by NVIDIA_DRIVER_CAPABILITIES=utility; or set gpu.nvidia_smi = false",
                    state=SourceState.UNAVAILABLE,
                    retry_after_s=60.0,
                )
            try:
                found = parse(text, fields, self._clock.now(), host=place.host, pod=place.pod)
            except UnreadableError as error:
                words = one_line(clean(said.strip().partition("\n")[0]), 200) or one_line(clean(str(error)), 200)
                raise SourceError(
                    f"nvidia-smi {place.where} tells of no GPU (exit code {code}): {words}",
                    remedy="run it there by hand; look at the node's kernel log for NVRM and Xid",
                    retry_after_s=30.0,
                ) from error
            self._fields[place.where] = fields
            return found


def _silent(failed: dict[str, SourceError], of: int) -> dict[str, Trouble]:
    if not failed:
        return {}
    _, error = min(failed.items())
    reason = one_line(f"nvidia-smi gives nothing in {len(failed)} of {of} places; {error.reason}", 400)
    return {"places": Trouble(SourceState.DEGRADED, reason, error.remedy)}
