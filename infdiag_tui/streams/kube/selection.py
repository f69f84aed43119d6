"""Which pods of a namespace belong to the model: by label selector, else by a name to look for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from infdiag_tui.config import Kubernetes
from infdiag_tui.text import one_line

NAME_LABELS = (
    "app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "serving.kserve.io/inferenceservice",
)
"""Labels whose value names the application (Kubernetes' recommended labels, and KServe's)."""

_NEAREST = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """The selector is applied by the server, the name here."""

    selector: str
    name: str

    @classmethod
    def of(cls, settings: Kubernetes) -> Selection:
        """As configured; a selector outranks a name."""
        return cls(settings.selector.strip(), "" if settings.selector.strip() else settings.name_hint.strip())

    @property
    def query(self) -> dict[str, str]:
        """Query parameters of a list or watch."""
        return {"labelSelector": self.selector} if self.selector else {}

    def matches(self, raw: Mapping[str, Any]) -> bool:
        """Whether a raw pod, of which `metadata` is enough, is looked for; the selector is taken as met."""
        if not self.name:
            return True
        meta = raw.get("metadata") or {}
        labels = meta.get("labels") or {}
        return str(meta.get("name") or "").startswith(self.name) or any(
            labels.get(label) == self.name for label in NAME_LABELS
        )

    def __str__(self) -> str:
        if self.selector:
            return f"selector {self.selector}"
        return f"name {self.name}" if self.name else "no selector"

    def candidates(self, raws: Iterable[Mapping[str, Any]]) -> list[str]:
        """Label pairs that other pods have and that may have been meant, nearest first."""
        wanted = self.selector or self.name
        keys = {*NAME_LABELS, *re.findall(r"[\w./-]+(?=\s*[!=]|\s+in\b)", self.selector)}
        pairs = {
            f"{one_line(key, 80)}={one_line(str(value), 80)}"
            for raw in raws
            for key, value in ((raw.get("metadata") or {}).get("labels") or {}).items()
            if key in keys
        }
        return difflib.get_close_matches(wanted, sorted(pairs), n=_NEAREST, cutoff=0.0)
