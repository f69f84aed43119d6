"""The model server's HTTP face: JSON predict, Open Inference Protocol (V2), health and Prometheus metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

from infdiag_tui.lab.server.pipeline import BadInputError, Pipeline, Scored
from infdiag_tui.lab.server.settings import Settings
from infdiag_tui.lab.server.vocabulary import FEATURES

_access = logging.getLogger("fraud_scorer.access")
_log = logging.getLogger("fraud_scorer.server")
_QUIET = ("/health", "/metrics", "/v2/health/")
_MAX_BODY_BYTES = 8 * 1024 * 1024
_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What `/metrics` tells; the stage histograms bear KServe's names."""

    def __init__(self) -> None:
        self.requests = Counter("fraud_scorer_requests", "Requests by route and status.", ("route", "status"))
        self.duration = Histogram(
            "fraud_scorer_request_duration_seconds", "Whole request.", ("route",), buckets=_BUCKETS_S
        )
        names = ("preprocess", "predict", "postprocess")
        self.stages = [
            Histogram(f"request_{name}_seconds", f"{name.capitalize()} latency.", ("model_name",), buckets=_BUCKETS_S)
            for name in names
        ]


class ModelServer:
    """The routes of one replica."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pipeline = Pipeline(settings)
        self._metrics = Metrics()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="score")

    def application(self) -> web.Application:
        """The aiohttp application; its start-up loads the model unless it is to be loaded lazily."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._observe])
        model = "/v2/models/{model}"
        app.add_routes(
            [
                web.post("/predict", self._predict),
                web.get("/health", self._health),
                web.get("/metrics", _metrics_page),
                web.get("/v2", self._server_metadata),
                web.get("/v2/health/live", _live),
                web.get("/v2/health/ready", self._ready),
            ],
        )
        for prefix in (model, model + "/versions/{version}"):
            app.add_routes(
                [
                    web.get(prefix, self._model_metadata),
                    web.get(prefix + "/ready", self._ready),
                    web.post(prefix + "/infer", self._infer),
                ],
            )
        app.on_startup.append(self._load)
        app.on_cleanup.append(self._stop_threads)
        return app

    async def _load(self, _app: web.Application) -> None:
        if not self._settings.lazy_load:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._pipeline.model)

    async def _stop_threads(self, _app: web.Application) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @web.middleware
    async def _observe(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        started = time.perf_counter()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _json({"error": error.reason}, status=error.status)
        except BadInputError as error:
            _log.warning("rejected request: %s", error)
            response = _json({"error": str(error)}, status=422)
        except Exception:  # noqa: BLE001  # whatever it is, the client gets a 500 and the log the traceback
            _log.exception("request failed")
            response = _json({"error": "internal error"}, status=500)
        duration_s = time.perf_counter() - started
        if not request.path.startswith(_QUIET):
            route = request.match_info.route.resource
            name = route.canonical if route is not None else "unknown"
            self._metrics.requests.labels(name, str(response.status)).inc()
            self._metrics.duration.labels(name).observe(duration_s)
            _access.info(
                '%s - "%s %s HTTP/1.1" %d %.1fms',
                request.remote,
                request.method,
                request.path_qs,
                response.status,
                duration_s * 1000,
            )
        return response

    async def _run(self, work: Callable[[Any], Scored], argument: Any) -> Scored:
        scored = await asyncio.get_running_loop().run_in_executor(self._threads, work, argument)
        times_s = (scored.preprocess_s, scored.predict_s, scored.postprocess_s)
        for histogram, duration_s in zip(self._metrics.stages, times_s, strict=True):
            histogram.labels(self._settings.model_name).observe(duration_s)
        return scored

    async def _predict(self, request: web.Request) -> web.Response:
        body = await _body(request)
        instances = body.get("instances")
        if not isinstance(instances, list):
            raise BadInputError("the body needs a list named 'instances'")
        scored = await self._run(self._pipeline.score, instances)
        return _json(
            {
                "model_name": self._settings.model_name,
                "model_version": self._settings.model_version,
                "predictions": scored.rows,
            },
        )

    async def _infer(self, request: web.Request) -> web.Response:
        self._known_model(request)
        body = await _body(request)
        try:
            given = body["inputs"][0]
            features = np.array(given["data"], dtype=np.float32).reshape(given["shape"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise BadInputError(f"inputs[0] needs shape and data that fit: {error}") from error
        scored = await self._run(self._pipeline.score_features, features)
        return _json(
            {
                "model_name": self._settings.model_name,
                "model_version": self._settings.model_version,
                "id": body.get("id", ""),
                "outputs": [
                    {
                        "name": "fraud_probability",
                        "datatype": "FP32",
                        "shape": [len(scored.probabilities)],
                        "data": [float(value) for value in scored.probabilities],
                    },
                ],
            },
        )

    async def _health(self, _request: web.Request) -> web.Response:
        ready = self._settings.lazy_load or self._pipeline.loaded
        return _json(
            {
                "status": "ok" if ready else "loading",
                "model_name": self._settings.model_name,
                "model_version": self._settings.model_version,
            },
            status=200 if ready else 503,
        )

    async def _ready(self, request: web.Request) -> web.Response:
        if "model" in request.match_info:
            self._known_model(request)
        ready = self._settings.lazy_load or self._pipeline.loaded
        return _json({"ready": ready}, status=200 if ready else 503)

    async def _server_metadata(self, _request: web.Request) -> web.Response:
        return _json({"name": "fraud-scorer-server", "version": self._settings.model_version, "extensions": []})

    async def _model_metadata(self, request: web.Request) -> web.Response:
        self._known_model(request)
        return _json(
            {
                "name": self._settings.model_name,
                "versions": [self._settings.model_version],
                "platform": "numpy",
                "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, FEATURES]}],
                "outputs": [{"name": "fraud_probability", "datatype": "FP32", "shape": [-1]}],
            },
        )

    def _known_model(self, request: web.Request) -> None:
        model = request.match_info["model"]
        version = request.match_info.get("version", self._settings.model_version)
        if (model, version) != (self._settings.model_name, self._settings.model_version):
            raise web.HTTPNotFound(reason=f"Request for unknown model: '{model}' version '{version}' is not found")


async def _live(_request: web.Request) -> web.Response:
    return _json({"live": True})


async def _metrics_page(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise BadInputError(f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise BadInputError("the body must be a JSON object")
    return body


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json")
