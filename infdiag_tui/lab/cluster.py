"""The lab's own process: everything of a scenario put together, from the first port to the last goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import web

from infdiag_tui.lab import outputs
from infdiag_tui.lab.api.access import Access
from infdiag_tui.lab.api.server import ApiServer
from infdiag_tui.lab.api.store import Store
from infdiag_tui.lab.certificate import Certificate, self_signed
from infdiag_tui.lab.control import Control
from infdiag_tui.lab.front import Front
from infdiag_tui.lab.gpu import GpuExporter, Gpus
from infdiag_tui.lab.kubelet import Kubelet
from infdiag_tui.lab.manifests import NAMESPACE, SELECTOR
from infdiag_tui.lab.processes import free_port
from infdiag_tui.lab.scenarios import Scenario
from infdiag_tui.lab.traffic import Traffic, known_good_input

_HOST = "127.0.0.1"
_READY_S = 30.0


@contextlib.asynccontextmanager
async def staged(scenario: Scenario, seed: int, folder: Path, config_path: Path) -> AsyncIterator[dict[str, Any]]:
    """Runs the scenario until the block ends; gives where everything is, once the first replica is ready.

    Raises:
        TimeoutError: No replica became ready in time.
        OSError: A file could not be written or a port not be bound.
    """
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    gateway_log = folder / "logs" / "gateway.log"
    front = Front(_HOST, free_port())
    certificate = self_signed(_HOST)
    tls = _tls(certificate, folder)
    store = Store()
    access = Access(secrets.token_urlsafe(24), NAMESPACE)
    kubelet = Kubelet(scenario, seed, folder, store, front.set_backends)
    api = ApiServer(store, access, kubelet, _HOST, free_port(), tls)
    gpus = Gpus(front.requests, kubelet.ready_plans)
    exporter = GpuExporter(gpus, _HOST, free_port())
    control = Control(api, access, store, kubelet, front, exporter)
    control.gateway_log = gateway_log
    traffic = Traffic(front.url, scenario.traffic_rps, scenario.merchants, seed)
    runner = web.AppRunner(control.application(), access_log=None)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_gateway_log(gateway_log))
        stack.push_async_callback(front.stop)
        stack.push_async_callback(api.close)
        stack.push_async_callback(exporter.stop)
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(kubelet.close)
        await runner.setup()
        control_port = free_port()
        await web.TCPSite(runner, _HOST, control_port).start()
        await api.start()
        await exporter.start()
        await stack.enter_async_context(_background(front.follow(), front.report(), gpus.run()))
        await kubelet.start(int(front.url.rpartition(":")[2]))
        await asyncio.wait_for(front.listening.wait(), _READY_S)
        await stack.enter_async_context(_background(traffic.run()))
        kubeconfig_path = folder / "kubeconfig"
        outputs.write_private(kubeconfig_path, outputs.kubeconfig(api.url, access.token, certificate.certificate))
        outputs.write_private(
            config_path,
            outputs.config(
                predict_url=f"{front.url}/predict",
                body=known_good_input(scenario.merchants),
                log_file=gateway_log,
                kubeconfig_path=kubeconfig_path,
                dcgm_url=exporter.url,
                server_port=kubelet.ready_plans()[0].port,
            ),
        )
        yield {
            "scenario": scenario.name,
            "folder": str(folder),
            "config_path": str(config_path),
            "kubeconfig_path": str(kubeconfig_path),
            "endpoint_url": f"{front.url}/predict",
            "api_url": api.url,
            "token": access.token,
            "dcgm_url": exporter.url,
            "control_url": f"http://{_HOST}:{control_port}",
            "namespace": NAMESPACE,
            "selector": SELECTOR,
            "log_files": [str(gateway_log), *map(str, kubelet.log_files)],
        }


def _tls(certificate: Certificate, folder: Path) -> ssl.SSLContext:
    path = folder / "api.pem"
    outputs.write_private(path, certificate.key + certificate.certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@contextlib.asynccontextmanager
async def _background(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in work]
    for task in tasks:
        task.add_done_callback(_must_not_end)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _must_not_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        asyncio.get_running_loop().call_exception_handler({"message": "lab task failed", "exception": error})


@contextlib.contextmanager
def _gateway_log(path: Path) -> Any:
    # A watched file: it is opened again after it was rotated away.
    handler = logging.handlers.WatchedFileHandler(path)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger = logging.getLogger("gateway")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
