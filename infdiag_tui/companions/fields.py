"""What the templates of companions are filled with: the incident's pod, server, process and files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from infdiag_tui.companions.catalog import Place
from infdiag_tui.config import Endpoint, Kubernetes, ModelConfig, Ssh, Via
from infdiag_tui.model import Hypothesis, Pod, Snapshot
from infdiag_tui.remote.pods import NoPlaceError, main_container
from infdiag_tui.servers.in_cluster import InCluster, cluster_host
from infdiag_tui.text import printable

Fields = Mapping[str, tuple[str, ...]]
"""By name the arguments that a field stands for; what is not known is not there."""

_CONTAINER_MAIN_PID = "1"
_V2_MODEL = re.compile(r"/v2/models/([^/]+)")


def fields_for(hypothesis: Hypothesis, snapshot: Snapshot, model: ModelConfig, place: Place) -> Fields:
    """The fields that are known about this target, for a command that serves this hypothesis."""
    found: dict[str, tuple[str, ...]] = {}
    pod = _pod(hypothesis, snapshot)
    _add_cluster(found, pod, model.kubernetes, snapshot.incident.model)
    _add_endpoint(found, model, place)
    if model.ssh is not None:
        found["ssh"] = _ssh(model.ssh)
    pid = _pid(snapshot, model, place)
    if pid:
        found["pid"] = (pid,)
    if model.logs.files:
        found["log_files"] = tuple(str(path.absolute()) for path in model.logs.files)
    onnx = _onnx_file(model)
    if onnx and place is Place.HOST:
        found["onnx_file"] = (onnx,)
    return {name: values for name, values in found.items() if all(_is_safe(value) for value in values)}


def _is_safe(value: str) -> bool:
    """False for what no shell line should hold though quoted: nothing, or signs that a terminal acts on."""
    return bool(value) and value == printable(value) and "\n" not in value and len(value) <= 2000


def _pod(hypothesis: Hypothesis, snapshot: Snapshot) -> Pod | None:
    """The pod that the evidence is about, else the one in the worst state, else any."""
    by_key = {pod.key: pod for pod in snapshot.pods}
    for argument in hypothesis.evidence_for:
        if argument.evidence.subject in by_key:
            return by_key[argument.evidence.subject]
    return min(snapshot.pods, key=lambda pod: (pod.ready, -pod.restart_count, pod.name), default=None)


def _add_cluster(
    found: dict[str, tuple[str, ...]], pod: Pod | None, kubernetes: Kubernetes | None, model_name: str
) -> None:
    namespace = pod.namespace if pod else kubernetes.namespace if kubernetes else ""
    if kubernetes is None:
        return
    kubeconfig = str(kubernetes.kubeconfig) if kubernetes.kubeconfig else ""

    def program(name: str, context_flag: str = "--context") -> tuple[str, ...]:
        flags = (("--kubeconfig", kubeconfig), (context_flag, kubernetes.context), ("--namespace", namespace))
        return (name, *(f"{flag}={value}" for flag, value in flags if value))

    for name in ("kubectl", "stern", "k9s"):
        found[name] = program(name)
    found["helm"] = program("helm", "--kube-context")
    if kubernetes.selector:
        found["selector"] = (kubernetes.selector,)
    if namespace:
        found["namespace"] = (namespace,)
    if pod is None:
        return
    found["pod"] = (pod.name,)
    if pod.node:
        found["node"] = (pod.node,)
    with suppress(NoPlaceError):
        found["container"] = (main_container(pod, kubernetes.exec_container, model_name).name,)
    kind, _, owner = pod.owner.partition("/")
    template = pod.labels.get("pod-template-hash", "")
    if kind == "ReplicaSet" and template and owner.endswith(f"-{template}"):
        found["deployment"] = (owner.removesuffix(f"-{template}"),)
    if pod.labels.get("app.kubernetes.io/managed-by") == "Helm" and pod.labels.get("app.kubernetes.io/instance"):
        found["release"] = (pod.labels["app.kubernetes.io/instance"],)


def _add_endpoint(found: dict[str, tuple[str, ...]], model: ModelConfig, place: Place) -> None:
    endpoint = model.endpoint
    if endpoint is None or not _knows_the_way(endpoint, place):
        return
    parts = urlsplit(endpoint.url)
    host = parts.hostname or ""
    port = str(parts.port or {"http": 80, "https": 443}[parts.scheme])
    found["url"] = (_without_credentials(endpoint.url),)
    health = endpoint.health_url or urlunsplit((parts.scheme, parts.netloc, "/health", "", ""))
    found["health_url"] = (_without_credentials(health),)
    found["host"], found["port"] = (host,), (port,)
    found["host_port"] = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}",)
    if endpoint.body_file:
        found["body_file"] = (str(endpoint.body_file),)
    named = _V2_MODEL.search(parts.path)
    if named:
        found["served_model"] = (named[1],)


def _knows_the_way(endpoint: Endpoint, place: Place) -> bool:
    """Whether an ordinary program there can connect to the endpoint's address by itself."""
    named = cluster_host(urlsplit(endpoint.url).hostname)
    if named is not None and named.kind is InCluster.POD:
        return False
    return endpoint.via is Via.DIRECT or place is Place.BESIDE


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _ssh(ssh: Ssh) -> tuple[str, ...]:
    flags = (("-p", str(ssh.port or "")), ("-l", ssh.user), ("-i", str(ssh.identity_file or "")))
    return ("ssh", *(word for flag, value in flags if value for word in (flag, value)), "--", ssh.host)


def _pid(snapshot: Snapshot, model: ModelConfig, place: Place) -> str:
    if place is Place.BESIDE:
        # On a host over SSH nobody has told us the server's process.
        return _CONTAINER_MAIN_PID if model.ssh is None else ""
    running = next((one.pid for one in snapshot.processes if one.running and one.pid), None)
    pid = running or model.host.pid
    return str(pid) if pid else ""


def _onnx_file(model: ModelConfig) -> str:
    """The ONNX file that the config names for the checks `profile` and `version`."""
    named = [model.checks.get("profile", {}).get("source")]
    files = model.checks.get("version", {}).get("file")
    named += files if isinstance(files, list | tuple) else [files]
    paths = (str(one) for one in named if one)
    return next((one for one in paths if one.endswith(".onnx") and not any(sign in one for sign in "*?[")), "")
