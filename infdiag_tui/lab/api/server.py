"""The API server: authentication, authorisation, and the way of a request to who answers it."""

from __future__ import annotations

import asyncio
import http
import ssl
from urllib.parse import parse_qsl, urlsplit

import orjson
from aiohttp import web

from infdiag_tui.lab.api.access import Access
from infdiag_tui.lab.api.execution import end_abandoned
from infdiag_tui.lab.api.forwarding import forward_place, serve_forward
from infdiag_tui.lab.api.listener import Listener
from infdiag_tui.lab.api.node import ExecPlace, Node, NodeError
from infdiag_tui.lab.api.podlog import stream_log
from infdiag_tui.lab.api.proxying import Carrier, address_of, proxied
from infdiag_tui.lab.api.reading import Watch, read_list, read_one, wanted
from infdiag_tui.lab.api.replies import ApiError, json_reply
from infdiag_tui.lab.api.resources import METRICS_GROUP, Target, discovery, target_of
from infdiag_tui.lab.api.spdyexec import SpdyExec
from infdiag_tui.lab.api.store import Store
from infdiag_tui.lab.api.websocket import serve_exec

_VERSION = {"major": "1", "minor": "31", "gitVersion": "v1.31.4", "platform": "linux/amd64"}
_WATCHED = ("true", "1")


class ApiServer:
    """A Kubernetes API on loopback over TLS.

    `metrics_available` is False while the cluster is to look as if it had no metrics-server.
    """

    def __init__(self, store: Store, access: Access, node: Node, host: str, port: int, tls: ssl.SSLContext) -> None:
        self._store = store
        self._access = access
        self._node = node
        self._web = web.Server(self._answer, handler_cancellation=True, access_log=None)
        self._listener = Listener(host, port, self._web, self._spdy, tls)
        self._carrier = Carrier()
        self.metrics_available = True
        self.url = f"https://{host}:{port}"

    async def start(self) -> None:
        """Listens, also again after `stop`, on the same port."""
        await self._listener.start()

    async def stop(self) -> None:
        """Goes away at once: no answers, connections reset."""
        await self._listener.stop()

    async def close(self) -> None:
        """Ends for good."""
        await self._listener.stop()
        await self._web.shutdown(timeout=0)
        await self._carrier.close()
        await end_abandoned()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        # web.Server hands out BaseRequest; the handlers use nothing that Request adds to it.
        try:
            return await self._dispatch(request)  # type: ignore[arg-type]
        except ApiError as error:
            return json_reply(error.status(), error.code)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        self._authenticate(request.headers.get("Authorization"))
        if path == "/version":
            return json_reply(_VERSION)
        document = discovery(path, metrics=self.metrics_available)
        if document is not None:
            return json_reply(document)
        asked = proxied(request.rel_url.raw_path)
        if asked is not None:
            self._authorise(self._verb(request, asked.target), asked.target)
            return await self._carrier.carry(request, asked, address_of(self._store, asked))
        target = target_of(path)
        if target is None:
            raise ApiError(404, "the server could not find the requested resource")
        if target.resource.group == METRICS_GROUP and not self.metrics_available:
            raise ApiError(404, "the server could not find the requested resource")
        self._authorise(self._verb(request, target), target)
        if request.method == "POST":
            return await self._create(request, target)
        if request.method == "DELETE":
            return self._delete(target)
        return await self._read(request, target)

    async def _read(self, request: web.Request, target: Target) -> web.StreamResponse:
        if request.method != "GET":
            raise ApiError(405, "the server does not allow this method on the requested resource")
        if target.subresource == "log":
            self._pod(target)
            return await stream_log(request, self._node, target)
        if target.subresource == "exec":
            return await serve_exec(request, self._exec_place(target, dict(request.query)))
        if target.subresource == "portforward":
            return await serve_forward(request, forward_place(self._store, target, request.query.getall("ports", [])))
        if target.subresource:
            raise ApiError(404, "the server could not find the requested resource")
        if target.resource.group == METRICS_GROUP:
            return self._usage(request, target)
        if request.query.get("watch") in _WATCHED:
            return await Watch(request, self._store, target).run()
        return read_one(request, self._store, target) if target.name else read_list(request, self._store, target)

    def _usage(self, request: web.Request, target: Target) -> web.Response:
        test = wanted(request.query, target)
        items = [item for item in self._node.usage()[target.resource.name] if test(item)]
        if not target.name:
            kind = f"{target.resource.kind}List"
            return json_reply(
                {"kind": kind, "apiVersion": target.resource.group_version, "metadata": {}, "items": items},
            )
        if not items:
            raise ApiError(404, f'{target.resource.name}.{METRICS_GROUP} "{target.name}" not found')
        return json_reply(items[0])

    async def _create(self, request: web.Request, target: Target) -> web.StreamResponse:
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            raise ApiError(400, f"the body is no JSON: {error}") from error
        match target.resource.name:
            case "selfsubjectaccessreviews":
                return json_reply(self._access.review(body), 201)
            case "selfsubjectrulesreviews":
                return json_reply(self._access.rules(body), 201)
            case "selfsubjectreviews":
                return json_reply({**body, "status": {"userInfo": {"username": self._access.user}}}, 201)
            case _:
                raise ApiError(405, "the server does not allow this method on the requested resource")

    def _delete(self, target: Target) -> web.Response:
        pod = self._pod(target)
        self._node.delete_pod(target.name)
        return json_reply(self._store.get("pods", target.namespace, target.name) or pod)

    def _pod(self, target: Target) -> dict[str, object]:
        pod = self._store.get("pods", target.namespace, target.name)
        if target.resource.name != "pods" or pod is None:
            raise ApiError(404, f'{target.resource.name} "{target.name}" not found')
        return pod

    def _exec_place(self, target: Target, query: dict[str, str]) -> ExecPlace:
        self._pod(target)
        try:
            return self._node.exec_place(target.name, query.get("container", ""))
        except NodeError as error:
            raise ApiError(400, str(error)) from error

    def _authenticate(self, authorization: str | None) -> None:
        if not self._access.knows(authorization):
            raise ApiError(401, "Unauthorized")

    def _authorise(self, verb: str, target: Target) -> None:
        resource = target.resource
        if not self._access.allows(verb, resource.group, resource.name, target.subresource, target.namespace):
            raise ApiError(403, self._access.refusal(verb, target))

    @staticmethod
    def _verb(request: web.Request, target: Target) -> str:
        if request.method != "GET":
            verbs = {"POST": "create", "HEAD": "get", "OPTIONS": "get", "PUT": "update"}
            return verbs.get(request.method, request.method.lower())
        if request.query.get("watch") in _WATCHED:
            return "watch"
        return "get" if target.name else "list"

    async def _spdy(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            place, query = self._spdy_request(head)
        except ApiError as error:
            body = orjson.dumps(error.status())
            phrase = http.HTTPStatus(error.code).phrase
            writer.write(
                f"HTTP/1.1 {error.code} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                "Connection: close\r\n\r\n".encode()
                + body,
            )
            writer.close()
            return
        await SpdyExec(reader, writer, query).run(place)

    def _spdy_request(self, head: bytes) -> tuple[ExecPlace, list[tuple[str, str]]]:
        lines = head.decode("latin-1").split("\r\n")
        method, _, rest = lines[0].partition(" ")
        url = urlsplit(rest.rpartition(" ")[0])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        query = parse_qsl(url.query, keep_blank_values=True)
        self._authenticate(headers.get("authorization"))
        target = target_of(url.path)
        if method != "POST" or target is None or target.subresource != "exec":
            raise ApiError(404, "the server could not find the requested resource")
        self._authorise("create", target)
        return self._exec_place(target, dict(query)), query
