"""A pod's status as the kubelet reports it, made from what its one container did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from infdiag_tui.lab.container import Exit
from infdiag_tui.lab.manifests import PodPlan, uid_of
from infdiag_tui.lab.times import timestamp

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """Where a container stands: running since `running_at`, ended with `ended`, or else waiting for `waiting`."""

    ready: bool = False
    ready_changed_at: float = 0.0
    restarts: int = 0
    running_at: float | None = None
    ended: Exit | None = None
    waiting: str = "ContainerCreating"
    waiting_message: str = ""
    last: Exit | None = None
    evicted: str = ""
    """Why the node put the pod out; empty when it did not."""
    unschedulable: str = ""
    """Why no node takes the pod; empty when one has it."""


def pod_object(plan: PodPlan, status: ContainerStatus, deleted_at: float | None) -> Object:
    """The whole Pod."""
    if status.unschedulable:
        return {**_head(plan), "status": _pending(plan, status.unschedulable)}
    if status.evicted:
        return {**_head(plan), "status": _failed(plan, status)}
    metadata = plan.metadata()
    if deleted_at is not None:
        metadata |= {"deletionTimestamp": timestamp(deleted_at), "deletionGracePeriodSeconds": 5}
    created = timestamp(plan.created_at)
    started = status.running_at is not None or status.ended is not None or status.last is not None
    unready = (
        {}
        if status.ready
        else {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{plan.dialect.container}]",
        }
    )
    changed = timestamp(status.ready_changed_at or plan.created_at)
    state = str(status.ready)
    return {
        **_head(plan),
        "metadata": metadata,
        "status": {
            "phase": "Running" if started else "Pending",
            "conditions": [
                {"type": "PodScheduled", "status": "True", "lastTransitionTime": created},
                {"type": "Initialized", "status": "True", "lastTransitionTime": created},
                {"type": "ContainersReady", "status": state, "lastTransitionTime": changed, **unready},
                {"type": "Ready", "status": state, "lastTransitionTime": changed, **unready},
            ],
            "hostIP": "127.0.0.1",
            "podIP": plan.ip,
            "podIPs": [{"ip": plan.ip}],
            "startTime": created,
            "qosClass": "Burstable",
            "containerStatuses": [_container(plan, status)],
        },
    }


def _head(plan: PodPlan) -> Object:
    return {"kind": "Pod", "apiVersion": "v1", "metadata": plan.metadata(), "spec": plan.spec()}


def _pending(plan: PodPlan, message: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {
        "phase": "Pending",
        "conditions": [{**condition, "lastTransitionTime": timestamp(plan.created_at)}],
        "qosClass": "Burstable",
    }


def _failed(plan: PodPlan, status: ContainerStatus) -> Object:
    changed = timestamp(status.ready_changed_at or plan.created_at)
    disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
    return {
        "phase": "Failed",
        "reason": "Evicted",
        "message": status.evicted,
        "conditions": [
            {**disrupted, "message": status.evicted, "lastTransitionTime": changed},
            {"type": "Ready", "status": "False", "reason": "PodFailed", "lastTransitionTime": changed},
        ],
        "hostIP": "127.0.0.1",
        "startTime": timestamp(plan.created_at),
        "qosClass": "Burstable",
        "containerStatuses": [_container(plan, status)],
    }


def _container(plan: PodPlan, status: ContainerStatus) -> Object:
    if status.running_at is not None:
        state: Object = {"running": {"startedAt": timestamp(status.running_at)}}
    elif status.ended is not None:
        state = {"terminated": _terminated(plan, status.ended, status.restarts)}
    else:
        state = {"waiting": {"reason": status.waiting}}
        if status.waiting_message:
            state["waiting"]["message"] = status.waiting_message
    last = {"terminated": _terminated(plan, status.last, status.restarts - 1)} if status.last else {}
    return {
        "name": plan.dialect.container,
        "image": plan.dialect.tagged_image,
        "imageID": f"{plan.dialect.image}@{plan.dialect.digest}",
        "containerID": _container_id(plan, status.restarts),
        "ready": status.ready,
        "started": status.running_at is not None,
        "restartCount": status.restarts,
        "state": state,
        "lastState": last,
    }


def _terminated(plan: PodPlan, ended: Exit, number: int) -> Object:
    return {
        "reason": ended.reason,
        "exitCode": ended.code,
        "startedAt": timestamp(ended.started_at),
        "finishedAt": timestamp(ended.finished_at),
        "containerID": _container_id(plan, max(0, number)),
    }


def _container_id(plan: PodPlan, number: int) -> str:
    return f"containerd://{uid_of(plan.uid, str(number)).replace('-', '') * 2}"
