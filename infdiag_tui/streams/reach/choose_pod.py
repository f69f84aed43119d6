"""Which pod and port stand behind an address in the cluster, as `kubectl port-forward service/NAME` has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from infdiag_tui.model import ErrorKind
from infdiag_tui.servers.in_cluster import ClusterHost, InCluster
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_NOT_FOUND, Access, ApiError
from infdiag_tui.streams.reach.base import ReachError

_PAGE = 500


async def pod_behind(client: KubeClient, host: ClusterHost, port: int, before: str = "") -> tuple[str, int]:
    """A pod's name and the port there: of a service the first ready one, `before` if that still is one.

    Raises:
        ReachError: there is no such service, no such port of it, or no ready pod.
    """
    if host.kind is InCluster.POD:
        return host.name, port
    base = f"/api/v1/namespaces/{host.namespace}"
    try:
        service = await client.get_json(
            f"{base}/services/{quote(host.name)}", {}, Access("get", "services", host.namespace)
        )
        spec = service.get("spec") or {}
        selector = spec.get("selector") or {}
        if not selector:
            raise ReachError(f"{host} selects no pods", remedy="name one of its pods in endpoint.url")
        wanted = _port_of(spec, host, port)
        labels = ",".join(f"{name}={value}" for name, value in selector.items())
        query: dict[str, str | int] = {"labelSelector": labels, "limit": _PAGE}
        listed = await client.get_json(f"{base}/pods", query, Access("list", "pods", host.namespace))
    except ApiError as error:
        if error.status == HTTP_NOT_FOUND:
            raise ReachError(
                f"there is no {host} ({error.message})",
                kind=ErrorKind.CONNECT,
                remedy=f"correct endpoint.url; kubectl get services -n {host.namespace} lists them",
            ) from error
        raise ReachError.of(error) from error
    ready = {str(pod["metadata"]["name"]): pod for pod in listed.get("items") or () if _is_ready(pod)}
    if not ready:
        raise ReachError(
            f"no ready pod stands behind {host}",
            kind=ErrorKind.CONNECT,
            remedy=f"look at its pods and their readiness: kubectl get pods -n {host.namespace} -l {labels}",
        )
    name = before if before in ready else min(ready)
    return name, _container_port(ready[name], wanted)


def _port_of(spec: Mapping[str, Any], host: ClusterHost, port: int) -> int | str:
    ports = [one for one in spec.get("ports") or () if one.get("port") == port]
    if not ports:
        has = ", ".join(str(one.get("port")) for one in spec.get("ports") or ())
        raise ReachError(
            f"{host} has no port {port}, but: {has or 'none'}", kind=ErrorKind.CONNECT, remedy="correct endpoint.url"
        )
    found: int | str = ports[0].get("targetPort") or port
    return found


def _container_port(pod: Mapping[str, Any], wanted: int | str) -> int:
    if isinstance(wanted, int):
        return wanted
    if wanted.isdecimal():
        return int(wanted)
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == wanted:
                return int(port["containerPort"])
    raise ReachError(
        f"pod {pod['metadata']['name']} has no port of the name {wanted}, which its service wants",
        kind=ErrorKind.CONNECT,
        remedy="compare the service's targetPort with the container's ports",
    )


def _is_ready(pod: Mapping[str, Any]) -> bool:
    if (pod.get("metadata") or {}).get("deletionTimestamp"):
        return False
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
