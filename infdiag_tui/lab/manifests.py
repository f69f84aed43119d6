"""The cluster's objects as the API shows them: what a Deployment of the model on two GPU nodes looks like."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from infdiag_tui.lab.times import timestamp

Object = dict[str, Any]

NAMESPACE = "ml-serving"
APP = "fraud-scorer"
CONTAINER = "server"
SELECTOR = f"app={APP}"
NODES = ("gpu-node-1", "gpu-node-2")
IMAGE = "registry.example/ml/fraud-scorer:2.4.1"
DIGEST = "sha256:" + hashlib.sha256(IMAGE.encode()).hexdigest()
TEMPLATE_HASH = hashlib.sha256(DIGEST.encode()).hexdigest()[:10]
REPLICA_SET = f"{APP}-{TEMPLATE_HASH}"
LABELS = {"app": APP, "pod-template-hash": TEMPLATE_HASH}
READINESS_PERIOD_S = 2
READINESS_TIMEOUT_S = 1
READINESS_FAILURES = 3


def uid_of(*names: str) -> str:
    """A stable UUID-shaped id."""
    digest = hashlib.sha256("/".join(names).encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def _metadata(name: str, created_at: float, *, namespace: str = NAMESPACE, **more: Any) -> Object:
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


def node(name: str, at: float) -> Object:
    """A node with one GPU that is shared in time slices."""
    capacity = {"cpu": "16", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "4"}
    heartbeat = {"lastHeartbeatTime": timestamp(at), "lastTransitionTime": timestamp(at)}
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": _metadata(name, at, namespace="", labels={"kubernetes.io/hostname": name, "accelerator": "nvidia"}),
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory", **heartbeat},
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

    name: str
    node: str
    ip: str
    port: int
    memory_limit_bytes: int
    created_at: float

    @property
    def uid(self) -> str:
        """The pod's uid."""
        return uid_of(NAMESPACE, self.name)

    def metadata(self) -> Object:
        """The pod's metadata."""
        owner = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": REPLICA_SET,
            "uid": uid_of(NAMESPACE, REPLICA_SET),
            "controller": True,
            "blockOwnerDeletion": True,
        }
        generated = f"{REPLICA_SET}-"
        return _metadata(self.name, self.created_at, generateName=generated, labels=LABELS, ownerReferences=[owner])

    def spec(self) -> Object:
        """The pod's spec."""
        return {
            **pod_spec(self.port, self.memory_limit_bytes),
            "nodeName": self.node,
            "serviceAccountName": "default",
            "tolerations": [],
        }


def pod_spec(port: int, memory_limit_bytes: int) -> Object:
    """The pod template's spec."""
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
                "name": CONTAINER,
                "image": IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "command": ["python", "-m", "fraud_scorer.serve"],
                "ports": [{"name": "http", "containerPort": port, "protocol": "TCP"}],
                "resources": {
                    "requests": {"cpu": "500m", "memory": memory, "nvidia.com/gpu": "1"},
                    "limits": {"cpu": "2", "memory": memory, "nvidia.com/gpu": "1"},
                },
                "readinessProbe": probe,
            },
        ],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 5,
    }


def deployment(replicas: int, ready: int, port: int, memory_limit_bytes: int, at: float) -> Object:
    """The Deployment of the model."""
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": _metadata(
            APP,
            at,
            generation=1,
            labels={"app": APP},
            annotations={"deployment.kubernetes.io/revision": "1"},
        ),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": APP}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}},
            "template": {"metadata": {"labels": {"app": APP}}, "spec": pod_spec(port, memory_limit_bytes)},
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


def replica_set(replicas: int, ready: int, port: int, memory_limit_bytes: int, at: float) -> Object:
    """The Deployment's ReplicaSet."""
    owner = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": APP,
        "uid": uid_of(NAMESPACE, APP),
        "controller": True,
    }
    return {
        "kind": "ReplicaSet",
        "apiVersion": "apps/v1",
        "metadata": _metadata(REPLICA_SET, at, generation=1, labels=LABELS, ownerReferences=[owner]),
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod_spec(port, memory_limit_bytes)},
        },
        "status": {"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": 1},
    }


def service(port: int, at: float) -> Object:
    """The Service in front of the replicas; its port is the one that the lab's front listens on."""
    return {
        "kind": "Service",
        "apiVersion": "v1",
        "metadata": _metadata(APP, at, labels={"app": APP}),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "127.0.0.1",
            "selector": {"app": APP},
            "ports": [{"name": "http", "port": port, "targetPort": "http", "protocol": "TCP"}],
        },
        "status": {"loadBalancer": {}},
    }


def endpoints(ready: list[PodPlan], at: float) -> Object:
    """The Service's ready endpoints."""
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
    return {"kind": "Endpoints", "apiVersion": "v1", "metadata": _metadata(APP, at), "subsets": subsets}
