"""The kinds of object that the API serves, and discovery documents about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

_READ = ("get", "list", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as discovery describes it; `group` is empty for the core group."""

    group: str
    version: str
    name: str
    kind: str
    namespaced: bool = True
    verbs: tuple[str, ...] = _READ
    short: tuple[str, ...] = ()
    subresources: tuple[tuple[str, str, str], ...] = ()
    """Name, kind and verb of each."""

    @property
    def group_version(self) -> str:
        """`v1` or `apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version


METRICS_GROUP = "metrics.k8s.io"
RBAC_GROUP = "rbac.authorization.k8s.io"
RESOURCES = (
    Resource("", "v1", "namespaces", "Namespace", namespaced=False, short=("ns",)),
    Resource("", "v1", "nodes", "Node", namespaced=False, short=("no",)),
    Resource(
        "",
        "v1",
        "pods",
        "Pod",
        verbs=(*_READ, "delete"),
        short=("po",),
        subresources=(
            ("log", "Pod", "get"),
            ("exec", "PodExecOptions", "create"),
            ("portforward", "PodPortForwardOptions", "create"),
            ("proxy", "PodProxyOptions", "create"),
        ),
    ),
    Resource("", "v1", "events", "Event", short=("ev",)),
    Resource(
        "",
        "v1",
        "services",
        "Service",
        short=("svc",),
        subresources=(("proxy", "ServiceProxyOptions", "create"),),
    ),
    Resource("", "v1", "endpoints", "Endpoints", short=("ep",)),
    Resource("apps", "v1", "deployments", "Deployment", short=("deploy",)),
    Resource("apps", "v1", "replicasets", "ReplicaSet", short=("rs",)),
    Resource("apps", "v1", "statefulsets", "StatefulSet", short=("sts",)),
    Resource(RBAC_GROUP, "v1", "roles", "Role"),
    Resource(RBAC_GROUP, "v1", "rolebindings", "RoleBinding"),
    Resource(RBAC_GROUP, "v1", "clusterroles", "ClusterRole", namespaced=False),
    Resource(RBAC_GROUP, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False),
    Resource(METRICS_GROUP, "v1beta1", "pods", "PodMetrics", verbs=("get", "list")),
    Resource(METRICS_GROUP, "v1beta1", "nodes", "NodeMetrics", namespaced=False, verbs=("get", "list")),
    *(
        Resource("authorization.k8s.io", "v1", name, kind, namespaced=False, verbs=("create",))
        for name, kind in (
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
            ("selfsubjectrulesreviews", "SelfSubjectRulesReview"),
        )
    ),
    Resource(
        "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False, verbs=("create",)
    ),
)
_BY_NAME = {(resource.group, resource.version, resource.name): resource for resource in RESOURCES}


class Target(NamedTuple):
    """What a request's path names."""

    resource: Resource
    namespace: str
    name: str
    subresource: str


def target_of(path: str) -> Target | None:
    """Reads `/api/v1/namespaces/NS/pods/NAME/log` and its like; None for what is no known resource."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, (version, *rest) = "", parts[1:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, *rest = parts[1:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource = _BY_NAME.get((group, version, rest[0]))
    if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
        return None
    name, subresource = [*rest[1:], "", ""][:2]
    return Target(resource, namespace, name, subresource)


def discovery(path: str, *, metrics: bool) -> dict[str, Any] | None:
    """The discovery document at `path`, or None; without `metrics` the group of metrics-server is left out."""
    served = [resource for resource in RESOURCES if metrics or resource.group != METRICS_GROUP]
    parts = [part for part in path.split("/") if part]
    match parts:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = dict.fromkeys((resource.group, resource.version) for resource in served if resource.group)
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(*group) for group in groups]}
        case ["apis", group]:
            versions = {resource.version for resource in served if resource.group == group and group}
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(group, versions.pop())} if versions else None
        case ["api", version]:
            return _resource_list("", version, served)
        case ["apis", group, version]:
            return _resource_list(group, version, served)
        case _:
            return None


def _group(group: str, version: str) -> dict[str, Any]:
    entry = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [entry], "preferredVersion": entry}


def _resource_list(group: str, version: str, served: list[Resource]) -> dict[str, Any] | None:
    found = [resource for resource in served if (resource.group, resource.version) == (group, version)]
    if not found:
        return None
    entries: list[dict[str, Any]] = []
    for resource in found:
        entries.append(
            {
                "name": resource.name,
                "singularName": resource.kind.lower(),
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": list(resource.verbs),
                "shortNames": list(resource.short),
            },
        )
        entries.extend(
            {
                "name": f"{resource.name}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": kind,
                "verbs": [verb],
            }
            for name, kind, verb in resource.subresources
        )
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].group_version,
        "resources": entries,
    }
