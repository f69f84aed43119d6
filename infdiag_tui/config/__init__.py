"""The targets of an incident: infdiag.toml, its schema, and errors that name file, key and remedy."""

from infdiag_tui.config.monitoring import HttpApi, Loki, Prometheus
from infdiag_tui.config.schema import (
    Config,
    Endpoint,
    Gpu,
    Host,
    Kubernetes,
    Logs,
    Metrics,
    ModelConfig,
    Protocol,
    ReachedUrl,
    Ssh,
    Thresholds,
    Via,
)

__all__ = [
    "Config",
    "Endpoint",
    "Gpu",
    "Host",
    "HttpApi",
    "Kubernetes",
    "Logs",
    "Loki",
    "Metrics",
    "ModelConfig",
    "Prometheus",
    "Protocol",
    "ReachedUrl",
    "Ssh",
    "Thresholds",
    "Via",
]
