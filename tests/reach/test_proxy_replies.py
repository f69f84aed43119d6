"""The API server's own replies to proxied requests, from a server that says what a test tells it to."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from checks.base import Answer
from infdiag_tui.config import Kubernetes, ModelConfig
from infdiag_tui.model import ErrorKind
from tests.reach.helpers import observed, predict, replies, sender_to
from tests.streams.kube.harness import kubeconfig
from tests.support import serving_app

URL = "k8s://ml/scorer:8000/predict"


def status(code: int, message: str, reason: str = "") -> web.Response:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason}
    return web.json_response({**said, "code": code}, status=code)


@dataclass
class ScriptedApi:
    """An API server whose answers to proxied requests are the test's."""

    path: Path
    token: str = "good"
    answer: Any = None
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/version":
            return web.json_response({})
        self.asked.append((request.method, request.raw_path, dict(request.headers)))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return status(401, "Unauthorized", "Unauthorized")
        made = self.answer(request) if callable(self.answer) else self.answer
        if inspect.isawaitable(made):
            made = await made
        return web.json_response({"score": 0.5}) if made is None else cast("web.StreamResponse", made)

    def use_token(self, token: str) -> None:
        self.path.write_text(kubeconfig(self.port, user=f"{{token: {token}}}"))

    def model(self, url: str = URL, **endpoint: Any) -> ModelConfig:
        values = {"url": url, "body": {"x": 1}, "rate_per_s": 50.0, **endpoint}
        return ModelConfig.model_validate({"endpoint": values, "kubernetes": Kubernetes(kubeconfig=self.path)})


@asynccontextmanager
async def scripted(folder: Path, answer: Any = None) -> AsyncIterator[ScriptedApi]:
    api = ScriptedApi(folder / "kubeconfig", answer=answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    async with serving_app(app) as base:
        api.port = int(base.rpartition(":")[2])
        api.use_token("good")
        yield api


async def answered(folder: Path, answer: Any) -> Answer:
    async with scripted(folder, answer) as api:
        return await predict(api.model())


async def test_the_request_is_put_to_the_api_server_with_its_credentials_and_the_models_path(tmp_path: Path) -> None:
    async with scripted(tmp_path) as api:
        answer = await predict(api.model("k8s://ml/https:scorer:8443/v2/models/a%20b/infer?x=1"))
        pod = await predict(api.model("k8s://ml/pod/scorer-0:9000/predict"))

    assert (answer.error, pod.error, answer.body) == ("", "", {"score": 0.5})
    (method, path, headers), (_, pod_path, _) = api.asked
    assert method == "POST"
    assert path == "/api/v1/namespaces/ml/services/https:scorer:8443/proxy/v2/models/a%20b/infer?x=1"
    assert pod_path == "/api/v1/namespaces/ml/pods/scorer-0:9000/proxy/predict"
    assert headers["Authorization"] == "Bearer good"
    assert headers["Host"] == f"127.0.0.1:{api.port}"


@pytest.mark.parametrize(
    ("code", "message", "kind", "said"),
    [
        (503, 'no endpoints available for service "scorer"', ErrorKind.CONNECT, "no ready pod stands behind service"),
        (404, 'services "scorer" not found', ErrorKind.CONNECT, "there is no service scorer (namespace ml)"),
        (403, "forbidden", ErrorKind.TUNNEL, "not allowed to create services/proxy in namespace ml"),
        (429, "too many requests", ErrorKind.TUNNEL, "asks to slow down"),
        (500, "etcd is gone", ErrorKind.TUNNEL, "answered HTTP 500"),
    ],
)
async def test_what_the_api_server_says_itself_is_named(
    tmp_path: Path, code: int, message: str, kind: ErrorKind, said: str
) -> None:
    async with scripted(tmp_path, lambda _: status(code, message)) as api:
        told = await observed(api.model(), lambda told: len(replies(told)) > 1)

    assert {one.error for one in replies(told)} == {kind}
    assert said in replies(told)[0].error_text


async def test_a_connection_that_the_model_server_drops_is_its_own_failure(tmp_path: Path) -> None:
    text = "error trying to reach service: EOF"
    async with scripted(tmp_path, lambda _: web.Response(status=503, text=text)) as api:
        told = await observed(api.model(), lambda told: len(replies(told)) > 1)

    assert {one.error for one in replies(told)} == {ErrorKind.DISCONNECT}


async def test_the_model_servers_own_errors_stay_its_own(tmp_path: Path) -> None:
    long = "x" * 200_000
    unready = await answered(tmp_path, lambda _: web.json_response({"error": "loading"}, status=503))
    large = await answered(tmp_path, lambda _: web.Response(status=500, text=long))
    kind = await answered(tmp_path, lambda _: web.json_response({"kind": "Status", "detail": "mine"}, status=404))

    assert (unready.status, large.status, kind.status) == (503, 500, 404)
    assert "loading" in unready.error


async def test_a_rotated_token_is_read_again(tmp_path: Path) -> None:
    async with scripted(tmp_path) as api, sender_to(api.model()) as sender:
        before = await sender.predict({})
        api.token = "renewed"
        api.use_token("renewed")
        after = await sender.predict({})

    assert (before.error, after.error) == ("", "")
    assert [headers["Authorization"] for *_, headers in api.asked][-1] == "Bearer renewed"


async def test_refused_credentials_are_the_tunnels_failure(tmp_path: Path) -> None:
    async with scripted(tmp_path) as api:
        api.token = "another"
        told = await observed(api.model(), lambda told: len(replies(told)) > 1)

    assert {one.error for one in replies(told)} == {ErrorKind.TUNNEL}
    assert "does not accept the credentials" in replies(told)[0].error_text


async def test_a_redirect_stays_within_the_model_server_and_takes_no_credentials_elsewhere(tmp_path: Path) -> None:
    seen: list[web.BaseRequest] = []

    async def elsewhere(request: web.Request) -> web.Response:
        seen.append(request)
        return web.Response(text="elsewhere")

    app = web.Application()
    app.router.add_get("/there", elsewhere)
    async with serving_app(app) as other:

        def answer(request: web.Request) -> web.Response:
            if request.path.endswith("/away"):
                return web.Response(status=302, headers={"Location": f"{other}/there"})
            if request.path.endswith("/moved"):
                # The API server puts its own path before a redirect within the model server.
                prefix = request.path.removesuffix("/moved")
                return web.Response(status=302, headers={"Location": f"{prefix}/here"})
            return web.Response(text="here")

        async with scripted(tmp_path, answer) as api, sender_to(api.model()) as sender:
            away = await sender.get("k8s://ml/scorer:8000/away")
            moved = await sender.get("k8s://ml/scorer:8000/moved")

    assert (away.status, seen) == (302, [])
    assert moved.text == "here"
    assert api.asked[-1][1] == "/api/v1/namespaces/ml/services/scorer:8000/proxy/here"


async def test_an_api_server_that_is_gone_is_named_with_the_remedy(tmp_path: Path) -> None:
    async with scripted(tmp_path) as api:
        model = api.model()
    told = await observed(model, lambda told: len(replies(told)) > 1)

    assert {one.error for one in replies(told)} == {ErrorKind.TUNNEL}
    assert "nobody listens at the API server's address" in replies(told)[0].error_text


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    model = ModelConfig.model_validate(
        {"endpoint": {"url": URL, "body": {}}, "kubernetes": {"kubeconfig": str(tmp_path / "none")}}
    )

    assert "no kubeconfig" in (await predict(model)).error
