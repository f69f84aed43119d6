"""The replica's engine: its model, loaded at once or with the first request, the device it runs on, and the batcher."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.server.batcher import Batcher
from infdiag_tui.lab.server.device import Device, DeviceMemoryError
from infdiag_tui.lab.server.metrics import Metrics
from infdiag_tui.lab.server.model import Array, MerchantTable, Model, read_model
from infdiag_tui.lab.server.pipeline import Pipeline, import_code
from infdiag_tui.lab.server.settings import Settings

_POLL_S = 0.5


class NotLoadedError(RuntimeError):
    """The engine was used before its model was loaded."""


class Engine:
    """Everything that computes. `ready` is set with the model, `broken` once the device is lost to this process."""

    def __init__(self, settings: Settings, dialect: Dialect, metrics: Metrics) -> None:
        self._settings = settings
        self._dialect = dialect
        self._metrics = metrics
        self._log = logging.getLogger(f"{dialect.logger}.engine")
        self._loading = asyncio.Lock()
        self._model: Model | None = None
        self._pipeline: Pipeline | None = None
        words = dialect.words
        self.device = Device(Path(settings.device_path), words["device_error"], words["device_memory"])
        self.batcher = Batcher(self._run, metrics, self._on_error)
        self.broken = asyncio.Event()
        self.ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def loaded(self) -> bool:
        """True once the model is in memory."""
        return self._model is not None

    @property
    def model(self) -> Model:
        """The model in use."""
        if self._model is None:
            raise NotLoadedError("the model is not loaded")
        return self._model

    @model.setter
    def model(self, model: Model) -> None:
        self._model = model

    @property
    def pipeline(self) -> Pipeline:
        """The stages around the model."""
        if self._pipeline is None:
            raise NotLoadedError("the pipeline is not loaded")
        return self._pipeline

    async def load(self) -> None:
        """Loads the model if it is not yet; who comes meanwhile waits.

        Raises:
            OSError: A file cannot be read.
            ValueError: The model file is none.
        """
        async with self._loading:
            if self._model is None:
                model, pipeline = await asyncio.to_thread(self._read)
                self._model, self._pipeline = model, pipeline
                self.ready.set()

    async def follow_files(self) -> None:
        """Takes over model and code whenever their files change, for ever."""
        paths = (Path(self._settings.model_path), Path(self._settings.code_path))
        seen = [_changed_at(path) for path in paths]
        while True:
            await asyncio.sleep(_POLL_S)
            now = [_changed_at(path) for path in paths]
            if self.loaded and now != seen and all(now):
                await asyncio.to_thread(self._reread, now[0] != seen[0], now[1] != seen[1])
            seen = now

    def _read(self) -> tuple[Model, Pipeline]:
        path = Path(self._settings.model_path)
        self._log.info(self._dialect.words["loading"], path.name)
        started = time.perf_counter()
        model = read_model(path)
        code = import_code(Path(self._settings.code_path))
        table = MerchantTable.of(self._settings.merchants)
        if self._settings.warmup_s:
            self._warm_up(model, started + self._settings.warmup_s)
        took_s = time.perf_counter() - started
        self._metrics.model_load.set(took_s)
        self._log.info(self._dialect.words["loaded"], took_s, model.content["name"], model.version, len(table.names))
        return model, Pipeline(code, table, self._dialect)

    @staticmethod
    def _warm_up(model: Model, until: float) -> None:
        """Tries one batch shape after the other, as an autotuner does: as long on a fast machine as on a slow one."""
        import numpy as np

        width = model.layers[0][0].shape[0]
        random = np.random.default_rng(0)
        while time.perf_counter() < until:
            model.interpret(random.random((100, width)), 1)

    def _reread(self, model_changed: bool, code_changed: bool) -> None:
        if model_changed:
            self._model = model = read_model(Path(self._settings.model_path))
            self._log.info(self._dialect.words["reloaded"], model.content["name"], model.version)
        if code_changed:
            self.pipeline.code = import_code(Path(self._settings.code_path))
            self._log.info(self._dialect.words["code_reloaded"])

    def _run(self, features: Array) -> Array:
        return self.device.execute(self.model, features)

    def _on_error(self, error: Exception) -> None:
        # A batch that did not fit is over; a context that is lost stays lost.
        if self.device.failed and not isinstance(error, DeviceMemoryError):
            self._loop.call_soon_threadsafe(self.broken.set)


def _changed_at(path: Path) -> tuple[int, int]:
    try:
        about = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (about.st_mtime_ns, about.st_ino)
