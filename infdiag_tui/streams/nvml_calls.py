"""Asking NVML for one thing at a time, and what its refusals mean for a field, a card or the whole driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pynvml

from infdiag_tui.model import SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.text import one_line

# Meanings: the nvmlReturn_t table of NVIDIA's NVML API reference.
_CARD_LOST = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
_DRIVER_LOST = frozenset(
    {
        pynvml.NVML_ERROR_UNINITIALIZED,
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
    },
)
_ORDINARY = frozenset(
    {
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_NO_PERMISSION,
        pynvml.NVML_ERROR_NOT_FOUND,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_NO_DATA,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_DEPRECATED,
    },
)
"""Refusals that only say that a card, driver or user does not have the thing."""

LOST_CARD_REMEDY = "drain the node, look for Xid 79 in `sudo dmesg | grep NVRM`, then reset the GPU or reboot"
RETRY_WITHOUT_DRIVER_S = 30.0
RETRY_LOST_DRIVER_S = 3.0


class CardLostError(Exception):
    """One GPU no longer answers; the message says why."""


class Asker:
    """Asks one card; whatever it does not offer is None, so that one bad field costs nothing else."""

    def __init__(self) -> None:
        self._answers = 0
        self._refusal = ""

    def ask(self, function: str, *arguments: Any) -> Any:
        """What pynvml's `function` returns, None where it is refused, unknown to this driver or garbled.

        Raises:
            CardLostError: the card has fallen off the bus or needs a reset.
            pynvml.NVMLError: the driver itself is gone.
        """
        call = getattr(pynvml, function, None)
        if call is None:  # another version of the bindings
            return None
        try:
            answer = call(*arguments)
        except pynvml.NVMLError as error:
            if error.value in _CARD_LOST:
                raise CardLostError(error_text(error)) from error
            if is_driver_lost(error):
                raise
            if error.value not in _ORDINARY:
                self._refusal = error_text(error)
            return None
        except (pynvml.NVMLLibraryMismatchError, UnicodeDecodeError):
            return None
        self._answers += 1
        return answer

    def check_alive(self) -> None:
        """Raises `CardLostError` when nothing at all was answered and at least one refusal was out of the ordinary."""
        if self._refusal and not self._answers:
            raise CardLostError(f"it answers nothing: {self._refusal}")


def is_driver_lost(error: pynvml.NVMLError) -> bool:
    """True when the error says that the driver as a whole is gone."""
    return error.value in _DRIVER_LOST


def error_text(error: pynvml.NVMLError) -> str:
    """NVML's own words for an error, printable."""
    return one_line(str(error), 120)


def start_failure(error: pynvml.NVMLError, *, seen_before: bool, asked_for: bool) -> SourceError:
    """Why NVML does not start, in the operator's words.

    A machine without the driver's library is an ordinary place to run infdiag on: the source is off there, unless it
    was asked for or the driver was there before, which is looked for again soon. A library whose driver does not start
    is a fault in any case: somebody installed it.
    """
    elsewhere = "to see GPUs of other machines set gpu.dcgm_url in the config"
    retry_after_s = RETRY_LOST_DRIVER_S if seen_before else RETRY_WITHOUT_DRIVER_S
    state = SourceState.UNAVAILABLE
    gone = " any more" if seen_before else ""
    if error.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        reason, remedy = f"no NVIDIA driver on this machine{gone}", elsewhere
        if asked_for:
            remedy = f"install the driver, or take gpu.nvml = true out of the config; {elsewhere}"
        elif not seen_before:
            state = SourceState.OFF
    elif error.value == pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
        reason = f"the NVIDIA driver is not loaded on this machine{gone}"
        remedy = f"`sudo modprobe nvidia` loads it and `sudo dmesg | grep NVRM` says what is wrong; {elsewhere}"
    elif error.value == pynvml.NVML_ERROR_NO_PERMISSION:
        state = SourceState.FORBIDDEN
        reason, remedy = "this user may not open the NVIDIA driver", "check the permissions of /dev/nvidia*"
    elif error.value == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        reason = "the NVIDIA library and the loaded kernel module have different versions"
        remedy = "the driver was upgraded: reload its kernel module or reboot"
    elif error.value == pynvml.NVML_ERROR_UNKNOWN:
        reason = "the NVIDIA driver does not start: Unknown Error"
        remedy = (
            "in a container whose GPU worked before, the devices were withdrawn (a systemctl daemon-reload does that): "
            "recreate the container; elsewhere see `sudo dmesg | grep NVRM`"
        )
    else:
        reason = f"the NVIDIA driver does not start: {error_text(error)}"
        remedy = "try nvidia-smi, and see `sudo dmesg | grep NVRM`"
    return SourceError(reason, remedy=remedy, state=state, retry_after_s=retry_after_s)


def driver_lost(error: pynvml.NVMLError) -> SourceError:
    """The driver went away while it was being read."""
    return SourceError(
        f"the NVIDIA driver went away: {error_text(error)}",
        remedy="it is being reloaded or upgraded, or it crashed: see `sudo dmesg | grep NVRM`",
        retry_after_s=RETRY_LOST_DRIVER_S,
    )


def no_gpu(*, seen_before: bool) -> SourceError:
    """The driver runs and sees no GPU."""
    return SourceError(
        "the NVIDIA driver runs but sees no GPU" + (" any more" if seen_before else ""),
        remedy="`lspci | grep -i nvidia` shows whether the machine sees one; a container must be given one",
        retry_after_s=RETRY_LOST_DRIVER_S if seen_before else RETRY_WITHOUT_DRIVER_S,
    )


def no_card_opens(reasons: Mapping[int, str]) -> SourceError:
    """The driver counts GPUs, but opens none of them; `reasons` by index."""
    each = ", ".join(f"GPU {index}: {reason}" for index, reason in reasons.items())
    return SourceError(
        f"the NVIDIA driver opens none of its GPUs ({each})",
        remedy=LOST_CARD_REMEDY,
        retry_after_s=RETRY_LOST_DRIVER_S,
    )
