"""The cluster's objects as the API shows them: what a Deployment of the model on GPU nodes looks like."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.times import timestamp

Object = dict[str, Any]

READINESS_PERIOD_S = 2
READINESS_TIMEOUT_S = 1
READINESS_FAILURES = 3
NODE_CORES = 1
"""Each node has one core of the machine that the lab runs on."""
CPU_LIMIT_CORES = 2.0


def uid_of(*names: str) -> str:
    """A stable UUID-shaped id."""
    digest = hashlib.sha256("/".join(names).encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def _metadata(name: str, created_at: float, *, namespace: str, **more: Any) -> Object:
    where = {"namespace": namespace} if namespace else {}
    identity = {"name": name, **where, "uid": uid_of(namespace, name), "creationTimestamp": timestamp(created_at)}
    return {**identity, **more}


def namespace(name: str, at: float) -> Object:
    """A namespace."""
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": _metadata(name, at, namespace="", labels={"kubernetes.io/metadata.name": name}),
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def node(name: str, at: float, *, pressure: bool = False) -> Object:
    """A node with one GPU that is shared in time slices; `pressure`: it is short of memory."""
    capacity = {"cpu": str(NODE_CORES), "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "4"}
    heartbeat = {"lastHeartbeatTime": timestamp(at), "lastTransitionTime": timestamp(at)}
    memory = {"status": "False", "reason": "KubeletHasSufficientMemory"}
    if pressure:
        memory = {"status": "True", "reason": "KubeletHasInsufficientMemory"}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": _metadata(name, at, namespace="", labels={"kubernetes.io/hostname": name, "accelerator": "nvidia"}),
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {"type": "MemoryPressure", **memory, **heartbeat},
                {"type": "DiskPressure", "status": "False", "reason": "KubeletHasNoDiskPressure", **heartbeat},
                {"type": "Ready", "status": "True", "reason": "KubeletReady", **heartbeat},
            ],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": name}],
            "nodeInfo": {"kubeletVersion": "v1.31.4", "containerRuntimeVersion": "containerd://1.7.22"},
        },
    }


@dataclass(frozen=True, slots=True)
class PodPlan:
    """What is fixed about a pod from its creation on."""

    dialect: Dialect
    name: str
    node: str
    ip: str
    port: int
    memory_limit_bytes: int
    created_at: float
    index: int = 0
    """Which replica it stands for: a pod that takes another's place has the same."""
    cpu_limit_cores: float = CPU_LIMIT_CORES

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return uid_of(self.dialect.namespace, self.name)

    def metadata(self) -> Object:
        """The pod's metadata."""
        owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": self.dialect.replica_set,
            "uid": uid_of(self.dialect.namespace, self.dialect.replica_set),
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return _metadata(
            self.name,
            self.created_at,
            namespace=self.dialect.namespace,
            generateName=f"{self.dialect.replica_set}-",
            labels=self.dialect.labels,
            ownerReferences=[owner],
        )

    def spec(self) -> Object:
        """The pod's spec."""
        return {
            **pod_spec(self.dialect, self.port, self.memory_limit_bytes, self.cpu_limit_cores),
            **({"nodeName": self.node} if self.node else {}),
            "serviceAccountName": "default",
            "tolerations": [],
        }


def pod_spec(names: Dialect, port: int, memory_limit_bytes: int, cpu_limit_cores: float = CPU_LIMIT_CORES) -> Object:
    """The pod template's spec."""
    millicores = round(cpu_limit_cores * 1000)
    memory = f"{memory_limit_bytes // 1024}Ki"
    probe = {
        "httpGet": {"path": "/health", "port": port, "scheme": "HTTP"},
        "periodSeconds": READINESS_PERIOD_S,
        "timeoutSeconds": READINESS_TIMEOUT_S,
        "failureThreshold": READINESS_FAILURES,
        "successThreshold": 1,
    }
    return {
        "containers": [
            {
                "name": names.container,
                "image": names.tagged_image,
                "imagePullPolicy": "IfNotPresent",
                "command": list(names.command),
                "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
                "resources": {
                    "requests": {"cpu": f"{min(250, millicores)}m", "memory": memory, "nvidia.com/gpu": "1"},
                    "limits": {"cpu": f"{millicores}m", "memory": memory, "nvidia.com/gpu": "1"},
                },
                "readinessProbe": probe,
            },
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 5,
    }


def deployment(names: Dialect, replicas: int, ready: int, port: int, memory_limit_bytes: int, at: float) -> Object:
    """The Deployment of the model."""
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": _metadata(
            names.app,
            at,
            namespace=names.namespace,
            generation=1,
            labels={names.label: names.app},
            annotations={"deployment.kubernetes.io/revision": "1"},
        ),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {names.label: names.app}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
            "template": {
                "metadata": {"labels": {names.label: names.app}},
                "spec": pod_spec(names, port, memory_limit_bytes),
            },
        },
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": ready,
            "availableReplicas": ready,
            "unavailableReplicas": replicas - ready,
        },
    }


def replica_set(names: Dialect, replicas: int, ready: int, port: int, memory_limit_bytes: int, at: float) -> Object:
    """The Deployment's ReplicaSet."""
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": names.app,
        "uid": uid_of(names.namespace, names.app),
        "controller": True,
    }
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": _metadata(
            names.replica_set,
            at,
            namespace=names.namespace,
            generation=1,
            labels=names.labels,
            ownerReferences=[owner],
        ),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": names.labels},
            "template": {"metadata": {"labels": names.labels}, "spec": pod_spec(names, port, memory_limit_bytes)},
        },
        "status": {"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": 1},
    }


def service(names: Dialect, port: int, at: float) -> Object:
    """The Service in front of the replicas; its port is the one that the lab's front listens on."""
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": _metadata(names.app, at, namespace=names.namespace, labels={names.label: names.app}),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "127.0.0.1",
            "selector": {names.label: names.app},
            "ports": [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {}},
    }


def endpoints(names: Dialect, ready: list[PodPlan], at: float) -> Object:
    """The Service's ready endpoints."""
    metadata = _metadata(names.app, at, namespace=names.namespace)
    subsets = [
        {
            "addresses": [
                {
                    "ip": plan.ip,
                    "nodeName": plan.node,
                    "targetRef": {"kind": "Pod", "name": plan.name, "uid": plan.uid},
                },
            ],
            "ports": [{"name": "http", "port": plan.port, "protocol": "TCP"}],
        }
        for plan in ready
    ]
    return {"kind": "Endpoints", "apiVersion": "v1", "metadata": metadata, "subsets": subsets}
