"""LitServe's model: one worker that takes its time. Argument: the port."""

from __future__ import annotations

import sys
import time

import litserve

PREDICT_S = 0.02


class Adder(litserve.LitAPI):
    """Sums a list of numbers."""

    def setup(self, device: str) -> None:
        """There is nothing to load."""

    def decode_request(self, request: dict[str, list[float]]) -> list[float]:
        """The numbers."""
        return request["features"]

    def predict(self, x: list[float]) -> float:
        """Their sum, after a while."""
        time.sleep(PREDICT_S)
        return sum(x)

    def encode_response(self, output: float) -> dict[str, float]:
        """The sum under a name."""
        return {"sum": output}


if __name__ == "__main__":
    server = litserve.LitServer(Adder(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
