"""The fraud model: a lookup table of merchants and a small neural network, both made from a seed."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infdiag_tui.lab.server.vocabulary import FEATURES, merchant_name

Array = NDArray[np.float32]

_HIDDEN = 256
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Model:
    """Weights and tables, ready to score.

    `merchants` are names in the order of the table, `risks` their risk in [0, 1), `index` name to row.
    """

    merchants: tuple[str, ...]
    risks: NDArray[np.float64]
    index: dict[str, int]
    layers: tuple[tuple[Array, Array], ...]
    decision_threshold: float = 0.5

    def predict(self, features: Array) -> Array:
        """Fraud probabilities, shape (n,), of features of shape (n, FEATURES)."""
        activations = features
        for weights, bias in self.layers[:-1]:
            activations = np.maximum(activations @ weights + bias, 0.0)
        weights, bias = self.layers[-1]
        logits = (activations @ weights + bias)[:, 0]
        return np.asarray(1.0 / (1.0 + np.exp(-logits)), dtype=np.float32)


def load(seed: int, merchants: int, calibration_rows: int) -> Model:
    """Builds the model and calibrates it.

    The time goes into the merchants' table and into scoring `calibration_rows` reference transactions, from which the
    decision threshold is taken (their 99th percentile): about 1 s for 100,000 of either.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(merchants)
    names = tuple(merchant_name(int(number)) for number in order)
    risks = rng.beta(1.5, 12.0, size=merchants)
    index = {name: row for row, name in enumerate(names)}
    sizes = (FEATURES, _HIDDEN, _HIDDEN, 1)
    layers = tuple(
        (
            rng.normal(0.0, (2.0 / width) ** 0.5, size=(width, following)).astype(np.float32),
            np.full(following, 0.0 if following > 1 else -2.0, dtype=np.float32),
        )
        for width, following in itertools.pairwise(sizes)
    )
    model = Model(names, risks, index, layers)
    scores = [
        model.predict(rng.random((min(_BATCH, calibration_rows - start), FEATURES), dtype=np.float32))
        for start in range(0, calibration_rows, _BATCH)
    ]
    return dataclasses.replace(model, decision_threshold=float(np.quantile(np.concatenate(scores), 0.99)))
