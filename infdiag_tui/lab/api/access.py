"""Who may do what: one token, its rights in one namespace, and rights taken away on request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from infdiag_tui.lab.api.resources import RESOURCES, Target

_EVERYWHERE = (
    "namespaces",
    "nodes",
    "clusterroles",
    "clusterrolebindings",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "selfsubjectreviews",
)


@dataclass(slots=True)
class Access:
    """The rights of the lab's one user: reading, pod logs, exec and delete in `namespace`, nothing elsewhere.

    `denied` holds (verb, resource) pairs taken away, a resource written as `pods`, `pods/log` or
    `pods.metrics.k8s.io`.
    """

    token: str
    namespace: str
    token_valid: bool = True
    denied: set[tuple[str, str]] = field(default_factory=set)

    @property
    def user(self) -> str:
        """The user's name."""
        return f"system:serviceaccount:{self.namespace}:on-call"

    def knows(self, authorization: str | None) -> bool:
        """True for the header of the one valid token."""
        return self.token_valid and authorization == f"Bearer {self.token}"

    def allows(self, verb: str, group: str, resource: str, subresource: str, namespace: str) -> bool:
        """True when the user may do that there."""
        full = resource + (f".{group}" if group else "") + (f"/{subresource}" if subresource else "")
        if (verb, full) in self.denied:
            return False
        if resource in _EVERYWHERE:
            return True
        return namespace == self.namespace and any(
            verb in verbs for known, verbs in self._rights() if known == (group, resource, subresource)
        )

    def refusal(self, verb: str, target: Target) -> str:
        """The API server's sentence for what `allows` refused."""
        full = target.resource.name + (f"/{target.subresource}" if target.subresource else "")
        name = f' "{target.name}"' if target.name else ""
        where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
        of_group = f".{target.resource.group}" if target.resource.group else ""
        return (
            f'{target.resource.name}{of_group}{name} is forbidden: User "{self.user}" cannot {verb} resource "{full}" '
            f'in API group "{target.resource.group}" {where}'
        )

    def review(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answers a SelfSubjectAccessReview."""
        wanted = body.get("spec", {}).get("resourceAttributes") or {}
        allowed = self.allows(
            wanted.get("verb", ""),
            wanted.get("group", ""),
            wanted.get("resource", ""),
            wanted.get("subresource", ""),
            wanted.get("namespace", ""),
        )
        status = {"allowed": allowed} if allowed else {"allowed": False, "reason": "no RBAC policy matched"}
        return {**body, "status": status}

    def rules(self, body: dict[str, Any]) -> dict[str, Any]:
        """Answers a SelfSubjectRulesReview."""
        namespace = body.get("spec", {}).get("namespace", "")
        rules = [
            {"verbs": allowed, "apiGroups": [group], "resources": [resource + (f"/{sub}" if sub else "")]}
            for (group, resource, sub), verbs in self._rights()
            if (allowed := [verb for verb in verbs if self.allows(verb, group, resource, sub, namespace)])
        ]
        status = {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}
        return {**body, "status": status}

    @staticmethod
    def _rights() -> list[tuple[tuple[str, str, str], tuple[str, ...]]]:
        rights: list[tuple[tuple[str, str, str], tuple[str, ...]]] = []
        for resource in RESOURCES:
            rights.append(((resource.group, resource.name, ""), resource.verbs))
            # A WebSocket is a GET, SPDY a POST, a proxied request either: the real server asks for the method's verb.
            rights.extend(
                ((resource.group, resource.name, name), (verb,) if name == "log" else (verb, "get"))
                for name, _kind, verb in resource.subresources
            )
        return rights
