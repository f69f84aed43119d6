"""Which cards the model's pods hold, or held, by the labels of their exporters' series in Prometheus."""

from __future__ import annotations

from collections.abc import Mapping

from infdiag_tui.model import Pod
from infdiag_tui.streams.dcgm_text import PREFIX as DCGM
from infdiag_tui.streams.gpus import amd
from infdiag_tui.streams.prometheus.client import PrometheusClient, quoted, selector

MAX_NAMED_CARDS = 128
"""A query names the model's cards where they are known and not more than these."""
_LABELS = ("UUID", "serial_number", "gpu_uuid")
_HOLDS = f"{DCGM}DEV_(FB_USED|GPU_TEMP|SM_CLOCK)|({amd.PREFIX})?gpu_(used_vram|gfx_activity)"
"""Figures that every card has, by which to find those of the model's pods."""


class Cards:
    """The model's cards. One stays the model's when its pod has gone, which is when one wants to see it."""

    def __init__(self, matchers: Mapping[str, str]) -> None:
        self._matchers = matchers
        self._known: dict[str, set[str]] = {}
        """Cards by the label that names them."""

    @property
    def known(self) -> bool:
        """True once a pod of the model was seen on one."""
        return bool(self._known)

    async def learn(self, client: PrometheusClient, pods: Mapping[str, Pod], *, over_s: float = 0.0) -> None:
        """Asks which cards these pods hold now, or held in the last `over_s` seconds.

        Raises:
            SourceError: the server cannot be asked.
        """
        if not pods:
            return
        names = "|".join(sorted({pod.name.replace(".", "\\.") for pod in pods.values()}))
        spaces = "|".join(sorted({pod.namespace for pod in pods.values()}))
        for prefix in ("exported_", ""):
            more = f"{prefix}namespace=~{quoted(spaces)}, {prefix}pod=~{quoted(names)}"
            held = selector("", self._matchers, pattern=_HOLDS, more=more)
            # Unlike others of its kind it keeps the metrics' names, without which several would be one series.
            held = f"last_over_time({held}[{over_s:.0f}s])" if over_s else held
            result = await client.query(f"group by ({', '.join(_LABELS)}) ({held})")
            for one in result.series:
                for label in _LABELS:
                    if one.labels.get(label):
                        self._known.setdefault(label, set()).add(one.labels[label])

    @property
    def matcher(self) -> str:
        """A matcher of them, empty where it would miss some or none are known."""
        if len(self._known) != 1:
            return ""
        ((label, cards),) = self._known.items()
        if len(cards) > MAX_NAMED_CARDS:
            return ""
        return f"{label}=~{quoted('|'.join(sorted(card.replace('.', chr(92) + '.') for card in cards)))}"
