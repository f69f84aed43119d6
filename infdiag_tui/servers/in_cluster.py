"""Addresses inside a cluster: `k8s://` URLs, and the host names by which everything else knows what they name.

A service is `NAME.NAMESPACE.svc`, which is its name in the cluster's DNS as well. A pod is `NAME.NAMESPACE.pod`, a name
that only the ways through the API server understand: DNS knows pods by their IP addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

SCHEME = "k8s"
FORMS = "k8s://NAMESPACE/SERVICE:PORT/PATH or k8s://NAMESPACE/pod/NAME:PORT/PATH"

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_SERVICE = re.compile(rf"(?P<name>{_LABEL})\.(?P<namespace>{_LABEL})\.svc(?:\.[a-z0-9.-]+)?")
_POD = re.compile(rf"(?P<name>{_LABEL}(?:\.{_LABEL})*)\.(?P<namespace>{_LABEL})\.pod")
_URL = re.compile(
    r"k8s://(?P<namespace>[^/]*)/(?:(?P<kind>pod|service)/)?(?P<tls>https:|http:)?(?P<name>[^/:?#]+)"
    r"(?::(?P<port>[^/?#]*))?(?P<rest>[/?#].*)?",
    re.IGNORECASE,
)


class InCluster(StrEnum):
    """What an address names; the value is the host name's ending."""

    SERVICE = "svc"
    POD = "pod"

    @property
    def resource(self) -> str:
        """The resource in Kubernetes' API."""
        return "services" if self is InCluster.SERVICE else "pods"

    @property
    def word(self) -> str:
        """For sentences."""
        return "service" if self is InCluster.SERVICE else "pod"


@dataclass(frozen=True, slots=True)
class ClusterHost:
    """A service or a pod."""

    kind: InCluster
    namespace: str
    name: str

    @property
    def host(self) -> str:
        """The host name that stands for it in URLs."""
        return f"{self.name}.{self.namespace}.{self.kind}"

    def __str__(self) -> str:
        return f"{self.kind.word} {self.name} (namespace {self.namespace})"


def cluster_host(host: str | None) -> ClusterHost | None:
    """What a URL's host names in the cluster; None when it is an ordinary host."""
    for kind, form in ((InCluster.SERVICE, _SERVICE), (InCluster.POD, _POD)):
        match = form.fullmatch((host or "").lower())
        if match is not None:
            return ClusterHost(kind, match["namespace"], match["name"])
    return None


def is_k8s_url(url: str) -> bool:
    """Whether it is of the form that `http_url_of` reads."""
    return url.lower().startswith(f"{SCHEME}://")


def http_url_of(url: str) -> str:
    """The `http://` or `https://` URL (as the server in the cluster speaks) that a `k8s://` URL stands for.

    TLS servers are written as for Kubernetes' own proxy: `k8s://ml/https:scorer:8443/predict`.

    Raises:
        ValueError: it is of another form; says which are right.
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(f"is no address in a cluster. Write it as {FORMS}")
    port = match["port"]
    if port is not None and not (port.isdecimal() and 0 < int(port) <= 65_535):
        raise ValueError("needs its port as a number. Named ports are listed by: kubectl get service -o yaml")
    kind = InCluster.POD if (match["kind"] or "").lower() == "pod" else InCluster.SERVICE
    made = ClusterHost(kind, match["namespace"], match["name"])
    if cluster_host(made.host) != made:
        raise ValueError(f"names no {kind.word} of a namespace that Kubernetes would allow. Write it as {FORMS}")
    scheme = "https" if (match["tls"] or "").lower() == "https:" else "http"
    rest = match["rest"] or "/"
    where = made.host if port is None else f"{made.host}:{port}"
    return f"{scheme}://{where}{rest if rest.startswith('/') else f'/{rest}'}"
