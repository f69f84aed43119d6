"""What is done to a request besides the model's own work: features before it, verdicts after it, JSON around it."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import orjson

from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.server.model import Array, MerchantTable, Model
from infdiag_tui.lab.world import FEATURES

_BUDGET_S = 0.050


class BadInputError(ValueError):
    """The request's content cannot be scored; the message says what is wrong with it."""


@dataclass(slots=True)
class Work:
    """One request on its way: what came, and what the feature store knows of its merchants."""

    instances: list[Mapping[str, Any]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def import_code(path: Path) -> ModuleType:
    """The module in a file that need not be on the path; imported anew each time."""
    spec = importlib.util.spec_from_file_location("features", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # The source as it is now, not what an import of a moment ago left in a cache.
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)  # noqa: S102  # the lab's own file
    return module


class Pipeline:
    """The stages around the model. Its parts may be replaced while it serves."""

    def __init__(self, code: ModuleType, table: MerchantTable, dialect: Dialect) -> None:
        self.code = code
        self.table = table
        self.risk_of: Callable[[str], float] = table.by_index
        self.new_work: Callable[[], Work] = Work
        self.after_scoring: list[Callable[[Array], None]] = []
        self.explain: Callable[[Array], None] | None = None
        self.dumps: Callable[[Any], bytes] = orjson.dumps
        self._dialect = dialect
        self._log = logging.getLogger(f"{dialect.logger}.pipeline")

    def accept(self, body: Any) -> Work:
        """The work that a predict request asks for.

        Raises:
            BadInputError: It holds no transactions.
        """
        instances = body.get("instances")
        if not isinstance(instances, list):
            raise BadInputError("the body needs a list named 'instances'")
        if not instances:
            raise BadInputError("instances is empty")
        for row, instance in enumerate(instances):
            if not isinstance(instance, Mapping):
                raise BadInputError(f"instance {row} is not an object")
        work = self.new_work()
        work.instances = instances
        return work

    def preprocess(self, work: Work) -> Array:
        """Features, shape (n, FEATURES); the work is done with then, and emptied.

        Raises:
            BadInputError: A field is missing or of the wrong kind.
        """
        started = time.perf_counter()
        rows = []
        for row, (instance, score) in enumerate(zip(work.instances, work.scores, strict=True)):
            try:
                rows.append([*self.code.to_features(instance), self.risk_of(str(instance["merchant"])), score])
            except KeyError as error:
                raise BadInputError(f"instance {row} lacks {error.args[0]!r}") from error
            except (TypeError, ValueError) as error:
                raise BadInputError(f"instance {row}: {error}") from error
        self._say_imputed(work.instances)
        work.instances, work.scores = [], []
        took_s = time.perf_counter() - started
        if took_s > _BUDGET_S:
            self._log.warning(self._dialect.words["slow"], took_s * 1000, len(rows), _BUDGET_S * 1000)
        return np.array(rows)

    def postprocess(self, model: Model, probabilities: Array) -> list[dict[str, Any]]:
        """A verdict for each row."""
        for keep in self.after_scoring:
            keep(probabilities)
        if self.explain is not None:
            self.explain(probabilities)
        return [
            {
                # NaN has no place in JSON; orjson writes null.
                "fraud_probability": round(float(value), 6),
                "label": "fraud" if value > model.threshold else "ok",
            }
            for value in probabilities
        ]

    def _say_imputed(self, instances: Sequence[Mapping[str, Any]]) -> None:
        for name in self.code.NUMBERS:
            lacking = sum(instance.get(name) is None for instance in instances)
            if lacking:
                self._log.warning(self._dialect.words["imputed"], lacking, name)


def tensor_features(body: Any) -> Array:
    """The features in a V2 request, which its client has computed itself.

    Raises:
        BadInputError: There are none, or of another width.
    """
    try:
        given = body["inputs"][0]
        features = np.array(given["data"], dtype=float).reshape(given["shape"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadInputError(f"inputs[0] needs shape and data that fit: {error}") from error
    if features.ndim != 2 or features.shape[1] != FEATURES or not len(features):
        raise BadInputError(f"expected input of shape [n, {FEATURES}], got {list(features.shape)}")
    return features
