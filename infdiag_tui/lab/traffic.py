"""The users: an irregular stream of requests through the service, so that there is load besides the probe."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import orjson

from infdiag_tui.lab.dataset import Dataset
from infdiag_tui.lab.dialects import Dialect
from infdiag_tui.lab.world import FEATURES, transaction

_TIMEOUT_S = 10.0
_MAX_IN_FLIGHT = 256
_V2_SHARE = 0.1
_V2_ROWS = 4
_LOOK_S = 0.5


def known_good_input(merchants: int) -> dict[str, Any]:
    """The body that the probe posts; the same for ever."""
    draw = random.Random(20_260_131)
    return {"instances": [transaction(draw, merchants) for _ in range(4)]}


class Traffic:
    """Sends requests at random moments (a Poisson process) at a mean rate, whatever becomes of them.

    `rate_per_s`, the rows of a request, `make` (a transaction) and `encode` (what is sent of it) may change at any
    time; what the users send and what they get is recorded.
    """

    def __init__(self, url: str, dialect: Dialect, merchants: int, seed: int, dataset: Dataset) -> None:
        self._url = url
        self._predict_path = dialect.predict_path
        self._infer_path = f"/v2/models/{dialect.app}/infer"
        self._dataset = dataset
        self._draw = random.Random(seed + 1)
        self._sending: set[asyncio.Task[None]] = set()
        self.rate_per_s = 0.0
        self.rows_min, self.rows_max = 1, 8
        self.make: Callable[[random.Random], dict[str, Any]] = lambda draw: transaction(draw, merchants)
        self.encode: Callable[[dict[str, Any]], dict[str, Any]] = dict

    async def run(self) -> None:
        """Sends until cancelled."""
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            self._session = session
            try:
                await self._keep_sending()
            finally:
                for task in self._sending:
                    task.cancel()
                await asyncio.gather(*self._sending, return_exceptions=True)

    async def _keep_sending(self) -> None:
        next_at = time.monotonic()
        while True:
            wait_s = self._draw.expovariate(self.rate_per_s) if self.rate_per_s > 0 else math.inf
            # Not longer than this at a time, for the rate may rise meanwhile; a Poisson process forgets how long it
            # has waited.
            next_at += min(wait_s, _LOOK_S)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))
            if wait_s <= _LOOK_S:
                self.send()

    def send(self) -> None:
        """One more request, unless too many are unanswered."""
        if len(self._sending) < _MAX_IN_FLIGHT:
            task = asyncio.create_task(self._send())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def post(self, path: str, body: bytes) -> Any:
        """The answer to a request with this JSON, None when there was none."""
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(self._url + path, data=body, headers=headers) as reply:
                return await reply.json() if reply.ok else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            # A user whose request failed goes away; the probe and the gateway's log tell of it.
            return None

    async def _send(self) -> None:
        if self._draw.random() < _V2_SHARE:
            data = [self._draw.random() for _ in range(_V2_ROWS * FEATURES)]
            given = {"name": "features", "datatype": "FP32", "shape": [_V2_ROWS, FEATURES], "data": data}
            await self.post(self._infer_path, orjson.dumps({"inputs": [given]}))
            return
        happened = [self.make(self._draw) for _ in range(self._draw.randint(self.rows_min, self.rows_max))]
        sent = [self.encode(one) for one in happened]
        answer = await self.post(self._predict_path, orjson.dumps({"instances": sent}))
        predictions = answer["predictions"] if isinstance(answer, dict) and "predictions" in answer else []
        self._dataset.record(sent, predictions, happened)
