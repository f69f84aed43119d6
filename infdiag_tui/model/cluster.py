"""Pods, their usage and their events as the Kubernetes API states them; absent fields are None, never zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Termination:
    """How a container's run ended (`lastState.terminated`)."""

    reason: str
    exit_code: int | None
    finished_at: float | None
    signal: int | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a pod: what it was given and how it fares.

    CPU is in cores, memory in bytes; requests and limits that the spec does not set are None. `state` is `running`,
    `waiting`, `terminated` or empty when the kubelet has not reported yet.
    """

    name: str
    image: str = ""
    digest: str = ""
    ready: bool = False
    restart_count: int = 0
    state: str = ""
    state_reason: str = ""
    state_message: str = ""
    started_at: float | None = None
    termination: Termination | None = None
    """The end of the previous run, or of this one when `state` is `terminated`."""
    cpu_request_cores: float | None = None
    cpu_limit_cores: float | None = None
    memory_request_bytes: int | None = None
    memory_limit_bytes: int | None = None
    gpu_limit: int | None = None
    ports: tuple[int, ...] = ()
    """TCP ports that the spec names."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod as last seen; `key` is `namespace/name`."""

    namespace: str
    name: str
    uid: str
    phase: str
    at: float
    node: str = ""
    pod_ip: str = ""
    created_at: float | None = None
    ready: bool = False
    deleting: bool = False
    reason: str = ""
    message: str = ""
    qos_class: str = ""
    owner: str = ""
    """`Kind/name` of the controlling owner."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """Conditions that are not as they should be: type to `reason: message`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    ready_at: float | None = None
    """Since when it has been ready; None while it isn't, or where the cluster does not say."""
    unready_at: float | None = None
    """Since when it has not been ready; None while it is, or where the cluster does not say."""
    metrics_at: str = ""
    """`:PORT/PATH` of its metrics, by the prometheus.io annotations or a container port named for them; else empty."""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    default_container: str = ""
    """The container that the pod's annotation names for kubectl and its like; empty without one."""

    @property
    def key(self) -> str:
        """`namespace/name`, the id under which the hub keeps it."""
        return f"{self.namespace}/{self.name}"

    @property
    def restart_count(self) -> int:
        """Restarts of all its containers together."""
        return sum(container.restart_count for container in self.containers)

    @property
    def memory_limit_bytes(self) -> int | None:
        """The sum of its containers' memory limits; None as soon as one has no limit."""
        limits = [container.memory_limit_bytes for container in self.containers]
        return sum(limit for limit in limits if limit is not None) if limits and None not in limits else None

    @property
    def cpu_limit_cores(self) -> float | None:
        """The sum of its containers' CPU limits; None as soon as one has no limit."""
        limits = [container.cpu_limit_cores for container in self.containers]
        return sum(limit for limit in limits if limit is not None) if limits and None not in limits else None

    @property
    def last_termination(self) -> Termination | None:
        """The most recent end of any of its containers."""
        ends = [container.termination for container in self.containers if container.termination]
        return max(ends, key=lambda end: end.finished_at or 0.0, default=None)

    @property
    def status(self) -> str:
        """The one word that `kubectl get pods` shows: a waiting or terminated reason before the phase."""
        if self.deleting:
            return "Terminating"
        for container in (*self.init_containers, *self.containers):
            if container.state == "waiting" and container.state_reason not in ("", "PodInitializing"):
                return container.state_reason
            if container.state == "terminated" and container.state_reason not in ("", "Completed"):
                return container.state_reason
        return self.reason or self.phase


@dataclass(frozen=True, slots=True)
class PodGone:
    """A pod that left the cluster."""

    namespace: str
    name: str
    uid: str
    at: float

    @property
    def key(self) -> str:
        """`namespace/name`, as `Pod.key`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PodUsage:
    """CPU and memory of a pod over a window that metrics-server measured.

    `at` is the end of the window as metrics-server states it (often 15 s or more ago). Memory is the working set.
    """

    namespace: str
    pod: str
    at: float
    window_s: float
    cpu_cores: float
    memory_bytes: int

    @property
    def key(self) -> str:
        """`namespace/name` of its pod."""
        return f"{self.namespace}/{self.pod}"


@dataclass(frozen=True, slots=True)
class ClusterEvent:
    """A Kubernetes event about one of the watched pods; repeated ones raise `count`."""

    uid: str
    namespace: str
    kind: str
    name: str
    type: str
    reason: str
    message: str
    count: int
    first_at: float | None
    last_at: float | None
    at: float

    @property
    def key(self) -> str:
        """The event's uid."""
        return self.uid
