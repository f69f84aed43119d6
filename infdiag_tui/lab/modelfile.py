"""Model files: a small network as JSON, and what it answers, in pure Python."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from infdiag_tui.lab.world import BIAS, FEATURES, STEEPNESS, WEIGHTS, sigmoid

Document = dict[str, Any]

_HIDDEN = 32
_RIPPLE = 0.02
"""The size of the random part of the weights, by which models of different seeds can be told apart."""


def document(name: str, version: str, trained_at: str, seed: int, *, weights: Sequence[float] = WEIGHTS) -> Document:
    """A model whose log-odds follow `weights`, as a file's content.

    Two hidden units carry the positive and the negative part of the log-odds; the others add a little noise that
    depends on the seed.
    """
    draw = random.Random(seed)
    noise = [[draw.gauss(0.0, _RIPPLE) for _ in range(_HIDDEN - 2)] for _ in range(FEATURES)]
    first = [[STEEPNESS * weight, -STEEPNESS * weight, *ripple] for weight, ripple in zip(weights, noise, strict=True)]
    layers = [{"weights": first, "bias": [STEEPNESS * BIAS, -STEEPNESS * BIAS, *[0.0] * (_HIDDEN - 2)]}]
    last = [[1.0], [-1.0], *([draw.gauss(0.0, _RIPPLE)] for _ in range(_HIDDEN - 2))]
    layers.append({"weights": last, "bias": [0.0]})
    about = {"format": "mlp/1", "name": name, "version": version, "trained_at": trained_at, "threshold": 0.5}
    return {**about, "layers": layers}


def text(content: Document) -> str:
    """The file's text."""
    return json.dumps(content, separators=(",", ":")) + "\n"


def score(content: Mapping[str, Any], features: Sequence[float]) -> float:
    """The probability of fraud that a model gives to these features."""
    activations = list(features)
    layers = content["layers"]
    for number, layer in enumerate(layers):
        columns = zip(*layer["weights"], strict=True)
        activations = [
            sum(map(float.__mul__, column, activations)) + bias
            for column, bias in zip(columns, layer["bias"], strict=True)
        ]
        if number < len(layers) - 1:
            activations = [max(0.0, value) for value in activations]
    return sigmoid(activations[0])
