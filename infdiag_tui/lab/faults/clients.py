"""What clients do to a service: too much, too large, too many connections, or other content than before."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import Any

import orjson

from infdiag_tui.lab.scenarios import Fault
from infdiag_tui.lab.stage import Stage
from infdiag_tui.lab.world import FEATURES, transaction


class Surge:
    """More requests, of other sizes, than before."""

    def __init__(self, fault: Fault, *, surge_rps: float, surge_rows_min: int, surge_rows_max: int) -> None:
        del fault
        self._rate = surge_rps
        self._rows = (surge_rows_min, surge_rows_max)

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        stage.traffic.rows_min, stage.traffic.rows_max = self._rows
        stage.traffic.rate_per_s = self._rate


class Bursts:
    """Now and then many requests at the same moment."""

    def __init__(self, fault: Fault, *, burst_requests: int, burst_every_s: float) -> None:
        del fault
        self._requests = burst_requests
        self._every_s = burst_every_s

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        while True:
            for _ in range(self._requests):
                stage.traffic.send()
            await asyncio.sleep(self._every_s)


class BulkRequests:
    """A client has whole tables scored, each in one request."""

    def __init__(self, fault: Fault, *, bulk_rows: int, bulk_every_s: float) -> None:
        del fault
        self._rows = bulk_rows
        self._every_s = bulk_every_s

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        path = f"/v2/models/{stage.scenario.names.app}/infer"
        given = {
            "name": "features",
            "datatype": "FP32",
            "shape": [self._rows, FEATURES],
            "data": list(itertools.islice(itertools.cycle((0.5, 0.2)), self._rows * FEATURES)),
        }
        body = await asyncio.to_thread(lambda: orjson.dumps({"inputs": [given]}))
        while True:
            await stage.traffic.post(path, body)
            await asyncio.sleep(self._every_s)


class HoldConnections:
    """A client opens connections to every replica and keeps them, each for a while, without asking for anything."""

    def __init__(self, fault: Fault, *, held: int, held_for_s: float, pause_s: float) -> None:
        self._fault = fault
        self._held = held
        self._for_s = held_for_s
        self._pause_s = pause_s

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        async with asyncio.TaskGroup() as group:
            for index in stage.struck(self._fault):
                for number in range(self._held):
                    group.create_task(self._hold(stage, index, number))

    async def _hold(self, stage: Stage, index: int, number: int) -> None:
        draw = random.Random(number)
        while True:
            plan = stage.kubelet.replica(index).plan
            # One that is turned away tries again, as clients do.
            with contextlib.suppress(OSError, TimeoutError):
                reader, writer = await asyncio.wait_for(asyncio.open_connection(plan.ip, plan.port), 1.0)
                try:
                    await asyncio.wait_for(reader.read(1), self._for_s * draw.uniform(0.7, 1.3))
                finally:
                    writer.close()
            await asyncio.sleep(self._pause_s * draw.uniform(0.5, 1.5))


class OtherCustomers:
    """Transactions are drawn from another distribution than the training data was."""

    def __init__(self, fault: Fault, *, amount_factor: float, night_share: float) -> None:
        del fault
        self._factor = amount_factor
        self._night_share = night_share

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        merchants = stage.scenario.merchants

        def make(draw: random.Random) -> dict[str, Any]:
            one = transaction(draw, merchants)
            one["amount"] = round(one["amount"] * self._factor, 2)
            one["account_age_days"] = draw.randrange(200)
            if draw.random() < self._night_share:
                one["hour"] = draw.randrange(6)
                one["country"] = draw.choice(("PL", "US"))
            return one

        stage.traffic.make = make


class NewClientRelease:
    """Clients send a field under another name, and amounts in another unit."""

    def __init__(self, fault: Fault, *, amount_factor: float) -> None:
        del fault
        self._factor = amount_factor

    async def begin(self, stage: Stage) -> None:
        """See the class."""
        stage.traffic.encode = self._encode

    def _encode(self, happened: dict[str, Any]) -> dict[str, Any]:
        one = {**happened, "amount": round(happened["amount"] * self._factor)}
        one["customer_age_days"] = one.pop("account_age_days")
        return one
