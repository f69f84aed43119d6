"""Looks through the namespaces that the operator may read, of every context, for what serves requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from infdiag_tui.clock import Clock
from infdiag_tui.config import Kubernetes
from infdiag_tui.discovery import workload as read
from infdiag_tui.discovery.workload import Workload
from infdiag_tui.streams.base import SourceError
from infdiag_tui.streams.kube.client import KubeClient
from infdiag_tui.streams.kube.errors import HTTP_FORBIDDEN, HTTP_NOT_FOUND, Access, ApiError
from infdiag_tui.streams.kube.kubeconfig import known_contexts
from infdiag_tui.streams.kube.pace import Pace
from infdiag_tui.streams.kube.pages import pages
from infdiag_tui.text import one_line

MOST_CONTEXTS, MOST_NAMESPACES = 12, 200
LIMIT_S = 20.0
"""For one context; what was found by then counts."""
_AT_A_TIME = 8
_PACE = Pace(request_s=8.0, plugin_s=15.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """What is listed: its API path below the group's root, its name in access rules, and its reader."""

    root: str
    group: str
    resource: str
    reader: Callable[[Mapping[str, Any], str], Workload | None]
    accept: str = "application/json"


SERVING = (
    Kind("/apis/apps/v1", "apps", "deployments", lambda raw, where: read.from_template(raw, "Deployment", where)),
    Kind("/apis/apps/v1", "apps", "statefulsets", lambda raw, where: read.from_template(raw, "StatefulSet", where)),
    Kind("/apis/serving.kserve.io/v1beta1", "serving.kserve.io", "inferenceservices", read.from_inference_service),
    Kind("/apis/ray.io/v1", "ray.io", "rayservices", read.from_ray_service),
    Kind("/api/v1", "", "services", read.from_service),
)
PODS = (
    Kind(
        "/api/v1",
        "",
        "pods",
        read.from_pod,
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    ),
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked at in one context: `namespaces` that could be read (None: all there are), or the failure."""

    context: str
    namespaces: tuple[str, ...] | None = ()
    found: int = 0
    trouble: str = ""

    def __str__(self) -> str:
        name = f"context {self.context}" if self.context else "the cluster"
        if self.namespaces is None:
            where = "every namespace"
        elif self.namespaces:
            shown = ", ".join(self.namespaces[:6]) + (", ..." if len(self.namespaces) > 6 else "")
            where = f"namespace{'s' if len(self.namespaces) > 1 else ''} {shown}"
        else:
            where = "no namespace that may be read"
        trouble = f" ({self.trouble})" if self.trouble else ""
        return f"{name}: {where}, {self.found} workloads{trouble}"


async def look(
    settings: Kubernetes, clock: Clock, user_agent: str, kinds: tuple[Kind, ...] = SERVING
) -> tuple[list[Workload], list[Looked]]:
    """Workloads of the named context, else of every context, and what was looked at.

    Raises:
        SourceError: the kubeconfig cannot be read.
    """
    known = await asyncio.to_thread(known_contexts, settings)
    names = [settings.context] if settings.context or not known else [one.name for one in known][:MOST_CONTEXTS]
    outcomes = await asyncio.gather(
        *(_Context(settings.model_copy(update={"context": name}), clock, user_agent).look(kinds) for name in names)
    )
    return [one for found, _ in outcomes for one in found], [looked for _, looked in outcomes]


class _Context:
    """One context's API server, read within `LIMIT_S`."""

    def __init__(self, settings: Kubernetes, clock: Clock, user_agent: str) -> None:
        self._settings = settings
        self._client = KubeClient(settings, clock, user_agent, _PACE)
        self._gate = asyncio.Semaphore(_AT_A_TIME)
        self._found: list[Workload] = []
        self._read: set[str] = set()
        self._everywhere = False
        self._troubles: dict[str, None] = {}

    async def look(self, kinds: tuple[Kind, ...]) -> tuple[list[Workload], Looked]:
        try:
            async with asyncio.timeout(LIMIT_S), self._client.connected():
                await self._all(await self._served(kinds))
        except TimeoutError:
            self._troubles[f"not all of it within {LIMIT_S:g} s"] = None
        except SourceError as error:
            self._troubles[one_line(error.reason, 300)] = None
        read_in = None if self._everywhere else tuple(sorted(self._read))
        context = one_line(self._settings.context, 100)
        return self._found, Looked(context, read_in, len(self._found), "; ".join([*self._troubles][:2]))

    async def _served(self, kinds: tuple[Kind, ...]) -> list[Kind]:
        """Those of the kinds that this cluster has: to ask for others in each namespace would be for nothing."""
        answer = await self._client.get_json("/apis", {}, Access("get", "apis", ""))
        groups = {"", *(str(group.get("name")) for group in answer.get("groups") or ())}
        return [kind for kind in kinds if kind.group in groups]

    async def _all(self, kinds: list[Kind]) -> None:
        """Each kind everywhere in one go, or where that is not allowed, namespace by namespace."""
        if self._settings.namespace:
            await self._in_namespace(self._settings.namespace, kinds)
            return
        allowed = await asyncio.gather(*(self._took(kind, f"{kind.root}/{kind.resource}", "") for kind in kinds))
        denied = [kind for kind, taken in zip(kinds, allowed, strict=True) if not taken]
        self._everywhere = len(denied) < len(kinds)
        if denied:
            await asyncio.gather(*(self._in_namespace(name, denied) for name in await self._namespaces()))

    async def _in_namespace(self, namespace: str, kinds: list[Kind]) -> None:
        async with self._gate:
            for kind in kinds:
                if await self._took(kind, f"{kind.root}/namespaces/{namespace}/{kind.resource}", namespace):
                    self._read.add(namespace)
                elif kind is kinds[0] and len(kinds) > 1:
                    # Who may not list the first will not be let see the others: at most the services are tried.
                    last = kinds[-1]
                    if await self._took(last, f"{last.root}/namespaces/{namespace}/{last.resource}", namespace):
                        self._read.add(namespace)
                    return

    async def _namespaces(self) -> list[str]:
        """Those of the cluster where they may be listed; the context's own first."""
        own = self._client.namespace
        found: list[str] = []
        try:
            async with aclosing(
                pages(self._client, "/api/v1/namespaces", {}, Access("list", "namespaces", ""))
            ) as all_:
                async for page in all_:
                    found += [str((raw.get("metadata") or {}).get("name") or "") for raw in page.get("items") or ()]
        except ApiError as error:
            if error.status != HTTP_FORBIDDEN:
                raise
        others = sorted(name for name in found if name and name != own)
        if len(others) >= MOST_NAMESPACES:
            self._troubles[f"the first {MOST_NAMESPACES} of {len(others) + 1} namespaces"] = None
        return [own, *others][:MOST_NAMESPACES]

    async def _took(self, kind: Kind, path: str, namespace: str) -> bool:
        """Reads a list; False where that is not allowed."""
        access = Access("list", kind.resource, namespace, kind.group)
        try:
            async with aclosing(pages(self._client, path, {}, access, accept=kind.accept)) as all_:
                async for page in all_:
                    made = (kind.reader(raw, self._settings.context) for raw in page.get("items") or ())
                    self._found += [one for one in made if one is not None]
        except ApiError as error:
            if error.status not in (HTTP_FORBIDDEN, HTTP_NOT_FOUND):
                raise
            return error.status == HTTP_NOT_FOUND  # another version of the group: nothing to be had there
        return True
