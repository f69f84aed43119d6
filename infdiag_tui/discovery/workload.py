"""What serves requests, as a cluster's objects or this machine's processes describe it; every text printable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infdiag_tui.text import clean, one_line

_Raw = Mapping[str, Any]
_GPU_ENDINGS = ("/gpu", "/gaudi", "/tpu", "/neuron")


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing that may serve a model.

    `context` and `namespace` are where a cluster's object is; on this machine they are empty, and it is known by `pid`
    and `ports`. `selector` selects its pods. `service` and `service_port` are a Service in front of it.
    """

    kind: str
    name: str
    context: str = ""
    namespace: str = ""
    uid: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    pod_labels: Mapping[str, str] = field(default_factory=dict)
    annotations: frozenset[str] = frozenset()
    selector: str = ""
    images: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    probes: tuple[str, ...] = ()
    environment: frozenset[str] = frozenset()
    gpus: bool = False
    replicas: str = ""
    service: str = ""
    service_port: str = ""
    pid: int | None = None
    container: str = ""

    @property
    def where(self) -> str:
        """The place in words."""
        if self.pid is not None:
            inside = f" in container {self.container}" if self.container else ""
            return f"pid {self.pid} on this machine{inside}"
        return f"namespace {self.namespace}" + (f", context {self.context}" if self.context else "")


def from_template(raw: _Raw, kind: str, context: str) -> Workload | None:
    """A Deployment or StatefulSet; None for one that selects nothing."""
    meta, spec = _map(raw, "metadata"), _map(raw, "spec")
    template = _map(spec, "template")
    selector = _selector(_map(spec, "selector"))
    if not _text(meta, "name") or not selector:
        return None
    status = _map(raw, "status")
    ready, wanted = status.get("readyReplicas") or 0, spec.get("replicas")
    containers = _list(_map(template, "spec"), "containers")
    return Workload(
        kind=kind,
        name=_text(meta, "name"),
        context=context,
        namespace=_text(meta, "namespace"),
        uid=_text(meta, "uid"),
        labels=_labels(meta),
        pod_labels=_labels(_map(template, "metadata")),
        annotations=_keys(_map(meta, "annotations")) | _keys(_map(_map(template, "metadata"), "annotations")),
        selector=selector,
        images=tuple(_text(one, "image") for one in containers),
        commands=tuple(_command(one) for one in containers),
        ports=tuple(_ports(containers)),
        probes=tuple(_probes(containers)),
        environment=frozenset(_text(one, "name") for of in containers for one in _list(of, "env")),
        gpus=any(_wants_gpu(one) for one in containers),
        replicas=f"{ready} of {wanted if isinstance(wanted, int) else 1} ready",
    )


def from_inference_service(raw: _Raw, context: str) -> Workload | None:
    """KServe's InferenceService; its pods bear its name in a label."""
    meta, predictor = _map(raw, "metadata"), _map(_map(raw, "spec"), "predictor")
    name = _text(meta, "name")
    if not name:
        return None
    conditions = _list(_map(raw, "status"), "conditions")
    ready = next((_text(one, "status") for one in conditions if one.get("type") == "Ready"), "")
    label = "serving.kserve.io/inferenceservice"
    model = _map(predictor, "model")
    return Workload(
        kind="InferenceService",
        name=name,
        context=context,
        namespace=_text(meta, "namespace"),
        uid=_text(meta, "uid"),
        labels=_labels(meta),
        pod_labels={label: name},
        selector=f"{label}={name}",
        images=tuple(_text(one, "image") for one in _list(predictor, "containers")),
        gpus=_wants_gpu(model) or any(_wants_gpu(one) for one in _list(predictor, "containers")),
        replicas="ready" if ready == "True" else "not ready",
        service=f"{name}-predictor",
        service_port="80",
    )


def from_ray_service(raw: _Raw, context: str) -> Workload | None:
    """KubeRay's RayService; its pods bear the name of the Ray cluster that is active now."""
    meta = _map(raw, "metadata")
    active = _map(_map(raw, "status"), "activeServiceStatus")
    name, cluster = _text(meta, "name"), _text(active, "rayClusterName")
    if not name or not cluster:
        return None
    return Workload(
        kind="RayService",
        name=name,
        context=context,
        namespace=_text(meta, "namespace"),
        uid=_text(meta, "uid"),
        labels=_labels(meta),
        pod_labels={"ray.io/cluster": cluster},
        selector=f"ray.io/cluster={cluster}",
        replicas=f"cluster {cluster}",
        service=f"{name}-serve-svc",
        service_port="8000",
    )


def from_pod(raw: _Raw, context: str) -> Workload | None:
    """A pod by its metadata alone, for pods that nothing else stands for."""
    meta = _map(raw, "metadata")
    return Workload(
        kind="Pod",
        name=_text(meta, "name"),
        context=context,
        namespace=_text(meta, "namespace"),
        uid=_text(meta, "uid"),
        pod_labels=_labels(meta),
    )


def from_service(raw: _Raw, context: str) -> Workload | None:
    """A Service by itself, for who may not read what stands behind it; None for one that selects nothing."""
    meta, spec = _map(raw, "metadata"), _map(raw, "spec")
    selector = ",".join(f"{key}={value}" for key, value in sorted(_strings(_map(spec, "selector")).items()))
    ports = [one for one in _list(spec, "ports") if one.get("protocol", "TCP") == "TCP"]
    if not _text(meta, "name") or not selector:
        return None
    numbers = [one["port"] for one in ports if isinstance(one.get("port"), int)]
    targets = [one["targetPort"] for one in ports if isinstance(one.get("targetPort"), int)]
    return Workload(
        kind="Service",
        name=_text(meta, "name"),
        context=context,
        namespace=_text(meta, "namespace"),
        uid=_text(meta, "uid"),
        labels=_labels(meta),
        pod_labels=_strings(_map(spec, "selector")),
        annotations=_keys(_map(meta, "annotations")),
        selector=selector,
        ports=tuple(dict.fromkeys((*numbers, *targets))),
        service=_text(meta, "name"),
        service_port=str(numbers[0]) if numbers else "",
    )


def _selector(raw: _Raw) -> str:
    parts = [f"{key}={value}" for key, value in sorted(_strings(_map(raw, "matchLabels")).items())]
    for one in _list(raw, "matchExpressions"):
        key, operator = _text(one, "key"), one.get("operator")
        values = ",".join(str(value) for value in one.get("values") or ())
        match operator:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case "DoesNotExist":
                parts.append(f"!{key}")
            case _:
                pass
    return one_line(",".join(parts), 1000)


def _command(container: _Raw) -> str:
    words = [
        str(word) for key in ("command", "args") for word in container.get(key) or () if isinstance(word, str | int)
    ]
    return one_line(clean(" ".join(words)), 2000)


def _ports(containers: list[_Raw]) -> Iterator[int]:
    for container in containers:
        for port in _list(container, "ports"):
            if isinstance(port.get("containerPort"), int):
                yield port["containerPort"]


def _probes(containers: list[_Raw]) -> Iterator[str]:
    for container in containers:
        for name in ("readinessProbe", "livenessProbe", "startupProbe"):
            if path := _text(_map(_map(container, name), "httpGet"), "path"):
                yield path


def _wants_gpu(container: _Raw) -> bool:
    resources = _map(container, "resources")
    names = {*_map(resources, "limits"), *_map(resources, "requests")}
    return any(str(name).endswith(_GPU_ENDINGS) or "/mig-" in str(name) for name in names)


def _labels(meta: _Raw) -> dict[str, str]:
    return _strings(_map(meta, "labels"))


def _strings(raw: _Raw) -> dict[str, str]:
    return {one_line(str(key), 300): one_line(str(value), 300) for key, value in raw.items()}


def _keys(raw: _Raw) -> frozenset[str]:
    return frozenset(one_line(str(key), 300) for key in raw)


def _map(raw: _Raw, key: str) -> _Raw:
    found = raw.get(key)
    return found if isinstance(found, Mapping) else {}


def _list(raw: _Raw, key: str) -> list[_Raw]:
    found = raw.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _text(raw: _Raw, key: str) -> str:
    found = raw.get(key)
    return one_line(found, 300) if isinstance(found, str) else ""
