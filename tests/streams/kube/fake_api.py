"""A small Kubernetes API server over real sockets whose faults a test can switch on."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import ssl
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NAMESPACE = "ml"


@dataclass
class Run:
    """One run of a container: lines as (stamp, text), and whether it has ended."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False


@dataclass
class Asked:
    """A request as it came in."""

    verb: str
    resource: str
    query: dict[str, str]
    token: str
    agent: str = ""
    at: float = 0.0


class FakeApi:
    """Pods, events, metrics and logs of one namespace.

    Attributes:
        deny: (verb, resource) pairs that answer 403.
        answers: one-shot answers by (verb, resource): (status, headers).
        tokens: accepted bearer tokens; None accepts anything.
        metrics: PodMetrics items; None: metrics-server absent (404).
        nodes, node_metrics: nodes and what they use, by name.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.metrics: list[dict[str, Any]] | None = None
        self.metrics_status = 404
        self.nodes: dict[str, dict[str, Any]] = {}
        self.node_metrics: dict[str, dict[str, Any]] = {}
        self.logs: dict[tuple[str, str], list[Run]] = defaultdict(list)
        self.log_waiting: set[tuple[str, str]] = set()
        self.log_errors: dict[tuple[str, str], int] = {}
        self.deny: set[tuple[str, str]] = set()
        self.answers: dict[tuple[str, str], list[tuple[int, dict[str, str]]]] = defaultdict(list)
        self.tokens: set[str] | None = None
        self.asked: list[Asked] = []
        self.version = 100
        self.compacted = 0
        self.gone_as_event = False
        self.expire_continue_once = False
        self.deaf = False
        self.frozen = asyncio.Event()
        self.frozen.set()
        self.open_watches = 0
        self.open_logs = 0
        self.port = 0
        self._history: dict[str, list[tuple[int, str, dict[str, Any]]]] = {"pods": [], "events": []}
        self._changed = asyncio.Condition()
        self._epoch = {"watch": 0, "log": 0}
        self._runner: web.AppRunner | None = None

    # --- life ---

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/version", self._version)
        app.router.add_get("/api/v1/namespaces/{ns}/{kind:pods|events}", self._collection)
        app.router.add_get("/api/v1/namespaces/{ns}/pods/{pod}/log", self._log)
        app.router.add_get("/apis/metrics.k8s.io/v1beta1/namespaces/{ns}/pods", self._metrics)
        app.router.add_get("/api/v1/nodes/{node}", self._node)
        app.router.add_get("/apis/metrics.k8s.io/v1beta1/nodes/{node}", self._node)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=self._tls)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def kill(self) -> None:
        """As after SIGKILL: every socket closes at once."""
        assert self._runner is not None
        for site in list(self._runner.sites):
            await site.stop()
        for handler in list(self._runner.server.connections):  # type: ignore[union-attr]
            if handler.transport:
                handler.transport.abort()
        await self._runner.cleanup()
        self._runner = None

    async def stop(self) -> None:
        if self._runner is not None:
            await self.kill()

    # --- state ---

    async def put_pod(self, raw: dict[str, Any]) -> None:
        kind = "MODIFIED" if raw["metadata"]["name"] in self.pods else "ADDED"
        self.pods[raw["metadata"]["name"]] = raw
        await self._record("pods", kind, raw)

    async def delete_pod(self, name: str) -> None:
        await self._record("pods", "DELETED", self.pods.pop(name))

    async def put_event(self, raw: dict[str, Any]) -> None:
        self.events[raw["metadata"]["name"]] = raw
        await self._record("events", "ADDED", raw)

    def compact(self) -> None:
        """Forgets all history, as etcd does after five minutes."""
        self.compacted = self.version
        for history in self._history.values():
            history.clear()

    async def bookmark(self) -> None:
        await self._record("pods", "BOOKMARK", {"kind": "Pod", "metadata": {}})

    async def raw_watch_event(self, kind: str, raw: dict[str, Any]) -> None:
        self._history["pods"].append((self.version + 1, kind, raw))
        await self._notify()

    async def log(self, pod: str, container: str, *lines: tuple[str, str]) -> None:
        runs = self.logs[pod, container]
        if not runs:
            runs.append(Run())
        runs[-1].lines += lines
        await self._notify()

    async def end_run(self, pod: str, container: str) -> None:
        self.logs[pod, container][-1].ended = True
        await self._notify()

    async def new_run(self, pod: str, container: str) -> None:
        self.logs[pod, container].append(Run())
        await self._notify()

    async def cut(self, what: str) -> None:
        """Breaks every open `watch` or `log` without an ordered end."""
        self._epoch[what] += 1
        await self._notify()

    def count(self, verb: str, resource: str) -> int:
        return sum(1 for asked in self.asked if (asked.verb, asked.resource) == (verb, resource))

    async def _record(self, resource: str, kind: str, raw: dict[str, Any]) -> None:
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        self._history[resource].append((self.version, kind, copy.deepcopy(raw)))
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    # --- answers ---

    async def _gate(self, request: web.Request, verb: str, resource: str) -> web.Response | None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        agent = request.headers.get("User-Agent", "")
        self.asked.append(Asked(verb, resource, dict(request.query), token, agent, asyncio.get_running_loop().time()))
        await self.frozen.wait()
        if self.tokens is not None and token not in self.tokens:
            return _status(401, "Unauthorized")
        if (verb, resource) in self.deny:
            return _status(403, f'{resource} is forbidden: User "ops" cannot {verb} resource "{resource}"')
        if self.answers[verb, resource]:
            status, headers = self.answers[verb, resource].pop(0)
            return _status(status, "as the test wants it", headers)
        return None

    async def _version(self, request: web.Request) -> web.StreamResponse:
        return await self._gate(request, "get", "version") or web.json_response({"major": "1", "minor": "33"})

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        refusal = await self._gate(request, "list", "metrics")
        if refusal:
            return refusal
        if self.metrics is None:
            return _status(self.metrics_status, "the server could not find the requested resource")
        return web.json_response({"kind": "PodMetricsList", "items": self.metrics})

    async def _node(self, request: web.Request) -> web.StreamResponse:
        of = self.node_metrics if request.path.startswith("/apis/") else self.nodes
        refusal = await self._gate(request, "get", "nodes")
        if refusal:
            return refusal
        found = of.get(request.match_info["node"])
        return web.json_response(found) if found else _status(404, "no such node")

    async def _collection(self, request: web.Request) -> web.StreamResponse:
        resource = request.match_info["kind"]
        if request.query.get("watch") == "true":
            return await self._gate(request, "watch", resource) or await self._watch(request, resource)
        refusal = await self._gate(request, "list", resource)
        if refusal:
            return refusal
        found = [raw for raw in getattr(self, resource).values() if self._selected(request, raw)]
        limit = int(request.query.get("limit", "0")) or len(found) or 1
        start = 0
        if token := request.query.get("continue"):
            if self.expire_continue_once:
                self.expire_continue_once = False
                return _status(410, "The provided continue parameter is too old")
            start = int(token)
        meta = {"resourceVersion": str(self.version)}
        if start + limit < len(found):
            meta["continue"] = str(start + limit)
        return web.json_response({"kind": "List", "metadata": meta, "items": found[start : start + limit]})

    @staticmethod
    def _selected(request: web.Request, raw: dict[str, Any]) -> bool:
        wanted = [part.split("=") for part in request.query.get("labelSelector", "").split(",") if part]
        return all(raw["metadata"].get("labels", {}).get(key) == value for key, value in wanted)

    async def _watch(self, request: web.Request, resource: str) -> web.StreamResponse:
        position = int(request.query["resourceVersion"])
        if position < self.compacted and not self.gone_as_event:
            return _status(410, "too old resource version")
        reply = web.StreamResponse(headers={"Content-Type": "application/json"})
        await reply.prepare(request)
        if position < self.compacted:
            body = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            await reply.write(_line("ERROR", body))
            return reply
        epoch = self._epoch["watch"]
        self.open_watches += 1
        try:
            while self._epoch["watch"] == epoch:
                for version, kind, raw in list(self._history[resource]):
                    if version > position and not self.deaf:
                        position = version
                        if kind in ("BOOKMARK", "ERROR") or self._selected(request, raw):
                            await reply.write(_line(kind, raw))
                async with self._changed:
                    if not any(v > position for v, *_ in self._history[resource]) or self.deaf:
                        await self._changed.wait()
        finally:
            self.open_watches -= 1
        _abort(request)
        return reply

    async def _log(self, request: web.Request) -> web.StreamResponse:
        refusal = await self._gate(request, "get", "pods/log")
        if refusal:
            return refusal
        key = (request.match_info["pod"], request.query["container"])
        if key in self.log_errors:
            return _status(self.log_errors[key], "dial tcp 10.0.0.7:10250: i/o timeout")
        if key in self.log_waiting:
            return _status(400, f'container "{key[1]}" in pod "{key[0]}" is waiting to start: ContainerCreating')
        runs = self.logs[key]
        previous = request.query.get("previous") == "true"
        if previous and len(runs) < 2:
            return _status(400, f'previous terminated container "{key[1]}" in pod "{key[0]}" not found')
        run = runs[-2] if previous else (runs[-1] if runs else None)
        if run is None:
            self.logs[key].append(run := Run())
        return await self._send_log(request, run, follow=not previous)

    async def _send_log(self, request: web.Request, run: Run, *, follow: bool) -> web.StreamResponse:
        since = request.query.get("sinceTime", "")[:19]
        start = 0
        if tail := request.query.get("tailLines"):
            start = max(0, len(run.lines) - int(tail))
        reply = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await reply.prepare(request)
        epoch, sent = self._epoch["log"], start
        self.open_logs += 1
        try:
            while True:
                lines, sent = run.lines[sent:], len(run.lines)
                text = "".join(f"{stamp} {line}\n" for stamp, line in lines if stamp[:19] >= since)
                if text:
                    await reply.write(text.encode())
                if self._epoch["log"] != epoch:
                    await reply.write(b"2026-01-01T00:00:0")  # half a line
                    _abort(request)
                    return reply
                async with self._changed:
                    if len(run.lines) > sent or self._epoch["log"] != epoch:
                        continue
                    if run.ended or not follow:
                        break
                    await self._changed.wait()
        finally:
            self.open_logs -= 1
        return reply


def _status(code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return web.json_response(body, status=code, headers=headers)


def _line(kind: str, raw: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": raw}).encode() + b"\n"


def _abort(request: web.Request) -> None:
    with contextlib.suppress(AttributeError):
        request.transport.abort()  # type: ignore[union-attr]


def pod(name: str, *, app: str = "fraud-scorer", uid: str = "", restarts: int = 0, **status: Any) -> dict[str, Any]:
    """A running pod with one container `server`, as the API states it."""
    container = {
        "name": "server",
        "image": "registry/fraud:1.4",
        "imageID": "registry/fraud@sha256:abc123",
        "ready": True,
        "restartCount": restarts,
        "state": {"running": {"startedAt": "2026-01-31T03:00:00Z"}},
        "lastState": {},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": uid or f"uid-{name}",
            "creationTimestamp": "2026-01-31T02:59:00Z",
            "labels": {"app": app},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "fraud-scorer-5d8", "controller": True}],
        },
        "spec": {
            "nodeName": "gpu-node-1",
            "containers": [
                {
                    "name": "server",
                    "image": "registry/fraud:1.4",
                    "resources": {
                        "requests": {"cpu": "500m", "memory": "1Gi"},
                        "limits": {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "1"},
                    },
                }
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "qosClass": "Burstable",
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [container],
            **status,
        },
    }


def event(name: str, about: str, reason: str = "Unhealthy", **fields: Any) -> dict[str, Any]:
    """A core/v1 event about a pod."""
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"},
        "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": about},
        "reason": reason,
        "type": "Warning",
        "message": "Readiness probe failed: HTTP probe failed with statuscode: 503",
        "firstTimestamp": "2026-01-31T03:00:00Z",
        "lastTimestamp": "2026-01-31T03:05:00Z",
        "count": 3,
        **fields,
    }


def usage(name: str, at: str = "2026-01-31T03:05:00Z", memory: str = "524288Ki", cpu: str = "250m") -> dict[str, Any]:
    """A PodMetrics item."""
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "timestamp": at,
        "window": "15.2s",
        "containers": [{"name": "server", "usage": {"cpu": cpu, "memory": memory}}],
    }
