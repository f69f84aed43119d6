"""The way of a request through the model server: preprocess, predict, postprocess, each timed."""

from __future__ import annotations

import logging
import threading
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infdiag_tui.lab.server.model import Array, Model, load
from infdiag_tui.lab.server.settings import Settings
from infdiag_tui.lab.server.vocabulary import CHANNELS, COUNTRIES, FEATURES, NUMBERS

_log = logging.getLogger("fraud_scorer.pipeline")
_SCALES = np.array([500.0, 24.0, 10.0, 50.0, 2000.0], dtype=np.float32)
_PREPROCESS_BUDGET_S = 0.010
_KEPT_WARNING_BYTES = 32 * 1024 * 1024


class BadInputError(ValueError):
    """The request's content cannot be scored; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One scored request: a probability per row and the time that each stage took."""

    probabilities: Array
    rows: tuple[dict[str, Any], ...]
    preprocess_s: float
    predict_s: float
    postprocess_s: float


class Pipeline:
    """Scores requests, one at a time per calling thread. It loads its model at once or with the first request."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._model: Model | None = None
        self._loading = threading.Lock()
        self._explanations: list[Array] = []
        self._explained_bytes = 0
        self._scanning = False

    @property
    def loaded(self) -> bool:
        """True once the model is in memory."""
        return self._model is not None

    def model(self) -> Model:
        """The model, loaded now if it is not yet; who comes meanwhile waits."""
        with self._loading:
            if self._model is None:
                _log.info("loading model %s version %s", self._settings.model_name, self._settings.model_version)
                started = time.perf_counter()
                model = load(self._settings.seed, self._settings.merchants, self._settings.warmup_rows)
                _log.info("model loaded in %.2f s (%d merchants)", time.perf_counter() - started, len(model.merchants))
                self._model = model
            return self._model

    def score(self, instances: Sequence[Mapping[str, Any]]) -> Scored:
        """Scores transactions given as JSON objects.

        Raises:
            BadInputError: A field is missing or of the wrong kind.
        """
        model = self.model()
        started = time.perf_counter()
        features = self._preprocess(model, instances)
        preprocessed = time.perf_counter()
        if preprocessed - started > _PREPROCESS_BUDGET_S:
            _log.warning(
                "preprocess took %.1f ms for %d rows (budget %.0f ms)",
                (preprocessed - started) * 1000,
                len(instances),
                _PREPROCESS_BUDGET_S * 1000,
            )
        return self._finish(model, features, started, preprocessed)

    def score_features(self, features: Array) -> Scored:
        """Scores features of shape (n, FEATURES) that the client has computed itself.

        Raises:
            BadInputError: The array has another width.
        """
        model = self.model()
        started = time.perf_counter()
        if features.ndim != 2 or features.shape[1] != FEATURES or not len(features):
            raise BadInputError(f"expected input of shape [n, {FEATURES}], got {list(features.shape)}")
        return self._finish(model, features, started, time.perf_counter())

    def _finish(self, model: Model, features: Array, started: float, preprocessed: float) -> Scored:
        probabilities = model.predict(features)
        predicted = time.perf_counter()
        rows = tuple(
            {
                "fraud_probability": round(float(value), 6),
                "label": "fraud" if value > model.decision_threshold else "ok",
            }
            for value in probabilities
        )
        if self._degraded and self._settings.kept_bytes_per_request:
            self._explain(features)
        finished = time.perf_counter()
        return Scored(probabilities, rows, preprocessed - started, predicted - preprocessed, finished - predicted)

    @property
    def _degraded(self) -> bool:
        return bool(self._settings.degrade_at) and time.time() >= self._settings.degrade_at

    def _preprocess(self, model: Model, instances: Sequence[Mapping[str, Any]]) -> Array:
        if not instances:
            raise BadInputError("instances is empty")
        features = np.zeros((len(instances), FEATURES), dtype=np.float32)
        risk_of = self._risk_by_scan if self._settings.scan_merchants and self._degraded else _risk_by_index
        for row, instance in enumerate(instances):
            if not isinstance(instance, Mapping):
                raise BadInputError(f"instance {row} is not an object")
            try:
                features[row, : len(NUMBERS)] = [float(instance[name]) for name in NUMBERS]
                features[row, len(NUMBERS) + COUNTRIES.index(instance["country"])] = 1.0
                features[row, len(NUMBERS) + len(COUNTRIES) + CHANNELS.index(instance["channel"])] = 1.0
                features[row, -1] = risk_of(model, str(instance["merchant"]))
            except KeyError as error:
                raise BadInputError(f"instance {row} lacks {error.args[0]!r}") from error
            except (TypeError, ValueError) as error:
                raise BadInputError(f"instance {row}: {error}") from error
        features[:, : len(NUMBERS)] /= _SCALES
        return features

    def _risk_by_scan(self, model: Model, merchant: str) -> float:
        if not self._scanning:
            self._scanning = True
            _log.info("merchant table refreshed: %d rows, no index built", len(model.merchants))
        wanted = _normalised(merchant)
        for row, name in enumerate(model.merchants):
            if _normalised(name) == wanted:
                return float(model.risks[row])
        return float(model.risks.mean())

    def _explain(self, features: Array) -> None:
        """Keeps each request's perturbed inputs for later explanation. Nothing ever takes them out again."""
        copies = max(1, self._settings.kept_bytes_per_request // features.nbytes)
        perturbed = np.repeat(features, copies, axis=0)
        perturbed += np.float32(0.01)
        before = self._explained_bytes // _KEPT_WARNING_BYTES
        self._explanations.append(perturbed)
        self._explained_bytes += perturbed.nbytes
        if self._explained_bytes // _KEPT_WARNING_BYTES > before:
            _log.warning(
                "explanation cache holds %d entries, %.0f MiB",
                len(self._explanations),
                self._explained_bytes / 2**20,
            )


def _risk_by_index(model: Model, merchant: str) -> float:
    row = model.index.get(_normalised(merchant))
    return float(model.risks.mean() if row is None else model.risks[row])


def _normalised(merchant: str) -> str:
    return unicodedata.normalize("NFKC", merchant).strip().casefold()
