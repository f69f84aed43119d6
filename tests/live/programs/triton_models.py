"""Serves two models with a real Triton: `slow` waits for a batch and computes long, `fast` does neither.

Arguments: HTTP, gRPC and metrics port, the folder for Triton's files, the token for its restricted endpoints.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig, TritonSecurityConfig

INFER_S = 0.15
QUEUE_US = 30_000
X = Tensor(name="x", dtype=np.float32, shape=(-1,))
Y = Tensor(name="y", dtype=np.float32, shape=(1,))


@batch
def fast(x: np.ndarray) -> dict[str, np.ndarray]:
    """Sums."""
    return {"y": x.sum(axis=1, keepdims=True)}


@batch
def slow(x: np.ndarray) -> dict[str, np.ndarray]:
    """Sums after a while."""
    time.sleep(INFER_S)
    return {"y": x.sum(axis=1, keepdims=True)}


if __name__ == "__main__":
    http_port, grpc_port, metrics_port = map(int, sys.argv[1:4])
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=http_port,
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        metrics_port=metrics_port,
    )
    security = TritonSecurityConfig(access_token=sys.argv[5])
    with Triton(config=config, workspace=sys.argv[4], security_config=security) as triton:
        batcher = DynamicBatcher(max_queue_delay_microseconds=QUEUE_US)
        # The last one to be ready is the one that the tests wait for.
        triton.bind("fast", fast, inputs=[X], outputs=[Y], config=ModelConfig(max_batch_size=4))
        triton.bind("slow", slow, inputs=[X], outputs=[Y], config=ModelConfig(max_batch_size=4, batcher=batcher))
        triton.serve()
