"""The API server's proxy for services and pods: a request to one of them, carried on without its credentials."""

from __future__ import annotations

import errno
import os
import random
import re
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from infdiag_tui.lab.api.replies import ApiError
from infdiag_tui.lab.api.resources import Target, target_of
from infdiag_tui.lab.api.store import Store

_PATH = re.compile(
    r"(?P<object>/api/v1/namespaces/[^/]+/(?:services|pods))/(?P<tls>https:|http:)?(?P<name>[^/:]+)(?::(?P<port>[^/:]*))?"
    r"/proxy(?P<rest>/.*)?"
)
_NOT_CARRIED = frozenset(
    {"authorization", "connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_HOW = aiohttp.ClientTimeout(total=None, sock_connect=5.0)


class Proxied(NamedTuple):
    """Whom a proxied request is for."""

    target: Target
    port: str
    tls: bool
    path: str


def proxied(path: str) -> Proxied | None:
    """Reads a proxied request's path, still quoted; None when it is none."""
    match = _PATH.fullmatch(path)
    found = target_of(f"{match['object']}/{match['name']}/proxy") if match else None
    if match is None or found is None:
        return None
    return Proxied(found, match["port"] or "", match["tls"] == "https:", match["rest"] or "/")


def address_of(store: Store, asked: Proxied) -> str:
    """Host and port behind a service (one of its ready pods) or of a pod.

    Raises:
        ApiError: there is nothing behind it.
    """
    target = asked.target
    item = store.get(target.resource.name, target.namespace, target.name)
    if item is None:
        raise ApiError(404, f'{target.resource.name} "{target.name}" not found')
    if target.resource.name == "pods":
        ip = item["status"].get("podIP")
        if not ip:
            raise ApiError(400, "address not allowed")
        return f"{ip}:{asked.port or item['spec']['containers'][0]['ports'][0]['containerPort']}"
    ports = [port for port in item["spec"]["ports"] if asked.port in (str(port["port"]), port["name"])]
    endpoints: dict[str, Any] = store.get("endpoints", target.namespace, target.name) or {"subsets": []}
    behind = [
        f"{address['ip']}:{port['port']}"
        for subset in endpoints["subsets"]
        for address in subset["addresses"]
        for port in subset["ports"]
        if ports and port["name"] == ports[0]["name"]
    ]
    if not ports or not behind:
        what = "no endpoints available for" if ports else "no service port"
        raise ApiError(503, f'{what} {"service " if ports else ""}"{target.name}"')
    return random.choice(behind)


class Carrier:
    """Carries requests on; close it at the end."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def carry(self, request: web.Request, asked: Proxied, address: str) -> web.StreamResponse:
        """The answer from `address`, as it comes."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=False, keepalive_timeout=15.0)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_HOW, auto_decompress=False)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_CARRIED}
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        url = f"{'https' if asked.tls else 'http'}://{address}{asked.path}{query}"
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=await request.read(), allow_redirects=False
            ) as reply:
                kept = {name: value for name, value in reply.headers.items() if name.lower() not in _NOT_CARRIED}
                answer = web.StreamResponse(status=reply.status, reason=reply.reason, headers=kept)
                await answer.prepare(request)
                async for part in reply.content.iter_any():
                    await answer.write(part)
                await answer.write_eof()
                return answer
        except aiohttp.ClientConnectorError as error:
            why = f"dial tcp {address}: connect: {os.strerror(error.os_error.errno or errno.ECONNREFUSED).lower()}"
        except aiohttp.ServerDisconnectedError:
            why = "EOF"
        return web.Response(status=503, text=f"error trying to reach service: {why}")

    async def close(self) -> None:
        """Ends its connections."""
        if self._session is not None:
            await self._session.close()
