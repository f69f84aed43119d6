"""The rights that infdiag's features need, and whether this user has them."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import Access
from infdiag_tui.text import clean, one_line

RoleKind = Literal["read", "cluster", "act"]

_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_AT_A_TIME = 8


@dataclass(frozen=True, slots=True)
class Right:
    """One row of `rights.toml`: verbs on one resource (`pods`, `pods/log`) of one API group, for one feature."""

    feature: str
    role: RoleKind
    resource: str
    verbs: tuple[str, ...]
    group: str = ""
    optional: bool = False

    @property
    def shown(self) -> str:
        """The resource as `kubectl auth can-i` names it."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


@dataclass(frozen=True, slots=True)
class Held:
    """What this user has of one right; `unknown` says why that could not be asked, empty where it could."""

    right: Right
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    unknown: str = ""


@cache
def all_rights() -> tuple[Right, ...]:
    """Every row of `rights.toml`."""
    text = resources.files("infdiag_tui.doctor").joinpath("rights.toml").read_text(encoding="utf-8")
    return tuple(Right(**{**row, "verbs": tuple(row["verbs"])}) for row in tomllib.loads(text)["rights"])


async def held_rights(client: KubeClient, rights: Sequence[Right]) -> list[Held]:
    """Asks the API server about each verb (SelfSubjectAccessReview), a few at a time; `client` must be connected.

    Rules (SelfSubjectRulesReview) would take one request, but leave out what webhooks and node authorizers decide.
    """
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def ask(right: Right, verb: str) -> bool:
        async with gate:
            return await _allowed(client, right, verb)

    async def held(right: Right) -> Held:
        try:
            answers = await asyncio.gather(*(ask(right, verb) for verb in right.verbs))
        except SourceError as error:
            return Held(right, unknown=error.reason)
        given = dict(zip(right.verbs, answers, strict=True))
        return Held(
            right,
            tuple(verb for verb, yes in given.items() if yes),
            tuple(verb for verb, yes in given.items() if not yes),
        )

    return list(await asyncio.gather(*(held(right) for right in rights)))


async def who_am_i(client: KubeClient) -> str:
    """This user's name as the API server knows it, printable; empty where it does not say (before Kubernetes 1.28)."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    access = Access("create", "selfsubjectreviews", "", "authentication.k8s.io")
    try:
        answer = await client.post_json(_WHO, body, access)
    except SourceError:
        return ""
    info = _map(_map(answer, "status"), "userInfo")
    return one_line(clean(str(info.get("username") or "")), 200)


async def _allowed(client: KubeClient, right: Right, verb: str) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {"verb": verb, "group": right.group, "resource": resource}
    if subresource:
        attributes["subresource"] = subresource
    if right.role != "cluster":
        attributes["namespace"] = client.namespace
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    access = Access("create", "selfsubjectaccessreviews", "", "authorization.k8s.io")
    answer = await client.post_json(_REVIEW, body, access)
    return _map(answer, "status").get("allowed") is True


def _map(raw: dict[str, Any], key: str) -> dict[str, Any]:
    found = raw.get(key)
    return found if isinstance(found, dict) else {}
