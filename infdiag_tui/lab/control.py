"""Faults of the infrastructure itself, switched over HTTP: for tests, and for whoever wants to break things by hand."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from infdiag_tui.lab.api.access import Access
from infdiag_tui.lab.api.server import ApiServer
from infdiag_tui.lab.api.store import Store
from infdiag_tui.lab.front import Front
from infdiag_tui.lab.gpu import GpuExporter
from infdiag_tui.lab.kubelet import Kubelet

_Action = Callable[[dict[str, Any]], Awaitable[object]]


class Control:
    """One endpoint for each action, `POST /control/ACTION` with a JSON object."""

    def __init__(
        self, api: ApiServer, access: Access, store: Store, kubelet: Kubelet, front: Front, gpus: GpuExporter
    ) -> None:
        self._api = api
        self._access = access
        self._store = store
        self._kubelet = kubelet
        self._front = front
        self._gpus = gpus
        self.gateway_log: Path | None = None

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/state", self._state),
                web.post("/control/{action}", self._control),
            ],
        )
        return app

    async def _state(self, _request: web.Request) -> web.Response:
        runners = self._kubelet.runners.values()
        pods = [
            {
                "name": runner.plan.name,
                "url": f"http://{runner.plan.ip}:{runner.plan.port}",
                "pid": runner.run_now.pid if runner.run_now else None,
                "ready": runner.status.ready,
                "restarts": runner.status.restarts,
            }
            for runner in runners
        ]
        logs = [str(path) for path in (self.gateway_log, *self._kubelet.log_files) if path is not None]
        return _json({"pods": pods, "log_files": logs})

    async def _control(self, request: web.Request) -> web.Response:
        actions: dict[str, _Action] = {
            "stop-api": lambda _: self._api.stop(),
            "start-api": lambda _: self._api.start(),
            "stop-service": lambda _: self._front.stop(),
            "start-service": lambda _: self._front.start(),
            "stop-gpu": lambda _: self._gpus.stop(),
            "start-gpu": lambda _: self._gpus.start(),
            "kill-pod": self._kill,
            "delete-pod": self._delete,
            "rotate-logs": self._rotate,
            "metrics-server": self._metrics_server,
            "deny": self._deny,
            "token": self._token,
            "compact": self._compact,
        }
        action = actions.get(request.match_info["action"])
        if action is None:
            return _json({"error": f"Unknown action. Known: {', '.join(actions)}."}, 404)
        body = await request.read()
        try:
            await action(orjson.loads(body) if body else {})
        except (KeyError, ValueError) as error:
            return _json({"error": f"{request.match_info['action']}: {error!r}"}, 400)
        return _json({})

    async def _kill(self, body: dict[str, Any]) -> None:
        run = self._kubelet.runners[body["pod"]].run_now
        if run is None:
            raise ValueError(f"{body['pod']} does not run")
        run.signal(signal.SIGKILL)

    async def _delete(self, body: dict[str, Any]) -> None:
        self._kubelet.delete_pod(body["pod"])

    async def _rotate(self, _body: dict[str, Any]) -> None:
        """Renames every log file to `.1`, as logrotate does; the writers open new ones with their next line."""
        for path in filter(None, (self.gateway_log, *self._kubelet.log_files)):
            if path.exists():
                path.rename(path.with_name(path.name + ".1"))

    async def _metrics_server(self, body: dict[str, Any]) -> None:
        self._api.metrics_available = bool(body["available"])

    async def _deny(self, body: dict[str, Any]) -> None:
        right = (body["verb"], body["resource"])
        if body.get("denied", True):
            self._access.denied.add(right)
        else:
            self._access.denied.discard(right)

    async def _token(self, body: dict[str, Any]) -> None:
        self._access.token_valid = bool(body["valid"])

    async def _compact(self, _body: dict[str, Any]) -> None:
        self._store.compact()


def _json(content: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
