"""Faults of what a replica has loaded: tables, weights, the device."""

from __future__ import annotations

import logging

import numpy as np

from infdiag_tui.lab.server.model import Model
from infdiag_tui.lab.server.parts import Parts


class CorruptTable:
    """The merchants' risks are cut short, as after a download that broke off; the index still names all of them."""

    def __init__(self, kept_rows: int) -> None:
        self._rows = kept_rows

    def begin(self, parts: Parts) -> None:
        """Cuts them."""
        table = parts.engine.pipeline.table
        table.risks = table.risks[: self._rows]


class HalfPrecision:
    """The weights are converted to half precision with a scale that overflows it."""

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def begin(self, parts: Parts) -> None:
        """Converts the model in use."""
        model = parts.engine.model
        layers = tuple(
            ((weights * self._scale).astype(np.float16).astype(float) / self._scale, bias)
            for weights, bias in model.layers
        )
        parts.engine.model = Model(model.content, layers)


class RunOnProcessor:
    """The GPU cannot be used; the engine goes on without it."""

    def begin(self, parts: Parts) -> None:
        """Gives the device up and says so, as frameworks do."""
        logging.getLogger(f"{parts.dialect.logger}.engine").warning(parts.dialect.words["fallback"])
        parts.engine.device.detach()


class DeepenModel:
    """The engine runs a model with more layers; it answers the same, with many times the work."""

    def __init__(self, extra_layers: int) -> None:
        self._layers = extra_layers

    def begin(self, parts: Parts) -> None:
        """Takes it into use."""
        model = parts.engine.model
        width = model.layers[-1][0].shape[0]
        passing_on = (np.eye(width), np.zeros(width))
        more = [{"weights": passing_on[0].tolist(), "bias": passing_on[1].tolist()}] * self._layers
        first, *rest = model.content["layers"]
        layers = (model.layers[0], *[passing_on] * self._layers, *model.layers[1:])
        parts.engine.model = Model({**model.content, "layers": [first, *more, *rest]}, layers)
