"""The six symptoms, read from symptoms.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Symptom:
    """One way in which inference fails, what usually causes it and what to look at first."""

    id: str
    title: str
    likely_causes: tuple[str, ...]
    first_check: str
    signs: Mapping[str, float] = field(default_factory=dict)
    """Evidence ids that show it, with weights."""


def _read() -> Mapping[str, Symptom]:
    raw = tomllib.loads((files(__package__) / "symptoms.toml").read_text(encoding="utf-8"))
    return {
        name: Symptom(name, entry["title"], tuple(entry["likely_causes"]), entry["first_check"], entry["signs"])
        for name, entry in raw.items()
    }


SYMPTOMS: Mapping[str, Symptom] = _read()
