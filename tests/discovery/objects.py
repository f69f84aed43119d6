"""Cluster objects as an API server states them, cut down to what discovery reads."""

from __future__ import annotations

from typing import Any


def deployment(name: str, *, namespace: str = "ml", **container: Any) -> dict[str, Any]:
    """A Deployment with one container of these fields."""
    labels = {"app": name}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"d-{namespace}-{name}", "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "c", "image": "registry.local/app:1", **container}]},
            },
        },
        "status": {"readyReplicas": 1},
    }


def service(name: str, port: int, *, namespace: str = "ml", **selector: str) -> dict[str, Any]:
    """A Service in front of what bears these labels."""
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"s-{namespace}-{name}"},
        "spec": {"selector": selector, "ports": [{"name": "http", "port": port, "targetPort": 8000}]},
    }


def gpu(name: str = "nvidia.com/gpu") -> dict[str, Any]:
    """A container's resources with one GPU."""
    return {"limits": {name: 1, "memory": "8Gi"}}


def probe(path: str) -> dict[str, Any]:
    """A probe by HTTP."""
    return {"httpGet": {"path": path, "port": 8000}}
