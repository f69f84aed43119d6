"""Lists in the form that `kubectl get` prints: rows and columns made by the server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from infdiag_tui.lab.times import age_text, seconds_of

Object = dict[str, Any]
_Columns = tuple[tuple[str, int], ...]
"""Title and priority; 1 is shown only with `-o wide`."""


def wants_table(accept: str) -> bool:
    """True when an Accept header asks for a table of `meta.k8s.io/v1` first."""
    first = accept.split(",", 1)[0].replace(" ", "")
    return "as=Table" in first and "v=v1;" in first + ";"


def table(resource: str, items: list[Object], *, metadata: Object, whole: bool, headed: bool = True) -> Object:
    """A `meta.k8s.io/v1` Table of these objects; rows carry whole objects or their metadata only."""
    columns, cells = _TABLES.get(resource, _PLAIN)
    definitions = [
        {
            "name": title,
            "type": "string",
            "format": "name" if title == "Name" else "",
            "priority": priority,
            "description": "",
        }
        for title, priority in columns
    ]
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions if headed else None,
        "rows": [
            {"cells": cells(item), "object": item if whole else {**partial, "metadata": item["metadata"]}}
            for item in items
        ],
    }


def _age(item: Object) -> str:
    return age_text(time.time() - seconds_of(item["metadata"]["creationTimestamp"]))


def _plain_cells(item: Object) -> list[Any]:
    return [item["metadata"]["name"], _age(item)]


def _pod_cells(item: Object) -> list[Any]:
    statuses = item["status"].get("containerStatuses", [])
    restarts = sum(status["restartCount"] for status in statuses)
    ends = [status["lastState"]["terminated"]["finishedAt"] for status in statuses if status.get("lastState")]
    restarted = (
        f"{restarts} ({age_text(time.time() - seconds_of(max(ends)))} ago)" if restarts and ends else str(restarts)
    )
    reason = item["status"]["phase"]
    for status in statuses:
        for state in ("waiting", "terminated"):
            reason = status["state"].get(state, {}).get("reason") or reason
    if "deletionTimestamp" in item["metadata"]:
        reason = "Terminating"
    ready = sum(status["ready"] for status in statuses)
    return [
        item["metadata"]["name"],
        f"{ready}/{len(item['spec']['containers'])}",
        reason,
        restarted,
        _age(item),
        item["status"].get("podIP", "<none>"),
        item["spec"].get("nodeName", "<none>"),
        "<none>",
        "<none>",
    ]


def _event_cells(item: Object) -> list[Any]:
    involved = item["involvedObject"]
    return [
        age_text(time.time() - seconds_of(item["lastTimestamp"])),
        item["type"],
        item["reason"],
        f"{involved['kind'].lower()}/{involved['name']}",
        item["message"],
    ]


def _deployment_cells(item: Object) -> list[Any]:
    status = item["status"]
    ready = f"{status.get('readyReplicas', 0)}/{item['spec']['replicas']}"
    return [item["metadata"]["name"], ready, status["updatedReplicas"], status.get("availableReplicas", 0), _age(item)]


def _replica_set_cells(item: Object) -> list[Any]:
    status = item["status"]
    return [
        item["metadata"]["name"],
        item["spec"]["replicas"],
        status["replicas"],
        status.get("readyReplicas", 0),
        _age(item),
    ]


def _stateful_set_cells(item: Object) -> list[Any]:
    ready = f"{item['status'].get('readyReplicas', 0)}/{item['spec']['replicas']}"
    return [item["metadata"]["name"], ready, _age(item)]


def _service_cells(item: Object) -> list[Any]:
    spec = item["spec"]
    ports = ",".join(f"{port['port']}/{port['protocol']}" for port in spec["ports"])
    return [item["metadata"]["name"], spec["type"], spec.get("clusterIP", "<none>"), "<none>", ports, _age(item)]


def _node_cells(item: Object) -> list[Any]:
    return [item["metadata"]["name"], "Ready", "<none>", _age(item), item["status"]["nodeInfo"]["kubeletVersion"]]


def _shown(*titles: str) -> _Columns:
    return tuple((title, 0) for title in titles)


_PLAIN: tuple[_Columns, Callable[[Object], list[Any]]] = (_shown("Name", "Age"), _plain_cells)
_TABLES: dict[str, tuple[_Columns, Callable[[Object], list[Any]]]] = {
    "pods": (
        (
            *_shown("Name", "Ready", "Status", "Restarts", "Age"),
            ("IP", 1),
            ("Node", 1),
            ("Nominated Node", 1),
            ("Readiness Gates", 1),
        ),
        _pod_cells,
    ),
    "events": (_shown("Last Seen", "Type", "Reason", "Object", "Message"), _event_cells),
    "deployments": (_shown("Name", "Ready", "Up-to-date", "Available", "Age"), _deployment_cells),
    "replicasets": (_shown("Name", "Desired", "Current", "Ready", "Age"), _replica_set_cells),
    "statefulsets": (_shown("Name", "Ready", "Age"), _stateful_set_cells),
    "services": (_shown("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age"), _service_cells),
    "nodes": (_shown("Name", "Status", "Roles", "Age", "Version"), _node_cells),
}
