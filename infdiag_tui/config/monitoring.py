"""The monitoring that a config may name: a Prometheus-compatible server and Loki."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from infdiag_tui.config.section import Headers, HttpUrl, OptionalHttpUrl, Section, Span, span_s

_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _label_names(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _LABEL_NAME.fullmatch(name):
            raise ValueError(f"names the label {name!r}, which is none. Write letters, digits and underscores")
    return value


Labels = Annotated[dict[str, str], AfterValidator(_label_names)]


class HttpApi(Section):
    """How an HTTP API of the monitoring is reached: address, credentials, certificate authority."""

    headers: Headers = Field(
        default_factory=dict, description="Request headers, such as X-Scope-OrgID (tokens are redacted)."
    )
    token_file: Path | None = Field(None, description="File with a bearer token; read anew when it changes.")
    user: str = Field("", description="User of basic authentication,")
    password_file: Path | None = Field(None, description="and the file with its password.")
    ca_file: Path | None = Field(None, description="Certificate authority file for TLS.")
    verify_tls: bool = Field(True, description="False accepts any certificate.")
    timeout_s: float = Field(10.0, gt=0, le=120, description="A query unanswered for this long has failed.")


class Prometheus(HttpApi):
    """A Prometheus-compatible server (Prometheus, Thanos, Mimir, VictoriaMetrics) that scrapes this model and its GPUs.

    A top-level [prometheus] holds for every model; what a model's own section says outranks it.
    """

    url: OptionalHttpUrl = Field(
        "", description="Base URL, above /api/v1, e.g. http://prometheus:9090 or https://mimir/prometheus."
    )
    matchers: Labels = Field(
        default_factory=dict,
        description='Labels of this model\'s own series, e.g. { namespace = "ml", app = "fraud-scorer" }.',
    )
    gpu_matchers: Labels = Field(
        default_factory=dict,
        description='Labels of its GPUs\' series, e.g. { cluster = "eu-1" }; its pods are found by themselves.',
    )
    history: Span = Field("1h", description='How much of the time before the start is shown: "1h", "30m"; "0": none.')
    interval_s: float = Field(15.0, ge=1, le=300, description="Seconds between two readings.")

    @property
    def history_s(self) -> float:
        """`history` in seconds."""
        return span_s(self.history)


class Loki(HttpApi):
    """A Loki server that keeps this model's logs; it is then read instead of the pods' own logs."""

    url: HttpUrl = Field(description="Base URL, above /loki/api/v1, e.g. http://loki:3100.")
    selector: str = Field(
        min_length=2, description='LogQL that selects the lines, e.g. \'{namespace="ml", app="scorer"}\'.'
    )
    interval_s: float = Field(1.0, ge=0.2, le=60, description="Seconds between two readings.")
    backlog: Span = Field(
        "1h", description="How far back the first reading looks; logs.backlog_lines bounds its lines."
    )

    @property
    def backlog_s(self) -> float:
        """`backlog` in seconds."""
        return span_s(self.backlog)
