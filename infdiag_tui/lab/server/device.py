"""The card as a replica's driver shows it. Results are computed; only how long they take is the card's.

A launch takes a fixed time on the host; a kernel takes time by the size of the model and the batch, at the card's
clock. Launches run ahead of kernels, so a batch takes the longer of the two.
"""

from __future__ import annotations

import time
from pathlib import Path

from infdiag_tui.lab.devicefile import RESERVED_MIB, TOTAL_MIB, DeviceFile
from infdiag_tui.lab.server.model import Array, Model

_LAUNCH_S = 0.040
_BASE_S = 0.012
_ROW_S = 0.004
_REFERENCE_PARAMETERS = 801
"""The kernel times above are those of a model with this many weights."""
_SLICE_S = 0.05
_MODEL_MIB = 3_380.0
_ROW_MIB = 40.0
_MIB_PER_GIB = 1024.0
INTERPRETED_PASSES = 300
"""Monte-Carlo passes, which the card runs side by side and a processor one after the other."""


INTERPRETED_S = 0.25
"""For at least so long: a processor that is too fast for that passes over the batch again."""


class DeviceError(RuntimeError):
    """The driver's error; its message is the driver's."""


class DeviceMemoryError(DeviceError):
    """An allocation on the card failed."""


class Device:
    """One card, or none: then everything is computed on the processor."""

    def __init__(self, path: Path, error_text: str, memory_text: str) -> None:
        """Takes the card behind `path`; the texts are how its driver words errors."""
        self._file = DeviceFile(path)
        self._fault_at_start = self._file.fault
        self._error_text = error_text
        self._memory_text = memory_text
        self._file.used_mib = _MODEL_MIB
        self.detached = False

    @property
    def failed(self) -> bool:
        """True once the card has had a fault: the process's context is lost then."""
        return self._file.fault > self._fault_at_start and not self.detached

    def detach(self) -> None:
        """Gives the card up; from now on the processor computes."""
        self.detached = True
        self._file.used_mib = 0.0

    def execute(self, model: Model, features: Array) -> Array:
        """Scores a batch; blocks for as long as it takes.

        Raises:
            DeviceMemoryError: The batch does not fit into the card's free memory.
            DeviceError: The card has had a fault.
        """
        if self.detached:
            return self._interpret(model, features)
        if self.failed:
            raise DeviceError(self._error_text)
        started = time.monotonic()
        rows = len(features)
        self._allocate(rows)
        try:
            result = model.predict(features)
            self._run_kernel(started, model.parameters, rows)
        finally:
            # Given up while this batch ran: nothing of it stays on the card.
            self._file.used_mib = 0.0 if self.detached else _MODEL_MIB
        return result

    @staticmethod
    def _interpret(model: Model, features: Array) -> Array:
        started = time.monotonic()
        while True:
            result = model.interpret(features, INTERPRETED_PASSES)
            if time.monotonic() - started >= INTERPRETED_S:
                return result

    def _allocate(self, rows: int) -> None:
        wanted_mib = _ROW_MIB * rows
        free_mib = TOTAL_MIB - RESERVED_MIB - self._file.foreign_mib - _MODEL_MIB
        if wanted_mib > free_mib:
            raise DeviceMemoryError(
                self._memory_text
                % {
                    "wanted": f"{wanted_mib / _MIB_PER_GIB:.2f} GiB",
                    "total": f"{TOTAL_MIB / _MIB_PER_GIB:.2f} GiB",
                    "free": f"{max(0.0, free_mib):.2f} MiB",
                    "bytes": int(wanted_mib * 1024 * 1024),
                },
            )
        self._file.used_mib = _MODEL_MIB + wanted_mib

    def _run_kernel(self, started: float, parameters: int, rows: int) -> None:
        kernel_s = (_BASE_S + _ROW_S * rows) * parameters / _REFERENCE_PARAMETERS / max(self._file.speed, 0.01)
        ends_at = started + max(_LAUNCH_S, kernel_s)
        # In slices, so that whoever looks meanwhile sees how busy the card is.
        counted_s = 0.0
        while (left_s := ends_at - time.monotonic()) > 0:
            time.sleep(min(_SLICE_S, left_s))
            ran_s = min(kernel_s, time.monotonic() - started)
            self._file.busy_s += max(0.0, ran_s - counted_s)
            counted_s = max(counted_s, ran_s)
