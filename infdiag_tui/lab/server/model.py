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
_REFERENCE_ROWS = 1024


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


def load(seed: int, merchants: int, warmup_rows: int) -> Model:
    """Builds the model, sets its threshold and warms it up.

    The decision threshold is the 99th percentile of the scores of reference transactions. The time goes into the
    merchants' table and into the `warmup_rows` that are scored before the first request: about 1 s for 500,000.
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
    reference = rng.random((_REFERENCE_ROWS, FEATURES), dtype=np.float32)
    threshold = float(np.quantile(model.predict(reference), 0.99))
    for _ in range(warmup_rows // _REFERENCE_ROWS):
        model.predict(reference)
    return dataclasses.replace(model, decision_threshold=threshold)
