"""MLServer's models: `slow` computes long, `fast` does not."""

from __future__ import annotations

import asyncio

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

INFER_S = 0.15


class Fast(MLModel):
    """Sums."""

    async def load(self) -> bool:
        """There is nothing to load."""
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The sum of each row."""
        x = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        y = NumpyCodec.encode_output("y", x.sum(axis=1, keepdims=True))
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[y])


class Slow(Fast):
    """Sums after a while."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """The sum of each row."""
        await asyncio.sleep(INFER_S)
        return await super().predict(payload)
