"""Which pod and which of its containers a command goes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infdiag_tui.config import Kubernetes
from infdiag_tui.model import Container, Pod
from infdiag_tui.streams.kube.execute import ContainerPlace
from infdiag_tui.streams.kube.selection import Selection
from infdiag_tui.text import one_line

SIDECARS = frozenset(
    {
        *("istio-proxy", "linkerd-proxy", "envoy", "envoy-sidecar", "consul-dataplane"),  # service meshes
        *("queue-proxy", "agent", "kserve-agent"),  # Knative's and KServe's
        *("vault-agent", "cloud-sql-proxy", "cloudsql-proxy", "oauth2-proxy", "kube-rbac-proxy"),  # secrets, access
        *("fluent-bit", "fluentd", "filebeat", "promtail", "otel-collector", "datadog-agent"),  # observers
        "dcgm-exporter",
    }
)
"""Containers that stand beside a model server, by the names that their projects give them."""

_NAMED = 5


class NoPlaceError(Exception):
    """There is no container to go to: one sentence on why and what to try."""


def choose(pods: Iterable[Pod], settings: Kubernetes, model_name: str) -> ContainerPlace:
    """The configured pod and container; else the first ready pod (by name) and its main container.

    Raises:
        NoPlaceError: there is none that runs.
    """
    known = sorted(pods, key=lambda pod: (pod.name, pod.namespace))
    if not known:
        raise NoPlaceError(
            f"no pod of {Selection.of(settings)} is known; set kubernetes.namespace and kubernetes.selector"
        )
    if settings.exec_pod:
        pod = next((pod for pod in known if pod.name == settings.exec_pod), None)
        if pod is None:
            raise NoPlaceError(
                f"there is no pod {settings.exec_pod} among those of {Selection.of(settings)}; correct "
                f"kubernetes.exec_pod (--exec-pod): {_some([pod.name for pod in known])}"
            )
        container = main_container(pod, settings.exec_container, model_name)
        if container.state != "running":
            raise NoPlaceError(
                f"container {container.name} of pod {pod.name} does not run ({pod.status}); name another pod with "
                "kubernetes.exec_pod (--exec-pod)"
            )
        return ContainerPlace(pod.namespace, pod.name, container.name)
    trouble: NoPlaceError | None = None
    # A pod that is in trouble may be what the incident is about, but the answer of a ready one is sure to come.
    for pod in sorted(known, key=lambda pod: (pod.deleting, not pod.ready)):
        try:
            container = main_container(pod, settings.exec_container, model_name)
        except NoPlaceError as error:
            trouble = trouble or error
            continue
        if container.state == "running":
            return ContainerPlace(pod.namespace, pod.name, container.name)
    if trouble is not None:
        raise trouble
    states = _some([f"{pod.name} is {pod.status or 'unknown'}" for pod in known])
    raise NoPlaceError(f"no pod of {Selection.of(settings)} has a running container: {states}")


def place_words(namespace: str, pod: str, container: str) -> str:
    """What a container is called in questions and messages."""
    return f"container {container} of pod {pod} (namespace {namespace})"


def main_container(pod: Pod, wanted: str, model_name: str) -> Container:
    """The container of that name; else the one that the pod calls its default, else the likeliest model server.

    That is one with a GPU, before one that names ports, before one whose image bears the model's name; known sidecars
    come last, and of equals the first in the spec is taken.

    Raises:
        NoPlaceError: the pod has no such container, or none at all.
    """
    names = [container.name for container in pod.containers]
    if not names:
        raise NoPlaceError(f"pod {pod.name} has no containers yet; run the check again in a moment")
    if wanted:
        if wanted not in names:
            raise NoPlaceError(
                f"pod {pod.name} has no container {wanted}; correct kubernetes.exec_container (--exec-container): "
                f"{_some(names)}"
            )
        return pod.containers[names.index(wanted)]
    if pod.default_container in names:
        return pod.containers[names.index(pod.default_container)]
    return min(
        pod.containers,
        key=lambda one: (
            one.name in SIDECARS,
            not one.gpu_limit,
            not one.ports,
            bool(model_name) and model_name.lower() not in one.image.lower(),
        ),
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return one_line(", ".join(names[:_NAMED]), 300) + more
