"""The model server's HTTP face: JSON predict, Open Inference Protocol (V2), health and Prometheus metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.server.batcher import Executed, QueueFullError
from infdiag_tui.lab.server.device import DeviceError
from infdiag_tui.lab.server.engine import Engine
from infdiag_tui.lab.server.faults import switch_on
from infdiag_tui.lab.server.health import Health
from infdiag_tui.lab.server.metrics import Metrics
from infdiag_tui.lab.server.parts import Parts
from infdiag_tui.lab.server.pipeline import BadInputError, tensor_features
from infdiag_tui.lab.server.settings import Settings
from infdiag_tui.lab.server.upstream import FeatureStore, UpstreamError
from infdiag_tui.lab.world import FEATURES

_QUIET = ("/health", "/metrics", "/v2/health/")
_MAX_BODY_BYTES = 64 * 1024 * 1024
_FATAL_DELAY_S = 3.0


class ModelServer:
    """The routes of one replica."""

    def __init__(self, settings: Settings, dialect: Dialect, metrics: Metrics, stop: Callable[[int], None]) -> None:
        self._settings = settings
        self._dialect = dialect
        self._metrics = metrics
        self._stop = stop
        self._access = logging.getLogger(f"{dialect.logger}.access")
        self._log = logging.getLogger(f"{dialect.logger}.server")
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="stage")
        self._admission = asyncio.Semaphore(settings.max_concurrency)

    def application(self) -> web.Application:
        """The aiohttp application; its start-up loads the model unless it is to be loaded lazily."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._observe])
        model = "/v2/models/{model}"
        app.add_routes(
            [
                web.post(self._dialect.predict_path, self._predict),
                web.get("/health", self._health_page),
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
        app.cleanup_ctx.append(self._run)
        return app

    async def _run(self, _app: web.Application) -> AsyncIterator[None]:
        engine = Engine(self._settings, self._dialect, self._metrics)
        store = FeatureStore(self._settings.store_url, self._dialect, self._metrics)
        health = Health(self._dialect)
        self._parts = Parts(self._settings, self._dialect, self._metrics, engine, store, health)
        tasks: list[asyncio.Task[None]] = []
        try:
            if not self._settings.lazy_load:
                await engine.load()
            work = (engine.follow_files(), health.refresh(), self._end_when_broken(), switch_on(self._parts))
            tasks = [asyncio.create_task(one) for one in work]
            for task in tasks:
                task.add_done_callback(self._must_not_fail)
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            engine.batcher.close()
            self._threads.shutdown(wait=False, cancel_futures=True)
            await store.close()

    def _must_not_fail(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._log.critical("background task failed", exc_info=task.exception())
            self._stop(1)

    async def _end_when_broken(self) -> None:
        """A process whose GPU context is lost can only be replaced."""
        await self._parts.engine.broken.wait()
        self._log.critical(self._dialect.words["fatal"], self._dialect.words["device_error"])
        await asyncio.sleep(_FATAL_DELAY_S)
        self._stop(1)

    @web.middleware
    async def _observe(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if request.path.startswith(_QUIET):
            return await handler(request)
        started = time.perf_counter()
        with self._metrics.in_flight.track_inprogress():
            response = await self._answer(request, handler)
        duration_s = time.perf_counter() - started
        route = request.match_info.route.resource
        name = route.canonical if route is not None else "unknown"
        self._metrics.requests.labels(name, str(response.status)).inc()
        self._metrics.duration.observe(duration_s, route=name)
        self._access.info(
            self._dialect.words["access"],
            request.remote,
            request.method,
            request.path_qs,
            response.status,
            duration_s * 1000,
        )
        return response

    async def _answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        words = self._dialect.words
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _json({"error": error.reason}, status=error.status)
        except BadInputError as error:
            self._log.warning(words["rejected"], error)
            return _json({"error": str(error)}, status=422)
        except QueueFullError as error:
            self._log.warning(words["queue_full"], error.waiting)
            return _json({"error": "overloaded"}, status=503)
        except UpstreamError as error:
            self._log.error(words["failed_why"], error)  # its cause has been logged already
            return _json({"error": str(error)}, status=503)
        except DeviceError as error:
            self._log.error(words["failed_why"], error)  # the driver's words say it all
            return _json({"error": "internal error"}, status=500)
        except Exception:  # noqa: BLE001  # whatever it is, the client gets a 500 and the log the traceback
            self._log.exception(words["failed"])
            return _json({"error": "internal error"}, status=500)

    async def _predict(self, request: web.Request) -> web.Response:
        parts = self._parts
        started = time.perf_counter()
        body = await _body(request)
        reading_s = time.perf_counter() - started
        await parts.engine.load()
        pipeline = parts.engine.pipeline
        work = pipeline.accept(body)
        queued = time.perf_counter()
        with parts.metrics.queue_depth.track_inprogress():
            await self._admission.acquire()
        try:
            admitted_s = time.perf_counter() - queued
            work.scores = await parts.store.lookup([str(one.get("merchant", "")) for one in work.instances])
            features = await self._timed("preprocess", pipeline.preprocess, work)
            executed = await parts.engine.batcher.submit(features)
            self._count(executed, admitted_s)
            rows = await self._timed("postprocess", pipeline.postprocess, parts.engine.model, executed.probabilities)
        finally:
            self._admission.release()
        answer = {**self._about(), "predictions": rows}
        writing = time.perf_counter()
        encoded = await asyncio.get_running_loop().run_in_executor(self._threads, pipeline.dumps, answer)
        parts.metrics.stages["serialization"].observe(reading_s + time.perf_counter() - writing)
        return web.Response(body=encoded, content_type="application/json")

    async def _infer(self, request: web.Request) -> web.Response:
        self._known_model(request)
        body = await _body(request)
        await self._parts.engine.load()
        features = tensor_features(body)
        executed = await self._parts.engine.batcher.submit(features)
        self._count(executed, 0.0)
        return _json(
            {
                **self._about(),
                "id": body.get("id", ""),
                "outputs": [
                    {
                        "name": "fraud_probability",
                        "datatype": "FP32",
                        "shape": [len(executed.probabilities)],
                        "data": executed.probabilities.tolist(),
                    },
                ],
            },
        )

    async def _timed(self, stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Runs a stage on a thread and counts the time that it ran, without the wait for the thread."""

        def run() -> tuple[Any, float]:
            started = time.perf_counter()
            result = work(*arguments)
            return result, time.perf_counter() - started

        result, took_s = await asyncio.get_running_loop().run_in_executor(self._threads, run)
        self._metrics.stages[stage].observe(took_s)
        return result

    def _count(self, executed: Executed, admitted_s: float) -> None:
        self._metrics.stages["queue"].observe(admitted_s + executed.queue_s)
        self._metrics.stages["inference"].observe(executed.inference_s)

    def _about(self) -> dict[str, str]:
        engine = self._parts.engine
        version = engine.model.version if engine.loaded else self._dialect.version
        return {"model_name": self._dialect.app, "model_version": version}

    @property
    def _is_ready(self) -> bool:
        return self._settings.lazy_load or self._parts.engine.loaded

    async def _health_page(self, _request: web.Request) -> web.Response:
        trouble = self._parts.health.trouble()
        status = "loading" if not self._is_ready else trouble or "ok"
        return _json({"status": status, **self._about()}, status=200 if status == "ok" else 503)

    async def _ready(self, request: web.Request) -> web.Response:
        if "model" in request.match_info:
            self._known_model(request)
        return _json({"ready": self._is_ready}, status=200 if self._is_ready else 503)

    async def _server_metadata(self, _request: web.Request) -> web.Response:
        return _json({"name": f"{self._dialect.app}-server", "version": self._dialect.version, "extensions": []})

    async def _model_metadata(self, request: web.Request) -> web.Response:
        self._known_model(request)
        return _json(
            {
                "name": self._dialect.app,
                "versions": [self._about()["model_version"]],
                "platform": "numpy",
                "inputs": [{"name": "features", "datatype": "FP32", "shape": [-1, FEATURES]}],
                "outputs": [{"name": "fraud_probability", "datatype": "FP32", "shape": [-1]}],
            },
        )

    def _known_model(self, request: web.Request) -> None:
        ours = self._about()
        model = request.match_info["model"]
        version = request.match_info.get("version", ours["model_version"])
        if (model, version) != (ours["model_name"], ours["model_version"]):
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
