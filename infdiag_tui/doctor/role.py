"""The Roles that infdiag needs, as YAML for `kubectl apply`: the least for reading, and apart from it the rest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from infdiag_tui.doctor.rights import Held, Right

PLACEHOLDER = "REPLACE-WITH-THE-USER"
_GROUP = "rbac.authorization.k8s.io"
_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Grant:
    """Whom a Role is for, and where; an empty user becomes a placeholder."""

    namespace: str
    user: str = ""


def everything(rights: Sequence[Right], grant: Grant) -> str:
    """The least Roles for all that is read-only, then, commented out, the one for what sends and runs."""
    parts = [
        "# What infdiag's read-only features need, and nothing else. Apply with: kubectl apply -f FILE",
        *reading(rights, grant),
        "# For checks in a container, port-forwards and predict calls through the API server. Each of these lets its",
        "# holder act in the pods: take the '# ' away only from what is wanted. From Kubernetes 1.35 on a WebSocket",
        "# needs `create` as well as `get`.",
        commented("---\n" + acting(rights, grant)),
    ]
    return "\n".join(parts) + "\n"


def reading(rights: Sequence[Right], grant: Grant) -> list[str]:
    """The documents of the read-only Roles: in the namespace, and for nodes and namespaces."""
    return [
        "---\n" + _documents("Role", "infdiag-read", [one for one in rights if one.role == "read"], grant),
        "---\n" + _documents("ClusterRole", "infdiag-nodes", [one for one in rights if one.role == "cluster"], grant),
    ]


def acting(rights: Sequence[Right], grant: Grant) -> str:
    """The documents of the Role for what sends to or runs in a pod."""
    return _documents("Role", "infdiag-act", [one for one in rights if one.role == "act"], grant)


def missing(held: Sequence[Held], grant: Grant) -> str:
    """The Role that gives what this user lacks of what is not optional; empty where nothing is lacking."""
    lacking = [replace(one.right, verbs=one.denied) for one in held if one.denied and not one.right.optional]
    return _documents("Role", "infdiag-missing", lacking, grant) if lacking else ""


def commented(text: str) -> str:
    """Every line behind `# `."""
    return "\n".join(f"# {line}" for line in text.rstrip().splitlines())


def _documents(kind: str, name: str, rights: Sequence[Right], grant: Grant) -> str:
    where = f"  namespace: {_text(grant.namespace)}\n" if kind == "Role" else ""
    rules = "".join(
        f"- apiGroups: [{_text(group)}]\n  resources: [{', '.join(map(_text, found))}]\n"
        f"  verbs: [{', '.join(map(_text, verbs))}]\n"
        for (group, verbs), found in _rules(rights).items()
    )
    return (
        f"apiVersion: {_GROUP}/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{where}rules:\n{rules}"
        f"---\napiVersion: {_GROUP}/v1\nkind: {kind}Binding\nmetadata:\n  name: {name}\n{where}"
        f"roleRef:\n  apiGroup: {_GROUP}\n  kind: {kind}\n  name: {name}\nsubjects:\n{_subject(grant.user)}"
    )


def _rules(rights: Sequence[Right]) -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """Resources by group and verbs: one rule each."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in rights:
        found.setdefault((one.group, one.verbs), []).append(one.resource)
    return found


def _subject(user: str) -> str:
    if user.startswith(_SERVICE_ACCOUNT):
        namespace, _, name = user.removeprefix(_SERVICE_ACCOUNT).partition(":")
        return f"- kind: ServiceAccount\n  name: {_text(name)}\n  namespace: {_text(namespace)}\n"
    return f"- apiGroup: {_GROUP}\n  kind: User\n  name: {_text(user or PLACEHOLDER)}\n"


def _text(value: str) -> str:
    """A YAML string: JSON's are, while no character is written as two."""
    return json.dumps(value, ensure_ascii=False)
