"""The lab's own process: everything of a scenario put together, from the first port to the last goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import math
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
from infdiag_tui.lab.children import FeatureStore
from infdiag_tui.lab.control import Control
from infdiag_tui.lab.dataset import Dataset
from infdiag_tui.lab.dialects import Dialect, log_formatter
from infdiag_tui.lab.faults import LAB_KINDS, prepare_fault, run_fault
from infdiag_tui.lab.front import Front
from infdiag_tui.lab.gpu import GpuExporter, Gpus
from infdiag_tui.lab.kubelet import Kubelet
from infdiag_tui.lab.manifests import PodPlan
from infdiag_tui.lab.processes import free_port
from infdiag_tui.lab.repository import MODEL_FILE, Repository
from infdiag_tui.lab.scenarios import Scenario
from infdiag_tui.lab.server.settings import Settings
from infdiag_tui.lab.stage import Stage
from infdiag_tui.lab.traffic import Traffic, known_good_input
from infdiag_tui.lab.world import Outcomes

_HOST = "127.0.0.1"
_READY_S = 30.0


@contextlib.asynccontextmanager
async def staged(scenario: Scenario, seed: int, folder: Path, config_path: Path) -> AsyncIterator[dict[str, Any]]:
    """Runs the scenario until the block ends; gives where everything is, once all replicas are ready.

    Raises:
        TimeoutError: The replicas did not become ready in time.
        OSError: A file could not be written or a port not be bound.
    """
    names = scenario.names
    for name in ("logs", "devices"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    gateway_log = folder / "logs" / f"{names.gateway}.log"
    front = Front(_HOST, free_port(), names)
    certificate = self_signed(_HOST)
    store = Store()
    access = Access(secrets.token_urlsafe(24), names.namespace)
    feature_store = FeatureStore(_HOST, folder)
    repository = Repository(folder, names, seed)
    outcomes = Outcomes(seed)
    for fault in scenario.faults:
        prepare_fault(fault, repository, outcomes)
    settings = _Settings(scenario, repository, feature_store.url, folder)
    kubelet = Kubelet(scenario, seed, folder, store, front.set_backends, settings)
    api = ApiServer(store, access, kubelet, _HOST, free_port(), _tls(certificate, folder))
    gpus = Gpus(names, kubelet.ready_plans, kubelet.device_path)
    exporter = GpuExporter(gpus, _HOST, free_port())
    control = Control(api, access, store, kubelet, front, exporter)
    control.gateway_log = gateway_log
    dataset = Dataset(folder, scenario.merchants, seed, outcomes)
    traffic = Traffic(front.url, names, scenario.merchants, seed, dataset)
    traffic.rate_per_s = scenario.traffic_rps
    traffic.rows_min, traffic.rows_max = scenario.rows_min, scenario.rows_max
    runner = web.AppRunner(control.application(), access_log=None)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(_gateway_log(gateway_log, names))
        stack.callback(dataset.close)
        stack.push_async_callback(front.stop)
        stack.push_async_callback(api.close)
        stack.push_async_callback(exporter.stop)
        stack.push_async_callback(runner.cleanup)
        stack.push_async_callback(feature_store.stop)
        stack.push_async_callback(kubelet.close)
        await feature_store.start()
        await kubelet.start(int(front.url.rpartition(":")[2]))
        # While the processes start there is time for the files.
        dataset.write_past(repository.document, Outcomes(seed + 1))
        await runner.setup()
        control_port = free_port()
        await web.TCPSite(runner, _HOST, control_port).start()
        await api.start()
        await exporter.start()
        await stack.enter_async_context(_background(front.follow(), front.report(), gpus.run()))
        await feature_store.ready()
        await asyncio.wait_for(kubelet.all_ready.wait(), _READY_S)
        await asyncio.wait_for(front.listening.wait(), _READY_S)
        await stack.enter_async_context(_background(traffic.run()))
        fault_at = settings.set_fault_time(scenario.fault_after_s)
        stage = Stage(scenario, folder, kubelet, front, gpus, traffic, feature_store, repository, outcomes, fault_at)
        await stack.enter_async_context(_background(*(run_fault(fault, stage) for fault in scenario.faults)))
        kubeconfig_path = folder / "kubeconfig"
        kubeconfig = outputs.kubeconfig(api.url, access.token, certificate.certificate, names.namespace)
        outputs.write_private(kubeconfig_path, kubeconfig)
        predict_url = f"{front.url}{names.predict_path}"
        config = outputs.config(
            names,
            predict_url=predict_url,
            body=known_good_input(scenario.merchants),
            log_file=gateway_log,
            kubeconfig_path=kubeconfig_path,
            dcgm_url=exporter.url,
            server_port=kubelet.ready_plans()[0].port,
            dataset=dataset,
            repository=repository,
        )
        outputs.write_private(config_path, config)
        yield {
            "scenario": scenario.name,
            "folder": str(folder),
            "config_path": str(config_path),
            "kubeconfig_path": str(kubeconfig_path),
            "endpoint_url": predict_url,
            "api_url": api.url,
            "token": access.token,
            "dcgm_url": exporter.url,
            "control_url": f"http://{_HOST}:{control_port}",
            "namespace": names.namespace,
            "selector": names.selector,
            "fault_at": fault_at,
            "log_files": [str(gateway_log), *map(str, kubelet.log_files)],
        }


class _Settings:
    """Makes the settings of new pods' servers."""

    def __init__(self, scenario: Scenario, repository: Repository, store_url: str, folder: Path) -> None:
        self._scenario = scenario
        self._repository = repository
        self._store_url = store_url
        self._folder = folder
        self._fault_time_path = folder / "fault-time"
        self._fault_at = math.inf

    def set_fault_time(self, after_s: float) -> float:
        """Lets the faults begin that long after now; returns when that is."""
        self._fault_at = time.time() + after_s
        new = self._fault_time_path.with_suffix(".new")
        new.write_text(str(self._fault_at))
        new.rename(self._fault_time_path)
        return self._fault_at

    def __call__(self, plan: PodPlan, folder: Path) -> Settings:
        scenario = self._scenario
        late = plan.created_at >= self._fault_at
        lazily = [fault for fault in scenario.faults if late and "warmup_s" in fault.values]
        return Settings(
            host=plan.ip,
            port=plan.port,
            log_file=str(self._folder / "logs" / f"{plan.name}.log"),
            model_path=str(folder / "models" / MODEL_FILE),
            code_path=str(self._repository.code_path),
            device_path=str(self._folder / "devices" / plan.name),
            store_url=self._store_url,
            dialect=scenario.dialect,
            merchants=scenario.merchants,
            warmup_s=float(lazily[0].values["warmup_s"]) if lazily else 0.0,
            lazy_load=bool(lazily),
            max_concurrency=scenario.max_concurrency,
            max_connections=scenario.max_connections,
            faults=[
                {"kind": fault.kind, "after_s": plan.index * scenario.fault_stagger_s, "values": dict(fault.values)}
                for fault in scenario.faults
                if fault.kind not in LAB_KINDS and fault.strikes(plan.index)
            ],
            fault_time_path=str(self._fault_time_path),
        )


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
        task.add_done_callback(_must_not_fail)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _must_not_fail(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        asyncio.get_running_loop().call_exception_handler({"message": "lab task failed", "exception": error})


@contextlib.contextmanager
def _gateway_log(path: Path, dialect: Dialect) -> Any:
    # A watched file: it is opened again after it was rotated away.
    handler = logging.handlers.WatchedFileHandler(path)
    handler.setFormatter(log_formatter(dialect))
    logger = logging.getLogger(dialect.gateway)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
