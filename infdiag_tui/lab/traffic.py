"""The users: a gentle, irregular stream of requests through the service, so that there is load besides the probe."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp

from infdiag_tui.lab.server.vocabulary import CHANNELS, COUNTRIES, FEATURES, merchant_name

_TIMEOUT_S = 5.0
_MAX_IN_FLIGHT = 64
_V2_SHARE = 0.2


def transaction(draw: random.Random, merchants: int) -> dict[str, Any]:
    """A plausible card transaction."""
    return {
        "amount": round(draw.lognormvariate(3.5, 1.0), 2),
        "hour": draw.randrange(24),
        "velocity_1h": draw.randrange(4),
        "velocity_24h": draw.randrange(20),
        "account_age_days": draw.randrange(2000),
        "country": draw.choice(COUNTRIES),
        "channel": draw.choice(CHANNELS),
        "merchant": merchant_name(draw.randrange(merchants)),
    }


def known_good_input(merchants: int) -> dict[str, Any]:
    """The body that the probe posts; the same for ever."""
    draw = random.Random(20_260_131)
    return {"instances": [transaction(draw, merchants) for _ in range(4)]}


class Traffic:
    """Sends requests at random moments (a Poisson process) at a mean rate, whatever becomes of them."""

    def __init__(self, url: str, rate_per_s: float, merchants: int, seed: int) -> None:
        self._url = url
        self._rate_per_s = rate_per_s
        self._merchants = merchants
        self._draw = random.Random(seed + 1)

    async def run(self) -> None:
        """Sends until cancelled."""
        if self._rate_per_s <= 0:
            return
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        sending: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                while True:
                    await asyncio.sleep(self._draw.expovariate(self._rate_per_s))
                    if len(sending) < _MAX_IN_FLIGHT:
                        task = asyncio.create_task(self._send(session))
                        sending.add(task)
                        task.add_done_callback(sending.discard)
            finally:
                for task in sending:
                    task.cancel()
                await asyncio.gather(*sending, return_exceptions=True)

    async def _send(self, session: aiohttp.ClientSession) -> None:
        path, body = self._request()
        try:
            async with session.post(self._url + path, json=body) as reply:
                await reply.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            # A user whose request failed goes away; the probe and the gateway's log tell of it.
            return

    def _request(self) -> tuple[str, dict[str, Any]]:
        rows = self._draw.randint(1, 8)
        if self._draw.random() >= _V2_SHARE:
            return "/predict", {"instances": [transaction(self._draw, self._merchants) for _ in range(rows)]}
        data = [self._draw.random() for _ in range(rows * FEATURES)]
        given = {"name": "features", "datatype": "FP32", "shape": [rows, FEATURES], "data": data}
        return "/v2/models/fraud-scorer/infer", {"inputs": [given]}
