"""What is remembered of GPUs from one reading of an exporter to the next: which there were, and their Xid errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from infdiag_tui.model import GpuDevice, Pod, SourceState
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.troubles import Trouble

XID_GAP_S = 60.0
"""A change of the Xid gauge is dated only if the reading before is younger than this (the exporter itself reads every
30 s by default); else it may have come at any time in between."""


class XidMemory:
    """Dates Xid errors from a gauge that keeps showing the last one for ever."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int | None, float | None, float]] = {}

    def note(self, uuid: str, code: int | None, now: float) -> tuple[int | None, float | None]:
        """The GPU's last Xid and when it came.

        The time is None when it was there at first sight or came while nobody looked. A gauge of 0, or none, is no Xid.
        """
        code = code or None
        before = self._seen.get(uuid)
        at: float | None = None
        if before is not None and code is not None:
            seen_code, seen_at, read_at = before
            at = seen_at if code == seen_code else now if now - read_at <= XID_GAP_S else None
        self._seen[uuid] = (code, at, now)
        return code, at

    def last(self, uuid: str) -> tuple[int | None, float | None]:
        """The GPU's last Xid and when it came, as noted."""
        code, at, _ = self._seen.get(uuid, (None, None, 0.0))
        return code, at

    def read_at(self, uuid: str) -> float:
        """When its gauge was last noted, -inf before the first time."""
        known = self._seen.get(uuid)
        return float("-inf") if known is None else known[2]


class GpuAccount:
    """The GPUs of one source. One that it once told of stays in sight, as lost, when it no longer does.

    `teller` names in a sentence who tells of them.
    """

    def __init__(self, teller: str) -> None:
        self._teller = teller
        self._known: dict[str, GpuDevice] = {}
        self._mine: set[str] = set()

    @property
    def empty(self) -> bool:
        """True before the first GPU."""
        return not self._known

    def take(self, found: Iterable[GpuDevice]) -> list[GpuDevice]:
        """All GPUs after a reading, in order."""
        told = {gpu.uuid: gpu for gpu in found}
        for uuid, last in self._known.items():
            if uuid not in told:
                told[uuid] = replace(last, lost=f"{self._teller} no longer tells of it")
        self._known = told
        return sorted(told.values(), key=lambda gpu: (gpu.host, gpu.index, gpu.mig_profile, gpu.uuid))

    def of_model(self, devices: Sequence[GpuDevice], pods: Mapping[str, Pod]) -> list[GpuDevice]:
        """Those that the model's pods hold, or held; else those of their nodes; else, where no node fits, all.

        A card stays the model's when its pod is gone, which is when one wants to see it.
        """
        self._mine |= {gpu.uuid for gpu in devices if any(pod in pods for pod in gpu.pod.split(", "))}
        chosen = [gpu for gpu in devices if gpu.uuid in self._mine]
        nodes = {pod.node for pod in pods.values() if pod.node}
        return chosen or [gpu for gpu in devices if gpu.host in nodes] or list(devices)


def no_pods_yet() -> SourceError:
    """Why nothing can be told while the model's pods are not known: any card of the cluster may be somebody else's."""
    return SourceError(
        "no pod of the model is known, and so not which GPUs are its own",
        remedy="see the pods source",
        state=SourceState.OFF,
    )


def lost_cards(devices: Iterable[GpuDevice]) -> dict[str, Trouble]:
    """What to say of cards that are no longer told of, by UUID."""
    return {
        gpu.uuid: Trouble(
            SourceState.DEGRADED,
            f"GPU {gpu.index} of {gpu.host or 'the node'}: {gpu.lost}",
            "it may have fallen off the bus: look for Xid 79 in the node's kernel log",
        )
        for gpu in devices
        if gpu.lost and not gpu.mig_profile
    }
