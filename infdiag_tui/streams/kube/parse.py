"""Pods, events and usage figures from raw API objects; every text made printable, absent fields None."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infdiag_tui.model import ClusterEvent, Container, Pod, PodUsage, Termination
from infdiag_tui.streams.kube.quantities import cores, duration_s, unix_s, whole
from infdiag_tui.text import clean, one_line, printable

_Raw = Mapping[str, Any]

_BAD_WHEN_TRUE = frozenset({"DisruptionTarget", "PodResizePending", "PodResizeInProgress"})
"""Conditions that are well when absent or False; all others are well when True."""
_MESSAGE_LIMIT = 500
_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


def parse_pod(raw: _Raw, at: float) -> Pod:
    """A pod as of `at` (Unix seconds, when it was read)."""
    meta, spec, status = _map(raw, "metadata"), _map(raw, "spec"), _map(raw, "status")
    conditions = _list(status, "conditions")
    return Pod(
        namespace=_word(meta, "namespace"),
        name=_word(meta, "name"),
        uid=_word(meta, "uid"),
        phase=_word(status, "phase"),
        at=at,
        node=_word(spec, "nodeName"),
        pod_ip=_word(status, "podIP"),
        created_at=unix_s(meta.get("creationTimestamp")),
        ready=any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions),
        deleting=bool(meta.get("deletionTimestamp")),
        reason=_word(status, "reason"),
        message=_message(status),
        qos_class=_word(status, "qosClass"),
        owner=_owner(meta),
        conditions=_troubled(conditions),
        labels={_text(key): _text(value) for key, value in _map(meta, "labels").items()},
        ready_at=_ready_since(conditions, ready=True),
        unready_at=_ready_since(conditions, ready=False),
        metrics_at=_metrics_at(_map(meta, "annotations"), _list(spec, "containers")),
        containers=tuple(_containers(_list(spec, "containers"), _list(status, "containerStatuses"))),
        init_containers=tuple(_containers(_list(spec, "initContainers"), _list(status, "initContainerStatuses"))),
        default_container=_word(_map(meta, "annotations"), _DEFAULT_CONTAINER),
    )


def parse_event(raw: _Raw, at: float) -> ClusterEvent:
    """A core/v1 event in any of its forms: first/last timestamps and count, or eventTime and series."""
    meta, about, series = _map(raw, "metadata"), _map(raw, "involvedObject"), _map(raw, "series")
    created = unix_s(meta.get("creationTimestamp"))
    first = unix_s(raw.get("firstTimestamp")) or unix_s(raw.get("eventTime")) or created
    last = unix_s(series.get("lastObservedTime")) or unix_s(raw.get("lastTimestamp")) or unix_s(raw.get("eventTime"))
    count = series.get("count") or raw.get("count")
    return ClusterEvent(
        uid=_word(meta, "uid"),
        namespace=_word(about, "namespace") or _word(meta, "namespace"),
        kind=_word(about, "kind"),
        name=_word(about, "name"),
        type=_word(raw, "type"),
        reason=_word(raw, "reason"),
        message=_message(raw),
        count=count if isinstance(count, int) and count > 0 else 1,
        first_at=first,
        last_at=last or first,
        at=at,
    )


def parse_usage(raw: _Raw) -> PodUsage | None:
    """One PodMetrics item, summed over containers; None unless time, CPU and memory of each can be read."""
    meta = _map(raw, "metadata")
    at, window_s = unix_s(raw.get("timestamp")), duration_s(raw.get("window"))
    usages = [_map(container, "usage") for container in _list(raw, "containers")]
    cpu = [cores(usage.get("cpu")) for usage in usages]
    memory = [whole(usage.get("memory")) for usage in usages]
    if at is None or not usages or None in cpu or None in memory:
        return None
    return PodUsage(
        namespace=_word(meta, "namespace"),
        pod=_word(meta, "name"),
        at=at,
        window_s=window_s or 0.0,
        cpu_cores=sum(value for value in cpu if value is not None),
        memory_bytes=sum(value for value in memory if value is not None),
    )


def _containers(specs: list[_Raw], statuses: list[_Raw]) -> Iterator[Container]:
    by_name = {status.get("name"): status for status in statuses}
    for spec in specs:
        status = by_name.get(spec.get("name")) or {}
        state_name, state = _state(status)
        ended = _map(_map(status, "lastState"), "terminated")
        # After a resize in place the status holds the limits in force, not the spec.
        resources = _map(status, "resources") or _map(spec, "resources")
        requests, limits = _map(resources, "requests"), _map(resources, "limits")
        restarts = status.get("restartCount")
        yield Container(
            name=_word(spec, "name"),
            image=_word(spec, "image"),
            digest=_digest(_word(status, "imageID")),
            ready=status.get("ready") is True,
            restart_count=restarts if isinstance(restarts, int) else 0,
            state=state_name,
            state_reason=_word(state, "reason"),
            state_message=_message(state),
            started_at=unix_s(state.get("startedAt")),
            termination=_termination(state if state_name == "terminated" else ended),
            cpu_request_cores=cores(requests.get("cpu")),
            cpu_limit_cores=cores(limits.get("cpu")),
            memory_request_bytes=whole(requests.get("memory")),
            memory_limit_bytes=whole(limits.get("memory")),
            gpu_limit=_gpus(limits),
            ports=_ports(spec),
        )


def _ports(spec: _Raw) -> tuple[int, ...]:
    found = (port.get("containerPort") for port in _list(spec, "ports") if port.get("protocol", "TCP") == "TCP")
    return tuple(port for port in found if isinstance(port, int))


def _ready_since(conditions: list[_Raw], *, ready: bool) -> float | None:
    """When the condition Ready became true, or not true; None while it is otherwise."""
    ours = (c for c in conditions if c.get("type") == "Ready" and (c.get("status") == "True") is ready)
    return next((unix_s(c.get("lastTransitionTime")) for c in ours), None)


def _metrics_at(annotations: _Raw, containers: list[_Raw]) -> str:
    """As Prometheus' customary annotations say; without them a port whose name speaks of metrics."""
    scrape, port = (str(annotations.get(f"prometheus.io/{key}") or "") for key in ("scrape", "port"))
    if scrape == "true" and port.isascii() and port.isdigit():
        path = _word(annotations, "prometheus.io/path") or "/metrics"
        return f":{port}{path if path.startswith('/') else f'/{path}'}"
    for found in (port for container in containers for port in _list(container, "ports")):
        name = str(found.get("name") or "")
        if isinstance(found.get("containerPort"), int) and ("metric" in name or "prom" in name):
            return f":{found['containerPort']}/metrics"
    return ""


def _state(status: _Raw) -> tuple[str, _Raw]:
    states = _map(status, "state")
    for name in ("running", "waiting", "terminated"):
        if isinstance(states.get(name), Mapping):
            return name, states[name]
    return "", {}


def _termination(ended: _Raw) -> Termination | None:
    if not ended:
        return None
    code, signal = ended.get("exitCode"), ended.get("signal")
    return Termination(
        reason=_word(ended, "reason"),
        exit_code=code if isinstance(code, int) else None,
        finished_at=unix_s(ended.get("finishedAt")),
        signal=signal if isinstance(signal, int) and signal else None,
        message=_message(ended),
    )


def _gpus(limits: _Raw) -> int | None:
    found = [whole(value) for name, value in limits.items() if name.endswith("/gpu") or "/mig-" in name]
    counts = [count for count in found if count is not None]
    return sum(counts) if counts else None


def _troubled(conditions: list[_Raw]) -> dict[str, str]:
    found = {}
    for condition in conditions:
        kind = _word(condition, "type")
        well = "False" if kind in _BAD_WHEN_TRUE else "True"
        # A pod that ran to its end is not ready, and that is as it should be.
        if condition.get("status") != well and condition.get("reason") != "PodCompleted":
            words = (_word(condition, "reason") or str(condition.get("status") or "Unknown"), _message(condition))
            found[kind] = one_line(": ".join(filter(None, words)), _MESSAGE_LIMIT)
    return found


def _owner(meta: _Raw) -> str:
    for owner in _list(meta, "ownerReferences"):
        if owner.get("controller"):
            return f"{_word(owner, 'kind')}/{_word(owner, 'name')}"
    return ""


def _digest(image_id: str) -> str:
    tail = image_id.rpartition("@")[2]
    return tail if tail.startswith("sha256:") else ""


def _map(raw: _Raw, key: str) -> _Raw:
    found = raw.get(key)
    return found if isinstance(found, Mapping) else {}


def _list(raw: _Raw, key: str) -> list[_Raw]:
    found = raw.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _word(raw: _Raw, key: str) -> str:
    found = raw.get(key)
    return _text(found) if isinstance(found, str) else ""


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if text.isascii() and text.isprintable() else printable(text).replace("\n", " ")


def _message(raw: _Raw) -> str:
    found = raw.get("message")
    return one_line(clean(found), _MESSAGE_LIMIT) if isinstance(found, str) and found else ""
