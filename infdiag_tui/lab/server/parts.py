"""What a fault of the server can get its hands on."""

from __future__ import annotations

from dataclasses import dataclass

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.server.engine import Engine
from infdiag_tui.lab.server.health import Health
from infdiag_tui.lab.server.metrics import Metrics
from infdiag_tui.lab.server.settings import Settings
from infdiag_tui.lab.server.upstream import FeatureStore


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one replica."""

    settings: Settings
    dialect: Dialect
    metrics: Metrics
    engine: Engine
    store: FeatureStore
    health: Health
