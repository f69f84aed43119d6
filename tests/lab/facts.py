"""What can be seen of a lab from outside, raw: HTTP replies, metrics, API objects, GPU figures, files."""

from __future__ import annotations

import asyncio
import json
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from prometheus_client.parser import text_string_to_metric_families

from infdiag_tui.lab import Lab, running
from tests.lab.helpers import Api, api_of, until

Overrides = dict[str, int | float | bool]
PATIENCE_S = 40.0
"""Nothing here takes long by itself; a busy machine may."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply: status 0 where there was none."""

    status: int
    took_s: float
    body: Any

    @property
    def scores(self) -> list[float | None]:
        """The probabilities in it."""
        return [row["fraud_probability"] for row in self.body["predictions"]]


class Facts:
    """A lab, looked at."""

    def __init__(self, lab: Lab, session: aiohttp.ClientSession, api: Api) -> None:
        self.lab = lab
        self.session = session
        self.api = api
        self.config: dict[str, Any] = next(iter(tomllib.loads(lab.config_path.read_text())["models"].values()))

    async def until(self, look: Callable[[], Awaitable[Any]], what: str) -> Any:
        """What `look` finds, once it finds something."""
        return await until(look, what, PATIENCE_S)

    async def ask(self, url: str = "", body: Any = None) -> Reply:
        """The known-good input (or `body`) posted to the service, or elsewhere."""
        started = time.monotonic()
        try:
            async with self.session.post(
                url or self.lab.endpoint_url, json=body or self.config["endpoint"]["body"]
            ) as reply:
                return Reply(reply.status, time.monotonic() - started, await reply.json())
        except (aiohttp.ClientError, TimeoutError):
            return Reply(0, time.monotonic() - started, None)

    async def ask_together(self, count: int) -> list[Reply]:
        """So many of them at the same moment."""
        return await asyncio.gather(*(self.ask() for _ in range(count)))

    async def urls(self) -> list[str]:
        """The predict URL of every replica."""
        path = "/" + self.lab.endpoint_url.split("/", 3)[3]
        return [replica.url + path for replica in await self.lab.replicas()]

    async def health(self, index: int = 0) -> tuple[int, Any]:
        """A replica's own word."""
        replica = (await self.lab.replicas())[index]
        async with self.session.get(f"{replica.url}/health") as reply:
            return reply.status, await reply.json()

    async def metrics(self, index: int = 0) -> dict[str, float]:
        """A replica's figures, each the sum over its labels; empty while it cannot be reached."""
        replica = (await self.lab.replicas())[index]
        try:
            async with self.session.get(f"{replica.url}/metrics") as reply:
                families = list(text_string_to_metric_families(await reply.text()))
        except aiohttp.ClientError:
            return {}
        totals: dict[str, float] = {}
        for sample in (sample for family in families for sample in family.samples):
            for key in (sample.name, *(f"{sample.name}[{value}]" for value in sample.labels.values())):
                totals[key] = totals.get(key, 0.0) + sample.value
        return totals

    async def mean_ms(self, metric: str) -> float:
        """The mean of a histogram of seconds, in milliseconds."""
        page = await self.metrics()
        count = page.get(f"{metric}_count", 0.0)
        return 1000 * page[f"{metric}_sum"] / count if count else 0.0

    async def gpu(self, name: str) -> list[float]:
        """A figure of every card."""
        async with self.session.get(self.lab.dcgm_url) as reply:
            families = text_string_to_metric_families(await reply.text())
        return [s.value for family in families for s in family.samples if family.name == f"DCGM_FI_DEV_{name}"]

    async def pods(self) -> list[Any]:
        """The pods as the API has them."""
        listed: list[Any] = (await self.api.get(self.api.pods))[1]["items"]
        return listed

    async def container(self) -> Any:
        """The status of the first pod's container."""
        return (await self.pods())[0]["status"]["containerStatuses"][0]

    async def event(self, reason: str) -> bool:
        """True once such an event is there."""
        items = (await self.api.get(f"/api/v1/namespaces/{self.lab.namespace}/events"))[1]["items"]
        return any(item["reason"] == reason for item in items)

    async def log(self, *, previous: bool = False) -> str:
        """What the first pod's container said."""
        name = (await self.pods())[0]["metadata"]["name"]
        query = {"previous": "true"} if previous else {}
        return (await self.api.text(f"{self.api.pods}/{name}/log", **query))[1]

    def rows(self, check: str, key: str) -> list[dict[str, Any]]:
        """The rows of a file that the config names for a check."""
        lines = Path(self.config["checks"][check][key]).read_text().splitlines()
        return [json.loads(line) for line in lines]

    def since_the_fault(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those rows that were logged after things had gone wrong."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self.lab.fault_at + 1))
        return [row for row in rows if row["time"] > moment]


@asynccontextmanager
async def facts_of(name: str, overrides: Overrides) -> AsyncIterator[Facts]:
    """A lab of one replica with its fault at once, unless told otherwise; nothing is left of it afterwards."""
    quick: Overrides = {"fault_after_s": 0.0, "replicas": 1, "traffic_rps": 0.0, "usage_interval_s": 0.5}
    timeout = aiohttp.ClientTimeout(total=10)
    async with running(name, overrides={**quick, **overrides}) as lab:
        async with api_of(lab) as api, aiohttp.ClientSession(timeout=timeout) as session:
            yield Facts(lab, session, api)
        parent = psutil.Process(lab.pid)
        family = [parent, *parent.children(recursive=True)]

    async def none_left() -> bool:
        return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family)

    await until(none_left, "every process is gone", PATIENCE_S)
    assert not lab.folder.exists()
