"""Every key of infdiag.toml, with its meaning, unit, default and bounds."""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from infdiag_tui.config.monitoring import Loki, Prometheus
from infdiag_tui.config.section import HttpUrl, OptionalHttpUrl, Section
from infdiag_tui.servers.adapters import SIGNALS, configured
from infdiag_tui.servers.in_cluster import FORMS, InCluster, cluster_host, http_url_of, is_k8s_url
from infdiag_tui.servers.stages import NAMED

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
"""A DNS label (RFC 1123), as Kubernetes demands; anything else in a request's path would ask for something else."""


def _from_k8s(value: Any) -> Any:
    if isinstance(value, str) and value.lower().startswith("ssh://"):
        raise ValueError('names the host to go through, which belongs into ssh.host. Set endpoint.via = "ssh"')
    return http_url_of(value) if isinstance(value, str) and is_k8s_url(value) else value


def _namespace(value: str) -> str:
    if value and not _NAMESPACE.fullmatch(value):
        raise ValueError("is no namespace: lower-case letters, digits and dashes, at most 63")
    return value


ReachedUrl = Annotated[HttpUrl, BeforeValidator(_from_k8s)]
"""May be in a cluster; is kept as the `http://` URL that it is there."""
OptionalReachedUrl = Annotated[OptionalHttpUrl, BeforeValidator(_from_k8s)]


class Protocol(StrEnum):
    """How the probe speaks to the model server."""

    JSON = "json"
    V2 = "v2"
    OPENAI = "openai"


class Via(StrEnum):
    """By which way requests reach the model server."""

    DIRECT = "direct"
    PROXY = "proxy"
    """Through the API server's proxy for services and pods."""
    PORT_FORWARD = "port-forward"
    """Through the API server into a pod, byte for byte."""
    SSH = "ssh"

    @property
    def in_cluster(self) -> bool:
        """True for the ways that lead through the API server, and to services and pods only."""
        return self in (Via.PROXY, Via.PORT_FORWARD)


class Endpoint(Section):
    """The model server as its clients see it, and the known-good input that the latency probe posts."""

    url: ReachedUrl = Field(
        description=f"Full URL of the predict call, e.g. http://model-server:8000/predict, or in a cluster: {FORMS}.",
    )
    via: Via = Field(
        Via.DIRECT,
        description='The way to it: "direct", "proxy" (the API server\'s, for k8s:// URLs by default), "port-forward" '
        '(for k8s:// URLs) or "ssh" (through ssh.host). Metrics and checks go the same way.',
    )
    protocol: Protocol = Field(
        Protocol.JSON,
        description='"json" (plain POST), "v2" (Open Inference Protocol) or "openai" (completions, streamed).',
    )
    model: str = Field("", description="Model name inside the request, where the protocol needs one (openai).")
    body: Any = Field(None, description="The known-good input: a TOML table or array, sent as JSON.")
    body_file: Path | None = Field(None, description="A JSON file with the known-good input, instead of body.")
    method: str = Field("", description="HTTP method; empty: POST when there is a body, GET when there is none.")
    headers: dict[str, str] = Field(default_factory=dict, description="Extra request headers (tokens are redacted).")
    rate_per_s: float = Field(1.0, gt=0, le=50, description="Probe requests per second on a fixed schedule.")
    timeout_s: float = Field(5.0, gt=0, le=300, description="A request unanswered for this long counts as timed out.")
    max_in_flight: int = Field(32, ge=1, le=256, description="Unanswered probes allowed at a time.")
    ca_file: Path | None = Field(None, description="Certificate authority file for TLS.")
    verify_tls: bool = Field(True, description="False accepts any certificate.")
    health_url: OptionalReachedUrl = Field(
        "",
        description="URL that answers with model_version; empty: /health of the same server.",
    )
    objective_p99_ms: float | None = Field(None, gt=0, description="The p99 that this service promises, milliseconds.")

    per_replica: bool = Field(
        False,
        description="Probe each ready pod in turn as well, all together rate_per_s times a second, to compare them.",
    )

    @model_validator(mode="before")
    @classmethod
    def _way_by_scheme(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and "via" not in raw and isinstance(raw.get("url"), str) and is_k8s_url(raw["url"]):
            return {**raw, "via": Via.PROXY}
        return raw

    @model_validator(mode="after")
    def _way_and_address_fit(self) -> Self:
        found = cluster_host(urlsplit(self.url).hostname)
        if self.via.in_cluster and found is None:
            raise ValueError(f'via = "{self.via}" reaches services and pods only. Write the url as {FORMS}')
        if not self.via.in_cluster and found is not None and found.kind is InCluster.POD:
            raise ValueError(f'a pod has no name outside of Kubernetes\' API. Set via = "{Via.PORT_FORWARD}"')
        return self


class Logs(Section):
    """Log files on this machine."""

    files: tuple[Path, ...] = Field((), description="Log files to follow; they may appear later.")
    max_lines: int = Field(20_000, ge=100, le=500_000, description="Entries kept; errors are kept apart as well.")
    backlog_lines: int = Field(1_000, ge=0, le=100_000, description="Lines read from the end of a file at the start.")


class Kubernetes(Section):
    """Where the model's pods are."""

    kubeconfig: Path | None = Field(None, description="Kubeconfig file; default: $KUBECONFIG, else ~/.kube/config.")
    context: str = Field("", description="Context of the kubeconfig; default: its current one.")
    namespace: Annotated[str, AfterValidator(_namespace)] = Field(
        "",
        description="Namespace of the pods; default: the context's.",
    )
    selector: str = Field("", description='Label selector of the pods, e.g. "app=fraud-scorer".')
    name_hint: str = Field("", description="Without a selector: a name to look for in labels and pod names.")
    logs: bool = Field(True, description="Follow the logs of every container of these pods.")
    usage_interval_s: float = Field(10.0, ge=2, le=300, description="Seconds between two readings of metrics.k8s.io.")
    exec_pod: str = Field("", description="The pod that checks run commands in; default: the first ready one.")
    exec_container: str = Field(
        "", description="Its container; default: the pod's default container, else the one with a GPU or ports."
    )


class Ssh(Section):
    """The model server's host, when it is no pod: checks then run their commands there instead of in a container.

    What is not set comes from the user's ~/.ssh/config, as do jump hosts; keys also from the agent.
    """

    host: str = Field(min_length=1, description="Host name, address, or an alias of ~/.ssh/config.")
    user: str = Field("", description="Login name; default: that of ~/.ssh/config, else this user's.")
    port: int | None = Field(None, gt=0, le=65_535, description="Port; default: that of ~/.ssh/config, else 22.")
    identity_file: Path | None = Field(None, description="Private key; default: those of the agent and ~/.ssh.")
    known_hosts: Path | None = Field(None, description="Known host keys; default: ~/.ssh/known_hosts.")
    connect_timeout_s: float = Field(10.0, gt=0, le=120, description="Limit of connecting and logging in.")


class Gpu(Section):
    """Where GPU figures come from."""

    nvml: bool = Field(
        True,
        description="Read this machine's NVIDIA GPUs through NVML; by default only where there is a driver and no "
        "dcgm_url is given. Written as true, a missing driver is a fault.",
    )
    dcgm_url: OptionalHttpUrl = Field(
        "",
        description="A dcgm-exporter metrics URL, e.g. http://node:9400/metrics.",
    )
    find_dcgm: bool = Field(
        True, description="Look for dcgm-exporter in the cluster and read it through the API server (pods/proxy)."
    )
    nvidia_smi: bool = Field(
        False,
        description="Run nvidia-smi in the model's containers (exec) or on ssh.host, where nothing better works.",
    )
    interval_s: float = Field(1.0, ge=0.2, le=60, description="Seconds between two readings.")


def _metric_names(value: dict[str, str]) -> dict[str, str]:
    for name, metric in value.items():
        if name not in NAMED and name not in SIGNALS:
            near = difflib.get_close_matches(name, (*NAMED, *SIGNALS), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Write one of {', '.join((*NAMED, *SIGNALS))}"
            raise ValueError(f"tells of {name!r}, which is no stage or signal. {hint}")
        configured((f"{name}={metric}",), where="names")
    return value


class Metrics(Section):
    """The metrics that the model server itself offers (Prometheus text, Triton's statistics)."""

    enabled: bool = Field(True, description="False never asks the server for metrics.")
    urls: tuple[ReachedUrl, ...] = Field(
        (),
        description="Metrics URLs; empty: looked for where servers have them, on the endpoint's host and every pod.",
    )
    interval_s: float = Field(5.0, ge=1, le=300, description="Seconds between two readings.")
    headers: dict[str, str] = Field(
        default_factory=dict,
        description="Request headers for urls on other hosts than the endpoint's (tokens are redacted).",
    )
    served_model: str = Field("", description="The model's name in the metrics' labels; empty: from the endpoint.")
    names: Annotated[dict[str, str], AfterValidator(_metric_names)] = Field(
        default_factory=dict,
        description=(
            'Metrics of your own by what they tell: NAME, SUM/COUNT or NAME{label="value"}. Stages: '
            f"{', '.join(NAMED)}. Others: {', '.join(SIGNALS)}. They outrank whatever else the server tells."
        ),
    )

    @property
    def choices(self) -> tuple[str, ...]:
        """`names` as `NAME=METRIC`."""
        return tuple(f"{name}={metric}" for name, metric in self.names.items())


class Host(Section):
    """This machine, and the model server's process when it runs here."""

    enabled: bool = Field(True, description="Show this machine's CPU, memory, disk and network.")
    interval_s: float = Field(2.0, ge=0.5, le=60, description="Seconds between two readings.")
    pid: int | None = Field(None, gt=0, description="The model server's process by pid,")
    process_name: str = Field("", description="or by name,")
    port: int | None = Field(None, gt=0, le=65_535, description="or by the TCP port that it listens on.")


class ModelConfig(Section):
    """One model in production: everything the console should look at for it."""

    endpoint: Endpoint | None = Field(None, description="The model server's predict call.")
    logs: Logs = Field(default_factory=Logs)
    kubernetes: Kubernetes | None = Field(None, description="The model's pods.")
    ssh: Ssh | None = Field(None, description="The model server's host, when it is no pod.")
    gpu: Gpu = Field(default_factory=Gpu)
    host: Host = Field(default_factory=Host)
    metrics: Metrics = Field(default_factory=Metrics)
    prometheus: Prometheus | None = Field(None, description="The Prometheus-compatible server that knows this model.")
    loki: Loki | None = Field(None, description="The Loki server that keeps this model's logs.")
    checks: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Parameters of checks by the check's name; `infdiag check NAME --help` lists them. Relative paths "
        "are relative to this file's folder.",
    )

    @model_validator(mode="after")
    def _pods_are_known(self) -> Self:
        if self.endpoint is not None and self.endpoint.per_replica and self.kubernetes is None:
            raise ValueError("endpoint.per_replica needs the model's pods. Set kubernetes.selector")
        return self

    @model_validator(mode="after")
    def _ssh_host_is_named(self) -> Self:
        if self.endpoint is not None and self.endpoint.via is Via.SSH and self.ssh is None:
            raise ValueError('endpoint.via = "ssh" needs a host to go through. Set ssh.host (--ssh HOST)')
        return self


class Thresholds(Section):
    """Levels above which a measurement becomes a finding."""

    jitter_ratio: float = Field(3.0, gt=1, description="p99 / p50 above this is high variance.")
    error_rate: float = Field(0.01, ge=0, le=1, description="Share of failed requests.")
    memory_share: float = Field(0.9, gt=0, le=1, description="Memory in use against its limit.")
    gpu_memory_share: float = Field(0.95, gt=0, le=1, description="GPU memory in use.")
    gpu_temperature_c: float = Field(85.0, gt=0, description="GPU temperature.")
    cpu_share: float = Field(0.9, gt=0, le=1, description="CPU in use against its limit.")
    disk_share: float = Field(0.9, gt=0, le=1, description="Disk in use.")
    log_errors_per_min: float = Field(1.0, ge=0, description="Error lines per minute.")


class Config(Section):
    """The whole of infdiag.toml."""

    models: dict[Annotated[str, Field(min_length=1, max_length=100)], ModelConfig] = Field(
        default_factory=dict,
        description="Models by name.",
    )
    thresholds: Thresholds = Field(default_factory=Thresholds)
    prometheus: Prometheus | None = Field(None, description="A Prometheus-compatible server that knows all models.")
    incidents_dir: Path | None = Field(None, description="Folder for incidents; default: the user's state folder.")
    knowledge_dir: Path | None = Field(
        None,
        description="Folder with an own knowledge: causes/*.toml over the built-in causes, guidance/*.md.",
    )
    report_template: Path | None = Field(
        None,
        description="An own Markdown template of the report: every heading and any slots of the built-in one.",
    )
    skill_pack_roots: tuple[Path, ...] = Field(
        (),
        description="Folders under which skill packs are looked for, as plugins/NAME/plugin.json.",
    )
