"""Where a server's metrics are: on which ports and paths, of the endpoint's host and of each replica."""

from __future__ import annotations

import itertools
from urllib.parse import quote, unquote, urlsplit

from infdiag_tui.model import Pod
from infdiag_tui.servers.adapters import CONFIGURED, Server
from infdiag_tui.servers.in_cluster import ClusterHost, InCluster

_METRICS_PORTS = (8002, 8082)
"""Where Triton, TorchServe and MLServer have their metrics, and so perhaps those that the operator named."""


def served_model(url: str, model: str = "") -> str:
    """The model's name on the server: `model` if given, else from the usual predict URLs; empty when unknown."""
    if model:
        return model
    parts = [unquote(part) for part in urlsplit(url).path.split("/")]
    for before, after in itertools.pairwise(parts):
        if before in ("models", "predictions"):
            return after.partition(":")[0]
    return ""


def origin_of(url: str) -> str:
    """Scheme, host and port of `url`, without credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def replica_base(pod: Pod, service_url: str, *, by_name: bool = False) -> str | None:
    """The URL that reaches one pod alone: the service's port where the pod has it, else its first; None without one.

    `by_name`: it is reached through Kubernetes' API, which goes by the pod's name instead of its address.
    """
    parts = urlsplit(service_url)
    ports = [port for container in pod.containers for port in container.ports]
    port = parts.port if parts.port in ports else next(iter(ports), None)
    if not pod.pod_ip or port is None:
        return None
    return f"{parts.scheme or 'http'}://{_pod_host(pod, by_name=by_name)}:{port}"


def stated_metrics(pod: Pod, *, by_name: bool = False) -> str | None:
    """The URL at which the pod itself says that its metrics are (see `Pod.metrics_at`); None when it says nothing."""
    if not pod.pod_ip or not pod.metrics_at:
        return None
    return f"http://{_pod_host(pod, by_name=by_name)}{pod.metrics_at}"


def metrics_urls(server: Server, base: str, model: str) -> list[str]:
    """Where this server's metrics would be, seen from `base` (scheme, host, port, perhaps a path to put before).

    A replica behind the cluster's API has a path of its own, and only that port.
    """
    parts = urlsplit(base)
    inner = parts.path.rstrip("/")
    urls = []
    for place in server.places:
        if "{model}" in place and not model:
            continue
        filled = place.replace("{model}", quote(model, safe=""))
        if filled.startswith("/"):
            urls.append(f"{parts.scheme}://{parts.netloc}{inner}{filled}")
        elif not inner:
            urls.append(f"{parts.scheme}://{_bracketed(parts.hostname or '')}{filled}")
    if server.name == CONFIGURED and not inner:
        host = _bracketed(parts.hostname or "")
        urls.extend(f"{parts.scheme}://{host}:{port}/metrics" for port in _METRICS_PORTS)
    return urls


def _pod_host(pod: Pod, *, by_name: bool) -> str:
    return ClusterHost(InCluster.POD, pod.namespace, pod.name).host if by_name else _bracketed(pod.pod_ip)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
