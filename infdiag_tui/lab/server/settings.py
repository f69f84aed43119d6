"""What a model server is told at its start, through its environment."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLE = "FRAUD_SCORER_SETTINGS"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen, what to load, and from when on (Unix seconds) the ordinary ways are left."""

    host: str
    port: int
    log_file: str
    pod_name: str = ""
    model_name: str = "fraud-scorer"
    model_version: str = "2.4.1"
    seed: int = 0
    merchants: int = 20_000
    warmup_rows: int = 0
    lazy_load: bool = False
    degrade_at: float = 0.0
    kept_bytes_per_request: int = 0
    scan_merchants: bool = False

    def environment(self) -> dict[str, str]:
        """The variables that carry these settings to a child process."""
        return {_VARIABLE: json.dumps(dataclasses.asdict(self))}


def from_environment(environment: Mapping[str, str]) -> Settings:
    """The settings that `Settings.environment` wrote.

    Raises:
        KeyError: The variable is not set.
    """
    return Settings(**json.loads(environment[_VARIABLE]))
