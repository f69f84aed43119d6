"""Waiting for Xid errors: NVML tells them as events only, so a thread of its own waits for them."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pynvml

from infdiag_tui.streams.nvml_calls import error_text

_WAIT_MS = 200
"""How long one wait lasts, and so how long ending takes at most."""
_PAUSE_S = 1.0
"""Between waits while NVML answers them with an error at once."""
_JOIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Xid:
    """An Xid error and when it was received."""

    code: int
    at: float


class XidWatch:
    """Collects the last Xid of each GPU. What it knows outlives `stop`.

    `failure` says why events no longer come, and is empty while they do or where a card never offered them.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._seen: dict[str, Xid] = {}
        self._offered: frozenset[str] = frozenset()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self.failure = ""

    def last(self, uuid: str) -> Xid | None:
        """The last Xid of the GPU with this UUID."""
        return self._seen.get(uuid)

    def watches(self, uuid: str) -> bool:
        """True while an Xid of this GPU would be heard of."""
        return uuid in self._offered and not self.failure

    def start(self, handles: Mapping[str, Any]) -> None:
        """Watches the GPUs behind `handles` (by UUID); those that offer no such events are left out."""
        if self._thread is not None and self._thread.is_alive():
            self.failure = "an earlier wait for events still hangs in the driver"
            return
        self.failure = ""
        self._offered = frozenset()
        try:
            event_set = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError:  # no events on this system (Windows guests, old drivers)
            return
        watched = {_address(handle): uuid for uuid, handle in handles.items() if _register(handle, event_set)}
        if not watched:
            _free(event_set)
            return
        self._offered = frozenset(watched.values())
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._wait_on,
            args=(event_set, watched, self._stop),
            name="nvml xid",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> bool:
        """Ends the waiting thread, which frees its event set; False when it hangs in the driver (blocking)."""
        self._stop.set()
        if self._thread is None:
            return True
        self._thread.join(_JOIN_S)
        return not self._thread.is_alive()

    def _wait_on(self, event_set: Any, watched: Mapping[int, str], stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                event = pynvml.nvmlEventSetWait_v2(event_set, _WAIT_MS)
            except pynvml.NVMLError as error:
                if error.value == pynvml.NVML_ERROR_TIMEOUT:
                    self.failure = ""
                    continue
                # One lost card must not end the wait for the others; a dead driver is found by the readings.
                self.failure = error_text(error)
                stop.wait(_PAUSE_S)
                continue
            self.failure = ""
            uuid = watched.get(_address(event.device))
            if uuid is not None and event.eventType == pynvml.nvmlEventTypeXidCriticalError:
                self._seen[uuid] = Xid(int(event.eventData), self._now())
        _free(event_set)


def _address(handle: Any) -> int:
    """What tells one device handle from another; asking a lost card for its UUID would fail."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _register(handle: Any, event_set: Any) -> bool:
    try:
        offered = pynvml.nvmlDeviceGetSupportedEventTypes(handle)
        if not offered & pynvml.nvmlEventTypeXidCriticalError:
            return False
        pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, event_set)
    except pynvml.NVMLError:  # not supported, not permitted, or the card is lost: the readings say which
        return False
    return True


def _free(event_set: Any) -> None:
    try:
        pynvml.nvmlEventSetFree(event_set)
    except pynvml.NVMLError:  # the driver that held it is gone
        return
