"""KServe's model `slow`, which takes longer to preprocess than to compute. Arguments: KServe's own."""

from __future__ import annotations

import asyncio
import uuid

import kserve
from kserve import InferOutput, InferRequest, InferResponse

PREPROCESS_S = 0.06
PREDICT_S = 0.02


class Adder(kserve.Model):
    """Sums."""

    def __init__(self) -> None:
        super().__init__("slow")
        self.ready = True

    async def preprocess(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferRequest:
        """Nothing, slowly."""
        await asyncio.sleep(PREPROCESS_S)
        return payload

    async def predict(self, payload: InferRequest, headers: dict[str, str] | None = None) -> InferResponse:
        """The sum of each row."""
        await asyncio.sleep(PREDICT_S)
        sums = payload.inputs[0].as_numpy().sum(axis=1)
        output = InferOutput("y", [len(sums), 1], "FP32", sums.tolist())
        return InferResponse(str(uuid.uuid4()), self.name, [output])


if __name__ == "__main__":
    kserve.ModelServer().start([Adder()])
