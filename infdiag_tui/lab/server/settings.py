"""What a model server is told at its start, through its environment."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_VARIABLE = "MODEL_SERVER_SETTINGS"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen, what to load, how much to take on, and what goes wrong."""

    host: str
    port: int
    log_file: str
    model_path: str
    code_path: str
    device_path: str
    store_url: str
    dialect: int = 0
    merchants: int = 20_000
    warmup_s: float = 0.0
    lazy_load: bool = False
    max_concurrency: int = 32
    max_connections: int = 512
    faults: list[dict[str, Any]] = field(default_factory=list)
    """Each with `kind`, `after_s` and `values`, those of its class in `faults`."""
    fault_time_path: str = ""
    """The file that tells, once it is there, from which time on (Unix seconds) they begin, each `after_s` later."""

    def environment(self) -> dict[str, str]:
        """The variables that carry these settings to a child process."""
        return {_VARIABLE: json.dumps(dataclasses.asdict(self))}


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings that `Settings.environment` wrote.

    Raises:
        KeyError: The variable is not set.
    """
    return Settings(**json.loads(environment[_VARIABLE]))
