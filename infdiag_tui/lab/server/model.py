"""The fraud model: a small neural network from a file, and the table of merchants that it goes with."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infdiag_tui.lab import modelfile
from infdiag_tui.lab.world import merchant_name, merchant_risk

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Model:
    """Weights, ready to score. `content` is the file's, `layers` the same as arrays."""

    content: dict[str, Any]
    layers: tuple[tuple[Array, Array], ...]

    @property
    def version(self) -> str:
        """The version that the file states."""
        return str(self.content["version"])

    @property
    def threshold(self) -> float:
        """The probability above which a transaction is called fraud."""
        return float(self.content["threshold"])

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return sum(weights.size + bias.size for weights, bias in self.layers)

    def predict(self, features: Array) -> Array:
        """Fraud probabilities, shape (n,), of features of shape (n, FEATURES)."""
        activations = features
        for weights, bias in self.layers[:-1]:
            activations = np.maximum(activations @ weights + bias, 0.0)
        weights, bias = self.layers[-1]
        logits = (activations @ weights + bias)[:, 0]
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))

    def interpret(self, features: Array, passes: int) -> Array:
        """The same without vector instructions, one Monte-Carlo pass after the other, as where no kernel is there."""
        rows = features.tolist()
        scores = np.array([[modelfile.score(self.content, row) for row in rows] for _ in range(passes)])
        return np.asarray(scores.mean(axis=0))


def read_model(path: Path) -> Model:
    """Reads a model file.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no model file.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or content.get("format") != "mlp/1":
        raise ValueError(f"{path.name} is no model file of format mlp/1")
    layers = tuple((np.array(layer["weights"]), np.array(layer["bias"])) for layer in content["layers"])
    return Model(content, layers)


@dataclass(slots=True)
class MerchantTable:
    """Merchants in the order of the table, the newest first, their risk, and an index from name to row."""

    names: tuple[str, ...]
    risks: Array
    index: dict[str, int]

    @classmethod
    def of(cls, merchants: int) -> MerchantTable:
        """The table of that many merchants."""
        newest_first = range(merchants - 1, -1, -1)
        names = tuple(map(merchant_name, newest_first))
        risks = np.array([merchant_risk(number) for number in newest_first])
        return cls(names, risks, {name: row for row, name in enumerate(names)})

    def by_index(self, merchant: str) -> float:
        """A merchant's risk; that of the average merchant for one that is not in the table."""
        row = self.index.get(normalised(merchant))
        return float(self.risks.mean() if row is None else self.risks[row])

    def by_scan(self, merchant: str) -> float:
        """The same by comparing every row."""
        wanted = normalised(merchant)
        for row, name in enumerate(self.names):
            if normalised(name) == wanted:
                return float(self.risks[row])
        return float(self.risks.mean())


def normalised(merchant: str) -> str:
    """A merchant's name as the index has it."""
    return unicodedata.normalize("NFKC", merchant).strip().casefold()
